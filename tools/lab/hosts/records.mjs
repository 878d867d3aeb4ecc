import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { removeCgroups } from "./cgroups.mjs";
import { must, run } from "./command.mjs";
import { labPaths, runDir } from "./paths.mjs";
import { isAlive, startTimeOf, waitFor } from "./processes.mjs";

/**
 * @typedef {object} LabNode
 * @property {string} name also its host name
 * @property {string} address
 * @property {string} hostKey `ssh-ed25519 AAAA...`
 * @property {string} user who logs in by ssh
 * @property {string} interface
 * @property {string[]} npuIps by physical id
 * @property {string} dir what the machine keeps of the host: `upper` (its root file system), `console.log`
 *
 * @typedef {object} LabRecord
 * @property {string} id
 * @property {string} subnet
 * @property {import("./profiles.mjs").ProfileName} profile
 * @property {"ray" | "vllm" | "none"} image
 * @property {string | null} imageId as `docker images` on the hosts shows it
 * @property {LabNode[]} nodes
 * @property {string} sshKey private key
 * @property {string} knownHosts file with the host keys of all nodes
 * @property {string} agentSocket agent of the lab's own, for SSH_AUTH_SOCK
 * @property {string} fabric
 * @property {string} uplink the machine's interface to the lab
 * @property {import("./processes.mjs").ProcessRecord} supervisor
 *
 * @typedef {"running" | "starting" | "stale"} LabState
 *   "stale": a killed run has left it behind
 *
 * @typedef {{id: string, state: LabState, dir: string, record: LabRecord | null}} ListedLab
 */

/** @returns {ListedLab[]} */
export function listLabs() {
  if (!existsSync(runDir)) return [];
  return readdirSync(runDir)
    .sort()
    .filter((id) => !isInTransit(id))
    .map((id) => {
      const paths = labPaths(id);
      const record = readJson(paths.record);
      return { id, state: stateOf(id), dir: paths.dir, record };
    });
}

/**
 * Removes what killed labs of this checkout have left behind. Running labs are not touched.
 * @returns {Promise<string[]>} ids of the labs removed
 */
export async function removeStale() {
  /** @type {string[]} */
  const removed = [];
  for (const { id, state } of listLabs()) {
    if (state === "stale" && (await removeLeftovers(id))) removed.push(id);
  }
  return removed;
}

/**
 * A directory gets its name when its content is written, and loses it before it is deleted; in
 * between, its name ends with the process at work.
 * @param {string} id
 */
function isInTransit(id) {
  const worker = /\.(?:new|removed)-(\d+)$/.exec(id)?.[1];
  return worker !== undefined && startTimeOf(Number(worker)) !== undefined;
}

/** @param {string} id @returns {LabState} */
function stateOf(id) {
  const paths = labPaths(id);
  const supervisor = readJson(paths.supervisor);
  if (supervisor !== null) {
    if (!isAlive(supervisor.process)) return "stale";
    return existsSync(paths.record) ? "running" : "starting";
  }
  // Not yet that far: whoever called labUp is at work, or was killed.
  return isAlive(readJson(paths.config)?.creator) ? "starting" : "stale";
}

/**
 * The supervisor is gone, and with it by the kernel's doing its hosts, its agent, its network. Left
 * are empty cgroups and the directory; the rest is for kernels that are slow about it.
 * @param {string} id
 * @returns {Promise<boolean>} false: another process is removing it
 */
export async function removeLeftovers(id) {
  const paths = labPaths(id);
  const supervisor = readJson(paths.supervisor);
  const grave = join(runDir, `${id.replace(/\..*$/, "")}.removed-${process.pid}`);
  try {
    renameSync(paths.dir, grave);
  } catch {
    return false;
  }
  if (supervisor !== null) {
    await run(["ip", "link", "delete", supervisor.uplink]);
    try {
      await waitFor(() => (removeCgroups(supervisor.cgroups).length === 0 ? true : undefined), {
        timeoutSec: 30,
        what:
          `processes of lab ${id} do not end: see cgroup.procs in ${supervisor.cgroups[0]}; ` +
          "end them, then run `lab down --stale` again",
      });
    } catch (error) {
      renameSync(grave, paths.dir);
      throw error;
    }
  }
  await must(["rm", "-rf", "--one-file-system", grave], { timeoutSec: 300 });
  return true;
}

/** @param {string} path @returns {any} */
function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}
