import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

/**
 * One directory per cgroup hierarchy that is mounted here, for one host.
 *
 * With version 1 it lies below the caller's own group, so that limits set on the caller hold. With
 * version 2 a group that holds processes cannot pass controllers on to children; only the root
 * can, therefore it lies there (where dockerd's `cgroupfs` driver puts its groups, too).
 * @param {string} name unique on the machine
 * @returns {string[]}
 */
export function hostCgroups(name) {
  if (isUnified()) return [join(mountPoint, name)];
  return readFileSync("/proc/self/cgroup", "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [, controllers = "", ...path] = line.split(":");
      return { controllers, path: path.join(":") };
    })
    .map(({ controllers, path }) => ({ base: hierarchy(controllers), path }))
    .filter(({ base }) => existsSync(base))
    .map(({ base, path }) => join(base, path, name));
}

/** @param {readonly string[]} groups */
export function createCgroups(groups) {
  for (const group of groups) {
    mkdirSync(group, { recursive: true });
    // A new version 1 cpuset is empty, and no process may enter it.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      const own = join(group, file);
      if (isUnified() || !existsSync(own) || readFileSync(own, "utf8").trim() !== "") continue;
      writeFileSync(own, readFileSync(join(dirname(group), file), "utf8"));
    }
  }
}

/**
 * Removes groups whose processes are gone. Returns those that could not be removed.
 * @param {readonly string[]} groups
 */
export function removeCgroups(groups) {
  return groups.filter((group) => {
    removeTree(group);
    return existsSync(group);
  });
}

/** Whether the machine has version 2 only (as Debian 12 by default). */
export function isUnified() {
  return existsSync(join(mountPoint, "cgroup.controllers"));
}

/** @param {string} controllers as in /proc/self/cgroup */
function hierarchy(controllers) {
  if (controllers === "") return join(mountPoint, "unified");
  return join(mountPoint, controllers.replace(/^name=/, ""));
}

/** @param {string} group */
function removeTree(group) {
  try {
    for (const entry of readdirSync(group, { withFileTypes: true })) {
      if (entry.isDirectory()) removeTree(join(group, entry.name));
    }
    rmdirSync(group);
  } catch {
    // Gone already, or still in use: the caller looks.
  }
}

const mountPoint = "/sys/fs/cgroup";
