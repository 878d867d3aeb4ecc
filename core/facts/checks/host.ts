import type { Check, CheckContext, Finding, KnownHost } from "../check.js";
import { unknownFact } from "../check.js";

/** Whether the machine as such can carry the container. */
export const hostCheck: Check = { name: "host", needs: ["root"], judge: judgeHost };

function judgeHost(context: CheckContext): readonly Finding[] {
  return [...judgeMemory(context), ...judgeDisk(context), ...judgeClock(context)];
}

function judgeMemory({ node, facts, plan }: CheckContext): readonly Finding[] {
  const { memory } = facts;
  const findings: Finding[] = [];
  if (node.shmSizeMib < 1024) {
    findings.push({
      code: "SHM_SMALL",
      result: "fail",
      detail: `/dev/shm of the container has ${node.shmSizeMib} MiB; the processes of vLLM need 1024`,
      fix: "raise container.shmSizeGib",
    });
  }
  if (memory === undefined) return [...findings, unknownFact("memory of the host", undefined)];
  const [totalMib, availableMib] = [memory.totalKib / 1024, memory.availableKib / 1024];
  const isOurs = facts.containers.get(plan.containerName)?.state === "present";
  const isNever = totalMib < node.shmSizeMib;
  // What our own container uses is not in the way of its successor.
  if (isNever || (availableMib < node.shmSizeMib && !isOurs)) {
    findings.push({
      code: "MEMORY_LOW",
      result: isNever ? "fail" : "warn",
      detail: `${Math.floor(availableMib)} of ${Math.floor(totalMib)} MiB are available, and /dev/shm of the container may take ${node.shmSizeMib} MiB`,
      fix: "lower container.shmSizeGib, or free memory on the host",
    });
  }
  return findings;
}

function judgeDisk({ plan, node, facts }: CheckContext): readonly Finding[] {
  const isPulled = facts.images.get(node.image.pull)?.state === "pullable";
  const rootDir = facts.dockerDetails?.rootDir;
  return [
    ...judgeFree(plan.baseDir, facts.freeBytes.get(plan.baseDir), 5 * GIB),
    ...(rootDir === undefined || rootDir === ""
      ? []
      : judgeFree(rootDir, facts.freeBytes.get(rootDir), isPulled ? 40 * GIB : GIB)),
  ];
}

function judgeFree(path: string, bytes: number | undefined, wanted: number): readonly Finding[] {
  if (bytes === undefined) return [unknownFact(`free space of ${path}`, undefined)];
  if (bytes >= wanted) return [];
  return [
    {
      code: "DISK_LOW",
      result: bytes < GIB ? "fail" : "warn",
      detail: `${(bytes / GIB).toFixed(1)} GiB are free for ${path}, ${wanted / GIB} GiB are wanted`,
      fix: `free space there (docker image ls, du -xsh ${path}), or move it to a larger file system`,
    },
  ];
}

/**
 * Each host tells its clock at some moment between question and answer, so only a gap between these intervals is a difference.
 * Compared with the first host that has answered.
 */
function judgeClock({ node, hosts, ...own }: CheckContext): readonly Finding[] {
  const [first] = hosts;
  const [ours, theirs] = [offset(own), first === undefined ? undefined : offset(first)];
  if (ours === undefined) return [unknownFact("the clock", undefined)];
  if (theirs === undefined || first?.node.name === node.name) return [];
  const gap = Math.max(ours.least - theirs.most, theirs.least - ours.most);
  if (gap <= MAX_SKEW_SEC) return [];
  return [
    {
      code: "CLOCK_SKEW",
      result: "warn",
      detail: `the clock is ${Math.round(gap)} s ${ours.least > theirs.most ? "ahead of" : "behind"} that of ${first!.node.name}`,
      fix: "timedatectl set-ntp true; chronyc tracking or timedatectl timesync-status tells why it drifts",
    },
  ];
}

function offset({
  facts,
  askedSec,
  answeredSec,
}: Pick<KnownHost, "facts" | "askedSec" | "answeredSec">):
  | { readonly least: number; readonly most: number }
  | undefined {
  const { clockSec } = facts;
  // The clock is told in whole seconds.
  return clockSec === undefined
    ? undefined
    : { least: clockSec - answeredSec, most: clockSec + 1 - askedSec };
}

const GIB = 2 ** 30;
const MAX_SKEW_SEC = 5;
