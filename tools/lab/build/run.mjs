import { spawn } from "node:child_process";
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { heldLock } from "./lock.mjs";
import { logDir } from "./paths.mjs";

/**
 * @typedef {object} RunOptions
 * @property {string} log name of the log file below the log folder, without suffix
 * @property {string} what what the command does, for the error message
 * @property {Record<string, string | undefined>} [env]
 * @property {string} [stdin] path of a file that becomes standard input
 * @property {number} [minutes] the command is killed after this time, default 60
 */

/**
 * Runs a command with its output appended to a log file. A failure is an Error that carries the
 * last lines of that log.
 * @param {string} command
 * @param {string[]} args
 * @param {RunOptions} options
 * @returns {Promise<void>}
 */
export async function run(command, args, { log, what, env, stdin, minutes = 60 }) {
  mkdirSync(logDir, { recursive: true });
  const path = join(logDir, `${log}.log`);
  const out = openSync(path, "a");
  const begin = fstatSync(out).size;
  const input = stdin === undefined ? undefined : openSync(stdin, "r");
  try {
    const end = await exitOf(command, args, {
      env,
      minutes,
      // The lock is passed on so that it is held until the last process of a killed build is gone.
      stdio: [input ?? "ignore", out, out, ...(heldLock === undefined ? [] : [heldLock])],
    });
    if (end !== "exit 0") {
      throw new Error(
        `${what} failed (${end}): ${command} ${args.join(" ")}\n${lastLines(path, begin)}\n` +
          `Whole log: ${path}. Set-up continues where it stopped when it is run again.`,
      );
    }
  } finally {
    closeSync(out);
    if (input !== undefined) closeSync(input);
  }
}

/**
 * Runs a short command and returns its standard output.
 * @param {string} command
 * @param {string[]} args
 * @param {{env?: NodeJS.ProcessEnv, cwd?: string}} [options]
 * @returns {Promise<string>}
 */
export function capture(command, args, { env, cwd } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: env ?? process.env,
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 300_000,
    });
    let out = "";
    let err = "";
    child.stdout.on("data", (part) => {
      out += part;
    });
    child.stderr.on("data", (part) => {
      err += part;
    });
    child.on("error", (error) =>
      reject(new Error(`${command} cannot be started: ${error.message}`)),
    );
    child.on("close", (code, signal) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${command} ${args.join(" ")}: exit ${code ?? signal}: ${err.trim()}`));
    });
  });
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{env: Record<string, string | undefined> | undefined, minutes: number, stdio: (number | "ignore")[]}} options
 * @returns {Promise<string>} how the command ended
 */
function exitOf(command, args, { env, minutes, stdio }) {
  return new Promise((resolve, reject) => {
    // A build must not outlive a killed set-up: the next run would meet it in the same tree.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", command, ...args], {
      env: env ?? process.env,
      stdio,
    });
    const limit = setTimeout(() => child.kill("SIGKILL"), minutes * 60_000);
    child.on("error", (error) => {
      clearTimeout(limit);
      reject(new Error(`${command} cannot be started: ${error.message}`));
    });
    child.on("exit", (code, signal) => {
      clearTimeout(limit);
      resolve(code === null ? `killed by ${signal}` : `exit ${code}`);
    });
  });
}

/** Of what was written after `begin`. @param {string} path @param {number} begin */
function lastLines(path, begin) {
  const written = readFileSync(path).subarray(begin).toString("utf8");
  return written.trimEnd().split("\n").slice(-25).join("\n");
}
