import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { run } from "./command.mjs";
import { isAlive } from "./processes.mjs";

/**
 * Runs a command inside a host as root, beside sshd: it works while sshd is stopped or refuses.
 * @param {import("./processes.mjs").ProcessRecord} init first process of the host
 * @param {readonly string[]} argv
 * @param {{timeoutSec?: number, input?: string}} [options]
 * @returns {Promise<import("./command.mjs").CommandResult>}
 */
export async function runInHost(init, argv, { timeoutSec, input } = {}) {
  const opened = openNamespaces(init);
  try {
    return await run(enterArgv(argv), { timeoutSec, input, descriptors: opened });
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

/**
 * The same with the caller's own terminal and without time limit.
 * @param {import("./processes.mjs").ProcessRecord} init
 * @param {readonly string[]} argv
 * @returns {Promise<number>} exit code
 */
export async function attachToHost(init, argv) {
  const opened = openNamespaces(init);
  const [command = "", ...args] = enterArgv(argv);
  const child = spawn(command, args, { stdio: ["inherit", "inherit", "inherit", ...opened] });
  for (const fd of opened) closeSync(fd);
  const [code] = await once(child, "exit");
  return code ?? 255;
}

/** @param {readonly string[]} argv */
function enterArgv(argv) {
  const options = namespaces.map(([, option], index) => `--${option}=/proc/self/fd/${index + 3}`);
  return [
    "nsenter",
    ...options,
    "--",
    ...dropMachineCapabilities,
    "env",
    "-i",
    ...environment,
    ...argv,
  ];
}

/**
 * Opens the namespaces first and looks at the process afterwards: so they are surely the host's.
 * Between its first moments and systemd, that process still has the machine's file system, where a
 * command meant for the host would do harm.
 * @param {import("./processes.mjs").ProcessRecord} init
 */
function openNamespaces(init) {
  /** @type {number[]} */
  const opened = [];
  try {
    for (const [file] of namespaces) opened.push(openSync(`/proc/${init.pid}/ns/${file}`, "r"));
    const command = readFileSync(`/proc/${init.pid}/comm`, "utf8").trim();
    const own = readlinkSync("/proc/self/ns/mnt");
    const mounts = readlinkSync(`/proc/self/fd/${opened[mountIndex]}`);
    if (command === "systemd" && mounts !== own && isAlive(init)) return opened;
  } catch {
    // The host has just gone.
  }
  for (const fd of opened) closeSync(fd);
  throw new Error("the host is off, or has not started its systemd yet");
}

/** File below /proc/PID/ns and option of nsenter(1). */
const namespaces = /** @type {const} */ ([
  ["cgroup", "cgroup"],
  ["ipc", "ipc"],
  ["uts", "uts"],
  ["net", "net"],
  ["pid", "pid"],
  ["mnt", "mount"],
]);
const mountIndex = namespaces.findIndex(([file]) => file === "mnt");

// As init.sh does for the host's systemd: without it, `date` on a host would set the machine's clock.
const dropMachineCapabilities = ["setpriv", "--bounding-set=-sys_time,-sys_module,-sys_rawio"];

const environment = [
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "HOME=/root",
  "USER=root",
  "LANG=C.UTF-8",
];
