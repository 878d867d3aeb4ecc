import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { labDir } from "./paths.mjs";
import { say } from "./progress.mjs";

/** File descriptor of the lock while this process holds it. @type {number | undefined} */
export let heldLock;

/**
 * Runs `work` while no other set-up of the same cache runs; a second one waits.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(work) {
  mkdirSync(labDir, { recursive: true });
  const fd = openSync(join(labDir, "lock"), "a");
  try {
    if (!(await flock(fd, ["--nonblock"]))) {
      say("another set-up of the lab is running on this checkout; waiting for it to end");
      if (!(await flock(fd, ["--wait", "7200"]))) {
        throw new Error(
          `The lab's set-up lock ${join(labDir, "lock")} was not free within two hours: ` +
            "another set-up hangs. `fuser -v` on that file names the process; end it and run again.",
        );
      }
    }
    heldLock = fd;
    return await work();
  } finally {
    heldLock = undefined;
    closeSync(fd);
  }
}

/**
 * flock(1) locks the open file description, which this process shares with it: the lock stays when
 * the command has ended, until every holder of the descriptor has closed it.
 * @param {number} fd
 * @param {string[]} args
 * @returns {Promise<boolean>}
 */
function flock(fd, args) {
  return new Promise((resolve, reject) => {
    const child = spawn("flock", ["--exclusive", ...args, "3"], {
      stdio: ["ignore", "ignore", "inherit", fd],
    });
    child.on("error", reject);
    child.on("exit", (code) => resolve(code === 0));
  });
}
