import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDir } from "./paths.mjs";
import { say } from "./progress.mjs";

const MAX_WAIT_SEC = 3600;

/**
 * Runs `work` while no other process makes the same part of the same cache; a second one waits.
 * The kernel frees the lock when its last holder is gone, so a killed run leaves nothing stale. The
 * descriptor is handed to `work` to be passed on: a build whose parent was killed still holds it.
 * @template T
 * @param {string} name
 * @param {(fd: number) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(name, work) {
  const path = join(cacheDir, "lock", name);
  mkdirSync(join(cacheDir, "lock"), { recursive: true });
  const fd = openSync(path, "a");
  try {
    if (!(await flock(fd, ["--nonblock"]))) {
      const owner = readFileSync(path, "utf8").trim() || "unknown";
      say(`${name}: another set-up makes it (process ${owner}); waiting for that`);
      if (!(await flock(fd, ["--wait", String(MAX_WAIT_SEC)]))) {
        throw new Error(
          `The lock ${path} was not free within ${MAX_WAIT_SEC / 60} minutes: the set-up of process ` +
            `${owner} hangs. End that process and run this again; what is complete is kept.`,
        );
      }
    }
    writeFileSync(path, `${process.pid}\n`);
    return await work(fd);
  } finally {
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
