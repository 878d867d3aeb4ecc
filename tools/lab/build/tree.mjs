import { existsSync, readdirSync, readFileSync } from "node:fs";
import { outputOf } from "./command.mjs";

/**
 * Removes a directory tree that a build has made.
 * @param {string} path
 */
export async function removeTree(path) {
  if (!existsSync(path)) return;
  refuseIfMounted(path);
  await outputOf("rm", ["-rf", "--one-file-system", path]);
}

/**
 * Throws while any process sees a mount on, below or from a path: a running lab host would lose its
 * files, and a bind mount would lead `rm` astray.
 * @param {string} path
 */
export function refuseIfMounted(path) {
  const user = mountUser(path);
  if (user !== undefined) {
    throw new Error(
      `${path} is to be replaced, but process ${user} still uses a mount of it: ` +
        "a lab is running on it. Take the lab down (npm run demo:down), then run set-up again.",
    );
  }
}

/**
 * @param {string} path
 * @returns {string | undefined} a process in whose mount table the path occurs
 */
function mountUser(path) {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const table = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
      if (mentions(table, path)) return pid;
    } catch {
      // The process has ended in the meantime.
    }
  }
  return undefined;
}

/**
 * Mount points, roots of bind mounts and the directories of an overlay, whole path components only.
 * @param {string} table
 * @param {string} path
 */
export function mentions(table, path) {
  const escaped = path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll(" ", "\\\\040");
  return new RegExp(`(^|[ =:,])${escaped}($|[/ :,\n])`, "m").test(table);
}
