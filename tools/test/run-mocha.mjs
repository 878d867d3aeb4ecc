import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { repoDir } from "../setup/paths.mjs";

const MOCHA = join(repoDir, "node_modules", "mocha", "bin", "mocha.js");
const REPORTER = fileURLToPath(new URL("reporter.mjs", import.meta.url));

/** How long `after` hooks may clean up once a run is stopped. */
const STOP_GRACE_MS = 90_000;

/**
 * @typedef {object} MochaRun
 * @property {import("./layers.mjs").Layer} layer
 * @property {readonly string[]} files
 * @property {readonly string[]} mochaArgs
 * @property {string} node
 * @property {NodeJS.ProcessEnv} env
 * @property {string} logPath receives what the tests print; of this run alone
 * @property {AbortSignal} stop ends the run early
 * @property {(event: import("./reporter.mjs").TestEvent) => void} onEvent
 * @property {number} [endGraceMs] how long mocha may take to end after its last test: it waits for
 *   whatever the tests have left open
 */

/**
 * Runs test files of one layer in one mocha process.
 * @param {MochaRun} run
 * @returns {Promise<string | undefined>} why the run is incomplete, if it is
 */
export async function runMocha({
  layer,
  files,
  mochaArgs,
  node,
  env,
  logPath,
  stop,
  onEvent,
  endGraceMs = 20_000,
}) {
  const events = `${logPath}.events`;
  writeFileSync(events, "");
  const log = openSync(logPath, "a");
  const args = [
    ...[MOCHA, "--reporter", REPORTER, "--reporter-option", `events=${events}`],
    ...["--timeout", String(layer.timeoutSec * 1000)],
    // mocha's own choice is one job less than cores, which is none gained on two.
    ...(layer.isQuick ? ["--parallel", "--jobs", String(Math.max(2, availableParallelism()))] : []),
    ...[...mochaArgs, ...files],
  ];
  // A process group of its own: Ctrl-C reaches mocha only through `stop`, which lets it clean up.
  const child = spawn(node, args, {
    cwd: repoDir,
    env,
    stdio: ["ignore", log, log],
    detached: true,
  });
  let isComplete = false;
  let hasLeak = false;
  const follower = followFile(events, (line) => {
    const event = JSON.parse(line);
    onEvent(event);
    if (event.event !== "complete") return;
    isComplete = true;
    setTimeout(
      () => {
        hasLeak = killGroup(child) && !stop.aborted;
      },
      stop.aborted ? 0 : endGraceMs,
    ).unref();
  });
  const ended = endOf(child);
  const onStop = () => void stopGently(child, ended);
  stop.addEventListener("abort", onStop, { once: true });
  if (stop.aborted) onStop();
  try {
    const end = await ended;
    follower.finish();
    if (hasLeak) {
      return "mocha did not end after its last test: a test leaves a timer, socket or process open";
    }
    return isComplete
      ? undefined
      : `mocha ended (${end}) before all tests had run\n${tailOf(logPath)}`;
  } finally {
    stop.removeEventListener("abort", onStop);
    closeSync(log);
    rmSync(events, { force: true });
  }
}

/**
 * @param {import("node:child_process").ChildProcess} child
 * @returns {Promise<string>}
 */
function endOf(child) {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) =>
      resolve(code === null ? `signal ${signal}` : `exit ${code}`),
    );
  });
}

/**
 * @param {import("node:child_process").ChildProcess} child
 * @param {Promise<string>} ended
 */
async function stopGently(child, ended) {
  child.kill("SIGTERM");
  const grace = setTimeout(() => killGroup(child), STOP_GRACE_MS);
  await ended;
  clearTimeout(grace);
}

/**
 * @param {import("node:child_process").ChildProcess} child
 * @returns {boolean} whether there was still something to kill
 */
function killGroup(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return false;
  return process.kill(-child.pid, "SIGKILL");
}

/**
 * Hands over each line that is appended to a file.
 * @param {string} path
 * @param {(line: string) => void} onLine
 */
function followFile(path, onLine) {
  const fd = openSync(path, "r");
  const chunk = Buffer.alloc(1 << 16);
  let rest = Buffer.alloc(0);
  const read = () => {
    for (let count = readSync(fd, chunk); count > 0; count = readSync(fd, chunk)) {
      rest = Buffer.concat([rest, chunk.subarray(0, count)]);
    }
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      onLine(rest.subarray(0, end).toString("utf8"));
      rest = rest.subarray(end + 1);
    }
  };
  const timer = setInterval(read, 200);
  return {
    finish() {
      clearInterval(timer);
      read();
      closeSync(fd);
    },
  };
}

/** @param {string} path */
function tailOf(path) {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-25).join("\n");
}
