import { spawn } from "node:child_process";
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { logDir } from "./paths.mjs";

/**
 * @typedef {object} LoggedRun
 * @property {string} what what the command does, for the error message
 * @property {string} log name of the log file below the log folder, without suffix
 * @property {number} timeoutSec the command is killed after this time
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {number} [lock] descriptor of the lock that covers the command
 */

/**
 * Runs a command with its output in a log file. A failure is an Error with the last lines of it.
 * @param {string} command
 * @param {string[]} args
 * @param {LoggedRun} options
 * @returns {Promise<void>}
 */
export async function runLogged(command, args, { what, log, timeoutSec, cwd, env, lock }) {
  mkdirSync(logDir, { recursive: true });
  const path = join(logDir, `${log}.log`);
  const out = openSync(path, "w");
  try {
    // A command must not outlive a killed set-up: the next run would meet it in the same folder.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", command, ...args], {
      cwd,
      env,
      stdio: ["ignore", out, out, ...(lock === undefined ? [] : [lock])],
    });
    const end = await endOf(child, timeoutSec * 1000);
    if (end !== "exit 0") {
      throw new Error(
        `${what} failed (${end}): ${command} ${args.join(" ")}\n${lastLines(path, 20)}\n` +
          `Whole log: ${path}. Run the same command again: what is complete is kept.`,
      );
    }
  } finally {
    closeSync(out);
  }
}

/**
 * Runs a short command; never throws for its exit code.
 * @param {string} command
 * @param {string[]} args
 * @param {{env?: NodeJS.ProcessEnv, cwd?: string, timeoutMs?: number}} [options]
 * @returns {Promise<{ok: boolean, stdout: string, stderr: string}>}
 */
export async function capture(command, args, { env, cwd, timeoutMs = 30_000 } = {}) {
  const child = spawn(command, args, { env, cwd, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  try {
    const end = await endOf(child, timeoutMs);
    return { ok: end === "exit 0", stdout, stderr };
  } catch (error) {
    return { ok: false, stdout, stderr: messageOf(error) };
  }
}

/**
 * @param {string} program
 * @param {string | undefined} [path] as in the variable PATH
 * @returns {string | undefined}
 */
export function findOnPath(program, path = process.env["PATH"]) {
  return (path ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

/** @param {string} path */
export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * @param {import("node:child_process").ChildProcess} child
 * @param {number} timeoutMs
 * @returns {Promise<string>}
 */
function endOf(child, timeoutMs) {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.on("error", (error) => {
      clearTimeout(limit);
      reject(new Error(`${child.spawnfile} cannot be started: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      clearTimeout(limit);
      resolve(code === null ? `killed by ${signal}` : `exit ${code}`);
    });
  });
}

/** @param {string} path @param {number} count */
function lastLines(path, count) {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-count).join("\n");
}
