import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { argv } from "node:process";
import { labUp } from "../lab/lab.mjs";
import { complete } from "../lab-stack/complete.mjs";
import { requireMemoryForFullShape, TOPOLOGIES } from "../lab-stack/full-shape.mjs";
import { labCluster } from "../lab-stack/lab-cluster.mjs";
import { LabProject } from "../lab-stack/project.mjs";
import { ensureDist } from "../setup/dist.mjs";
import { availableMemoryGb } from "../setup/machine.mjs";
import { repoDir } from "../setup/paths.mjs";
import { messageOf } from "../setup/run.mjs";
import { ensureToolchain } from "../setup/toolchain.mjs";
import { renderResults } from "./results.mjs";

/**
 * `npm run test:full`: the 16-rank shapes of both documents with real vLLM, one after the other, from bare lab hosts to a
 * completion. Too heavy for `npm test`; what was seen is written to docs/test-full.md.
 *
 * @typedef {import("./results.mjs").Result} Result
 */

const RESULT_FILE = "docs/test-full.md";
const API_KEY = "full-shapes";
const MAX_TOKENS = 8;
const STACK = "lab";

/** @param {readonly (typeof TOPOLOGIES)[number][]} topologies */
async function main(topologies) {
  const toolchain = await ensureToolchain({ need: { engine: true, lab: true } });
  await ensureDist(toolchain);
  /** @type {Result[]} */
  const results = [];
  for (const topology of topologies) {
    process.stdout.write(`\n${topology}: 16 ranks on two hosts\n`);
    results.push(await runShape(topology, toolchain.env));
  }
  const text = renderResults(results, {
    date: new Date().toISOString().slice(0, 10),
    commit: commitName(),
    cores: cpus().length,
    memoryGb: totalmem() / 1e9,
  });
  writeFileSync(join(repoDir, RESULT_FILE), text);
  process.stdout.write(`\n${text}\nwritten to ${RESULT_FILE}\n`);
  const failed = results.filter(({ failure }) => failure !== undefined);
  if (failed.length > 0) {
    throw new Error(`failed: ${failed.map(({ topology }) => topology).join(", ")}`);
  }
}

/**
 * @param {(typeof TOPOLOGIES)[number]} topology
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Result>}
 */
async function runShape(topology, env) {
  const memory = watchMemory();
  const begin = Date.now();
  /** @type {import("../lab/lab.mjs").Lab | undefined} */
  let lab;
  /** @type {LabProject | undefined} */
  let project;
  try {
    requireMemoryForFullShape();
    lab = await labUp({ nodes: 2, profile: "root-debian", image: "vllm" });
    const dir = mkdtempSync(join(tmpdir(), `full-${topology}-`));
    project = new LabProject({ dir, stack: STACK, env, agentSocket: lab.agentSocket });
    await project.init();
    await project.setCluster(labCluster(lab, { topology, isFull: true }));
    await project.setApiKey(API_KEY);
    await project.pulumi(["up", "--yes", "--skip-preview", "--stack", STACK]);
    const upSec = (Date.now() - begin) / 1000;
    const outputs = await project.outputs();
    const asked = Date.now();
    const answer = await complete(outputs, {
      apiKey: API_KEY,
      maxTokens: MAX_TOKENS,
      timeoutMs: 600_000,
    });
    return {
      topology,
      ranks: outputs["nodes"].map(
        (/** @type {Record<string, string>} */ node) =>
          `${node["name"]}: ${node["ranks"]} on NPUs ${node["npus"]}`,
      ),
      upSec,
      readyAfterSec: await readyAfterSec(lab),
      completionSec: (Date.now() - asked) / 1000,
      tokens: answer.usage.completion_tokens,
      memoryGb: memory.peakGb(),
    };
  } catch (error) {
    return { topology, failure: messageOf(error) };
  } finally {
    memory.stop();
    await lab?.down();
    project?.remove();
  }
}

/**
 * From the start of `vllm serve` to its first completion, as the head's supervisor saw it.
 * @param {import("../lab/lab.mjs").Lab} lab
 * @returns {Promise<number>}
 */
async function readyAfterSec(lab) {
  const head = lab.nodes[0]?.name ?? "node0";
  const text = await lab.must(head, ["cat", "/var/lib/vllm-cluster/lab/out/status.json"]);
  return JSON.parse(text).serve.readyAfterSec;
}

/** The most memory that was taken beyond what was taken at the begin; looked at twice a second. */
function watchMemory() {
  const before = availableMemoryGb();
  let least = before;
  const timer = setInterval(() => {
    least = Math.min(least, availableMemoryGb());
  }, 500);
  return {
    peakGb: () => before - least,
    stop: () => clearInterval(timer),
  };
}

/** The commit, with a mark when files differ from it. */
function commitName() {
  const git = (/** @type {string[]} */ ...args) =>
    execFileSync("git", args, { cwd: repoDir, encoding: "utf8" }).trim();
  const isDirty = git("status", "--porcelain", "--untracked-files=no") !== "";
  return `${git("rev-parse", "--short=12", "HEAD")}${isDirty ? " with changes" : ""}`;
}

/** @param {string[]} names none = all */
function chosen(names) {
  const unknown = names.filter((name) => !TOPOLOGIES.some((known) => known === name));
  if (unknown.length > 0) {
    throw new Error(`unknown topology ${unknown.join(", ")}; known: ${TOPOLOGIES.join(", ")}`);
  }
  return TOPOLOGIES.filter((known) => names.length === 0 || names.includes(known));
}

try {
  await main(chosen(argv.slice(2)));
} catch (error) {
  process.stderr.write(`test:full: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
