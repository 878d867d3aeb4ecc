import { readFileSync } from "node:fs";

/**
 * A process that can be told from a later one with the same id.
 * @typedef {{pid: number, startTime: string, machineBoot: string}} ProcessRecord
 */

/** @param {number} pid @returns {ProcessRecord} */
export function recordOf(pid) {
  return { pid, startTime: startTimeOf(pid) ?? "gone", machineBoot: machineBootId() };
}

/** @param {ProcessRecord | null | undefined} record */
export function isAlive(record) {
  return (
    record !== null &&
    record !== undefined &&
    record.machineBoot === machineBootId() &&
    startTimeOf(record.pid) === record.startTime
  );
}

/**
 * Clock ticks between the machine's boot and the start of the process; undefined when it has ended.
 * @param {number} pid
 */
export function startTimeOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command name, in brackets, may itself contain blanks and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** @param {number} ms @returns {Promise<void>} */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Asks until the answer is not undefined.
 * @template T
 * @param {() => T | undefined | Promise<T | undefined>} ask
 * @param {{timeoutSec: number, everyMs?: number, what: string | (() => string)}} options
 *   `what` completes the sentence "... did not happen within N s"
 * @returns {Promise<T>}
 */
export async function waitFor(ask, { timeoutSec, everyMs = 100, what }) {
  const deadline = Date.now() + timeoutSec * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) {
      throw new Error(`${typeof what === "string" ? what : what()} (waited ${timeoutSec} s)`);
    }
    await sleep(everyMs);
  }
}

function machineBootId() {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
