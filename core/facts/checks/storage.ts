import { type Check, type CheckContext, type Finding, unknownFact } from "../check.js";
import { weightsBytes } from "../host-facts.js";

/** Whether the weights can be read within the time that the stack gives to a start. */
export const storageCheck: Check = { name: "storage", needs: ["root"], judge: judgeStorage };

function judgeStorage({ plan, node, facts }: CheckContext): readonly Finding[] {
  const read = facts.storage.get(node.modelPath);
  const model = facts.models.get(node.modelPath);
  // A model that is going to be downloaded is not there to be read.
  if (!node.isModelPresent || read?.state === "small") return [];
  if (read?.state !== "read") {
    return [unknownFact(`how fast ${node.modelPath} is read`, read?.reason)];
  }
  // Told by the column of the model.
  if (model?.state !== "found") return [];
  const bytes = weightsBytes(model);
  const bytesPerSec = read.bytes / read.sec;
  const { loadSec, startSec } = proposedTimes(bytes, bytesPerSec);
  if (plan.serveStartSec >= startSec) return [];
  return [
    {
      code: "STORAGE_SLOW",
      result: "warn",
      detail:
        `${gib(read.bytes)} GiB of ${node.modelPath} were read in ${read.sec.toFixed(1)} s (${read.how}, ${Math.round(bytesPerSec / 1e6)} MB/s): all ${gib(bytes)} GiB take about ${loadSec} s, ` +
        `and timeouts.serveStartSec is ${plan.serveStartSec}`,
      fix: `set timeouts.serveStartSec: ${startSec}; or bring the weights to a faster file system`,
    },
  ];
}

/**
 * Every node reads the whole checkpoint once, because its ranks share the page cache; imports, warm-up and capture of graphs come on top,
 * and half as much again, because all nodes read at once when it matters.
 */
export function proposedTimes(
  bytes: number,
  bytesPerSec: number,
): { readonly loadSec: number; readonly startSec: number } {
  const loadSec = Math.ceil(bytes / bytesPerSec);
  return { loadSec, startSec: Math.ceil((loadSec * 1.5 + WARM_UP_SEC) / 60) * 60 };
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(bytes < 10 * 2 ** 30 ? 1 : 0);
}

/** Imports, profiling and graphs take 2 to 5 minutes on the servers of the documents. */
const WARM_UP_SEC = 300;
