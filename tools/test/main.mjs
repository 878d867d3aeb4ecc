import { appendFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, env, exit } from "node:process";
import { renderFindings } from "../setup/checks.mjs";
import { logDir } from "../setup/paths.mjs";
import { duration } from "../setup/progress.mjs";
import { messageOf } from "../setup/run.mjs";
import { checkMachine, ensureToolchain } from "../setup/toolchain.mjs";
import { findTestFiles, selectTests } from "./layers.mjs";
import { runLayer } from "./run-layer.mjs";
import { SKIP_MARK } from "./skip.mjs";
import { Tally } from "./tally.mjs";

const DEFAULT_DEADLINE_MIN = 80;
const KEPT_LOGS = 20;

const isCi = !["", "0", "false", undefined].includes(env["CI"]);
const begin = Date.now();
const tally = new Tally();
const stop = new AbortController();
const logPath = openLog();
let isTesting = false;

await main();

async function main() {
  watchDeadline();
  try {
    const { selections, mochaArgs } = selectTests(argv.slice(2), findTestFiles());
    const blocked = await preflight(selections);
    for (const selection of selections) {
      if (stop.signal.aborted) break;
      await testLayer(selection, mochaArgs, blocked);
    }
  } catch (error) {
    tally.fail("set-up", "running the tests", messageOf(error));
  }
  close();
}

/**
 * The whole machine is checked before anything starts, so that one look tells all that is missing.
 * @param {import("./layers.mjs").Selection[]} selections
 * @returns {Promise<import("../setup/checks.mjs").Finding[]>}
 */
async function preflight(selections) {
  const findings = await checkMachine({
    engine: selections.some(({ layer }) => layer.need.engine),
    lab: selections.some(({ layer }) => layer.need.lab),
  });
  if (findings.length > 0)
    print(`this machine cannot run everything:\n${renderFindings(findings)}`);
  return findings;
}

/**
 * @param {import("./layers.mjs").Selection} selection
 * @param {string[]} mochaArgs
 * @param {import("../setup/checks.mjs").Finding[]} findings
 */
async function testLayer({ layer, files }, mochaArgs, findings) {
  const isSkipForbidden = isCi && layer.name === "lab";
  const blocking = findings.filter(
    ({ scope }) =>
      scope === "all" ||
      (scope === "engine" && layer.need.engine) ||
      (scope === "lab" && layer.need.lab),
  );
  if (files.length === 0) {
    tally.fail(layer.name, "the layer", `no test files below ${layer.folders.join(", ")}`);
    return;
  }
  if (blocking.length > 0) {
    skipLayer(layer.name, files, blocking, isSkipForbidden);
    return;
  }
  let toolchain;
  try {
    toolchain = await ensureToolchain({ need: layer.need });
  } catch (error) {
    tally.fail(layer.name, "set-up", messageOf(error));
    print(`${layer.name}: set-up failed, see below`);
    return;
  }
  print(`${layer.name}: ${files.length} files; ${toolchain.summary}`);
  const shown = layer.showTests ? perTest() : perFile();
  /** @type {string | undefined} */
  let running;
  isTesting = true;
  const started = Date.now();
  const incomplete = await runLayer({
    selection: { layer, files },
    mochaArgs: [...mochaArgs, ...(isCi ? ["--forbid-only"] : [])],
    node: toolchain.node,
    env: toolchain.env,
    logPath,
    stop: stop.signal,
    onEvent: (event) => {
      if (event.event === "begin") running = event.title;
      if (event.event !== "end") return;
      running = undefined;
      const { file, title, ms, error, state } = event;
      const counted = tally.add(
        state,
        { layer: layer.name, file, title, ms, error },
        { isSkipForbidden },
      );
      shown.add(counted, event);
    },
  });
  isTesting = false;
  shown.finish();
  print(`${layer.name}: done in ${duration((Date.now() - started) / 1000)}`);
  // What was stopped is told as such already, but for a test that did not answer to it.
  if (incomplete !== undefined && (running !== undefined || !stop.signal.aborted)) {
    tally.fail(layer.name, running ?? "the run", incomplete);
  }
}

/**
 * A whole layer that the machine cannot run counts once per test file.
 * @param {string} layer
 * @param {string[]} files
 * @param {import("../setup/checks.mjs").Finding[]} findings
 * @param {boolean} isSkipForbidden
 */
function skipLayer(layer, files, findings, isSkipForbidden) {
  const why = findings.map(({ check, problem }) => `${check}: ${problem}`).join(", ");
  const remedy = findings.map(({ remedy: text }) => text).join("; ");
  print(`${layer}: skipped, ${why}`);
  for (const file of files) {
    const title = `${file}${SKIP_MARK}${why}; remedy: ${remedy}`;
    tally.add("skipped", { layer, file, title, ms: 0 }, { isSkipForbidden });
  }
}

/** @typedef {{add(state: string, event: {file: string, title: string, ms: number}): void, finish(): void}} Shown */

/** @returns {Shown} */
function perTest() {
  return {
    add: (state, { title, ms }) =>
      print(`  ${state === "passed" ? "ok" : state}  ${title} (${duration(ms / 1000)})`),
    finish: () => undefined,
  };
}

/** @returns {Shown} */
function perFile() {
  /** @type {{file: string, counts: Map<string, number>} | undefined} */
  let current;
  const finish = () => {
    if (current === undefined) return;
    const { file, counts } = current;
    const text = [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
    print(`  ${counts.has("failed") ? "failed" : "ok"}  ${file}: ${text}`);
    current = undefined;
  };
  return {
    add(state, { file, title, ms }) {
      if (file !== current?.file) finish();
      current ??= { file, counts: new Map() };
      current.counts.set(state, (current.counts.get(state) ?? 0) + 1);
      log(`  ${state}  ${title} (${ms} ms)`);
    },
    finish,
  };
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
  print(`whole log: ${logPath} (${duration((Date.now() - begin) / 1000)})`);
  print(tally.closingLine());
  exit(tally.isGreen() ? 0 : 1);
}

function openLog() {
  try {
    mkdirSync(logDir, { recursive: true });
  } catch (error) {
    process.stderr.write(
      `${logDir} cannot be written (${messageOf(error)}): ` +
        "run as the owner of the checkout, or set VLLM_ASCEND_CACHE to a folder of your own\n",
    );
    process.stdout.write("0 passed, 1 failed, 0 skipped\n");
    exit(1);
  }
  const old = readdirSync(logDir)
    .filter((name) => /^test-.*\.log$/.test(name))
    .sort();
  for (const name of old.slice(0, -KEPT_LOGS)) rmSync(join(logDir, name));
  const stamp = new Date().toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
  const path = join(logDir, `test-${stamp}-${process.pid}.log`);
  writeFileSync(path, `npm test ${argv.slice(2).join(" ")}\n`);
  return path;
}

/** @param {string} text */
function print(text) {
  process.stdout.write(`${text}\n`);
  log(text);
}

/** @param {string} text */
function log(text) {
  appendFileSync(logPath, `${text}\n`);
}
