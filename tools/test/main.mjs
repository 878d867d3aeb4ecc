import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { argv, env, exit } from "node:process";
import { renderFindings } from "../setup/checks.mjs";
import { availableMemoryGb } from "../setup/machine.mjs";
import { logDir } from "../setup/paths.mjs";
import { duration } from "../setup/progress.mjs";
import { messageOf } from "../setup/run.mjs";
import { checkMachine, ensureToolchain } from "../setup/toolchain.mjs";
import { findTestFiles, jobsAtATime, jobsOf, selectTests } from "./layers.mjs";
import { openLog } from "./report.mjs";
import { runJobs } from "./run-jobs.mjs";
import { SKIP_MARK } from "./skip.mjs";
import { Tally } from "./tally.mjs";

/**
 * @typedef {import("../setup/checks.mjs").Finding} Finding
 * @typedef {import("../setup/toolchain.mjs").Toolchain} Toolchain
 * @typedef {import("./layers.mjs").Selection} Selection
 */

const DEFAULT_DEADLINE_MIN = 86;
const KEPT_RUNS = 20;

const isCi = !["", "0", "false", undefined].includes(env["CI"]);
const begin = Date.now();
const tally = new Tally();
const stop = new AbortController();
const runDir = makeRunDir();
const { print } = openLog(join(runDir, "run.log"), `npm test ${argv.slice(2).join(" ")}`);
let isTesting = false;

await main();

async function main() {
  watchDeadline();
  try {
    const { selections, mochaArgs, jobs } = selectTests(argv.slice(2), findTestFiles());
    const findings = await checkAll(selections);
    // What is known within seconds comes before a set-up that may take half an hour.
    for (const isQuick of [true, false]) {
      const group = selections.filter(({ layer }) => layer.isQuick === isQuick);
      await testGroup(group, mochaArgs, findings, jobs);
    }
  } catch (error) {
    tally.fail("set-up", "running the tests", messageOf(error));
  }
  close();
}

/**
 * The whole machine is checked before anything starts, so that one look tells all that is missing.
 * @param {Selection[]} selections
 * @returns {Promise<Finding[]>}
 */
async function checkAll(selections) {
  const findings = await checkMachine({
    engine: selections.some(({ layer }) => layer.need.engine),
    lab: selections.some(({ layer }) => layer.need.lab),
  });
  if (findings.length > 0)
    print(`this machine cannot run everything:\n${renderFindings(findings)}`);
  return findings;
}

/**
 * @param {Selection[]} selections layers that run side by side
 * @param {string[]} mochaArgs
 * @param {Finding[]} findings
 * @param {number | undefined} jobs how many files at a time were asked for
 */
async function testGroup(selections, mochaArgs, findings, jobs) {
  /** @type {Map<string, Toolchain>} */
  const toolchains = new Map();
  for (const selection of selections) {
    if (stop.signal.aborted) return;
    const toolchain = await prepare(selection, findings);
    if (toolchain !== undefined) toolchains.set(selection.layer.name, toolchain);
  }
  const ready = selections.filter(({ layer }) => toolchains.has(layer.name));
  const atATime =
    jobs ?? jobsAtATime({ cores: availableParallelism(), availableMemoryGb: availableMemoryGb() });
  isTesting = true;
  await runJobs(jobsOf(ready), {
    atATime,
    mochaArgs: [...mochaArgs, ...(isCi ? ["--forbid-only"] : [])],
    toolchainOf: ({ name }) => /** @type {Toolchain} */ (toolchains.get(name)),
    ...{ runDir, tally, isSkipForbidden, print },
    stop: stop.signal,
  });
  isTesting = false;
}

/**
 * @param {Selection} selection
 * @param {Finding[]} findings
 * @returns {Promise<Toolchain | undefined>} undefined: the layer cannot run, and that is counted
 */
async function prepare({ layer, files }, findings) {
  const blocking = findings.filter(
    ({ scope }) =>
      scope === "all" ||
      (scope === "engine" && layer.need.engine) ||
      (scope === "lab" && layer.need.lab),
  );
  if (files.length === 0) {
    tally.fail(layer.name, "the layer", `no test files below ${layer.folders.join(", ")}`);
    return undefined;
  }
  if (blocking.length > 0) {
    skipLayer(layer, files, blocking);
    return undefined;
  }
  try {
    const toolchain = await ensureToolchain({ need: layer.need });
    print(`${layer.name}: ${files.length} files; ${toolchain.summary}`);
    return toolchain;
  } catch (error) {
    tally.fail(layer.name, "set-up", messageOf(error));
    print(`${layer.name}: set-up failed, see below`);
    return undefined;
  }
}

/**
 * A whole layer that the machine cannot run counts once per test file.
 * @param {import("./layers.mjs").Layer} layer
 * @param {string[]} files
 * @param {Finding[]} findings
 */
function skipLayer(layer, files, findings) {
  const why = findings.map(({ check, problem }) => `${check}: ${problem}`).join(", ");
  const remedy = findings.map(({ remedy: text }) => text).join("; ");
  print(`${layer.name}: skipped, ${why}`);
  for (const file of files) {
    const title = `${file}${SKIP_MARK}${why}; remedy: ${remedy}`;
    const outcome = { layer: layer.name, file, title, ms: 0 };
    tally.add("skipped", outcome, { isSkipForbidden: isSkipForbidden(layer) });
  }
}

/** @param {import("./layers.mjs").Layer} layer */
function isSkipForbidden({ name }) {
  return isCi && name === "lab";
}

/** The closing line comes in time for whoever runs this under a limit of their own. */
function watchDeadline() {
  const minutes = Number(env["VLLM_ASCEND_TEST_DEADLINE_MIN"] || DEFAULT_DEADLINE_MIN);
  if (!(minutes > 0)) {
    throw new Error("VLLM_ASCEND_TEST_DEADLINE_MIN must be a number of minutes above 0");
  }
  const end = (/** @type {string} */ reason) => {
    if (stop.signal.aborted) return;
    print(`${reason}: stopping`);
    tally.fail("all", "the whole run", `${reason}; what had not run by then is not counted`);
    if (!isTesting) close(); // set-up is safe to be killed: what is complete is kept
    stop.abort();
  };
  setTimeout(() => end(`the deadline of ${minutes} minutes has passed`), minutes * 60_000).unref();
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
    process.on(signal, () => end(`${signal} received`));
  }
}

function close() {
  if (tally.passed + tally.failures.length + tally.skips.length === 0) {
    tally.fail("all", "the selection", "no test matches it");
  }
  const details = tally.details();
  if (details !== "") print(`\n${details}\n`);
  print(`logs, one per file: ${runDir} (${duration((Date.now() - begin) / 1000)})`);
  print(tally.closingLine());
  exit(tally.isGreen() ? 0 : 1);
}

/** @returns {string} a folder for the logs of this run; the oldest runs make room */
function makeRunDir() {
  const stamp = new Date().toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
  const path = join(logDir, `test-${stamp}-${process.pid}`);
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    process.stderr.write(
      `${logDir} cannot be written (${messageOf(error)}): ` +
        "run as the owner of the checkout, or set VLLM_ASCEND_CACHE to a folder of your own\n",
    );
    process.stdout.write("0 passed, 1 failed, 0 skipped\n");
    exit(1);
  }
  const runs = readdirSync(logDir)
    .filter((name) => /^test-\d/.test(name))
    .sort();
  for (const name of runs.slice(0, -KEPT_RUNS))
    rmSync(join(logDir, name), { recursive: true, force: true });
  return path;
}
