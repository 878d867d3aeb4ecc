import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { labDir, products } from "./build/paths.mjs";
import { run } from "./hosts/command.mjs";
import { requestControl } from "./hosts/control.mjs";
import { attachToHost, runInHost } from "./hosts/enter.mjs";
import { readNpuDoc, setFault, writeNpuDoc } from "./hosts/npu-doc.mjs";
import { labPaths } from "./hosts/paths.mjs";
import { isAlive, recordOf, startTimeOf, waitFor } from "./hosts/processes.mjs";
import { profiles } from "./hosts/profiles.mjs";
import { listLabs, removeLeftovers, removeStale } from "./hosts/records.mjs";

export { listLabs, removeStale };

/**
 * @typedef {import("./hosts/command.mjs").CommandResult} CommandResult
 * @typedef {import("./hosts/records.mjs").LabNode} LabNode
 * @typedef {import("./hosts/records.mjs").LabRecord} LabRecord
 * @typedef {import("./hosts/npu-doc.mjs").NpuDoc} NpuDoc
 *
 * @typedef {object} LabOptions
 * @property {string} [id] letters, digits and "-", at most 16; default: random
 * @property {number | string[]} [nodes] count (node0, node1, ...) or names; default 2
 * @property {import("./hosts/profiles.mjs").ProfileName} [profile] default "root-debian"
 * @property {"ray" | "vllm" | "none"} [image] what the hosts' docker has; default "none"
 * @property {number} [npus] per node; default 8
 * @property {string | false} [models] directory that hosts see read-only as /srv/models; default:
 *   the models that set-up has made
 * @property {boolean} [owned] the lab goes down when this process ends, even by SIGKILL; default
 *   true. `lab up` sets false: its lab stays until `lab down`.
 *
 * @typedef {{name: string, state: "off" | "booting" | "up" | "failed", reason: string, boots: number,
 *   bootSec: number, linkUp: boolean, init: import("./hosts/processes.mjs").ProcessRecord | null}} NodeStatus
 */

/**
 * Brings up a lab: hosts with systemd, sshd and docker, all of them at once. Resolves when each
 * answers over ssh with its pinned key. Set-up (`ensureLab`) has to be done before.
 * @param {LabOptions} [options]
 * @returns {Promise<Lab>}
 */
export async function labUp(options = {}) {
  const config = planLab(options);
  await removeStale();
  createLabDirectory(config);
  const supervisor = startSupervisor(config.id);
  try {
    await waitForHosts(config.id, supervisor);
    const lab = openLab(config.id);
    await Promise.all(lab.nodes.map(({ name }) => lab.checkSsh(name)));
    return lab;
  } catch (error) {
    const report = describeFailure(config, /** @type {Error} */ (error));
    await takeDown(config.id).catch(() => {});
    throw new Error(report);
  }
}

/**
 * A lab that is running.
 * @param {string} [id] may be left out when there is only one
 * @returns {Lab}
 */
export function openLab(id) {
  const running = listLabs().filter(({ state }) => state === "running");
  const found = id === undefined ? running : running.filter((lab) => lab.id === id);
  if (found.length === 1) return new Lab(/** @type {LabRecord} */ (found[0]?.record));
  const names = running.map((lab) => lab.id).join(", ") || "none";
  throw new Error(
    found.length === 0
      ? `no lab ${id === undefined ? "is running" : `"${id}" is running`} (running: ${names}); start one with: lab up`
      : `several labs are running, name one with --id: ${names}`,
  );
}

/** Ends a lab in whatever state it is; everything of it is gone afterwards. @param {string} id */
export async function takeDown(id) {
  const paths = labPaths(id);
  if (!existsSync(paths.dir)) throw new Error(`there is no lab "${id}"; see: lab list`);
  const supervisor = existsSync(paths.supervisor)
    ? JSON.parse(readFileSync(paths.supervisor, "utf8")).process
    : null;
  if (isAlive(supervisor)) {
    // The socket comes a moment after the record; the signal means the same.
    await requestControl(paths.control, { operation: "down" }).catch(() =>
      process.kill(supervisor.pid, "SIGTERM"),
    );
    await waitFor(() => (isAlive(supervisor) ? undefined : true), {
      timeoutSec: 120,
      what: `the supervisor of lab ${id} (process ${supervisor.pid}) did not end; see ${paths.supervisorLog}`,
    });
  }
  if (existsSync(paths.dir)) await removeLeftovers(id);
  if (existsSync(paths.dir)) throw new Error(`lab ${id} could not be removed: ${paths.dir}`);
}

/** One running lab. */
export class Lab {
  /** @param {LabRecord} record */
  constructor(record) {
    this.record = record;
    this.id = record.id;
    this.nodes = record.nodes;
    this.agentSocket = record.agentSocket;
    this.sshKey = record.sshKey;
    this.knownHosts = record.knownHosts;
  }

  /** @param {string} name @returns {LabNode} */
  node(name) {
    const found = this.nodes.find((node) => node.name === name);
    if (found !== undefined) return found;
    const names = this.nodes.map((node) => node.name).join(", ");
    throw new Error(`lab ${this.id} has no node "${name}": it has ${names}`);
  }

  /** @returns {Promise<NodeStatus[]>} */
  async status() {
    return (await this.#request({ operation: "status" })).nodes;
  }

  /**
   * Runs a command on a host as root, by the lab's own door: it works without network and sshd.
   * @param {string} node
   * @param {readonly string[] | string} command words, or a script for bash
   * @param {{timeoutSec?: number, input?: string}} [options] 60 s
   * @returns {Promise<CommandResult>}
   */
  async exec(node, command, options = {}) {
    const argv = typeof command === "string" ? ["bash", "-c", command] : command;
    return runInHost(await this.#init(node), argv, options);
  }

  /**
   * Like `exec`, with the caller's terminal and without time limit.
   * @param {string} node
   * @param {readonly string[]} argv
   * @returns {Promise<number>} exit code
   */
  async attach(node, argv) {
    return attachToHost(await this.#init(node), argv);
  }

  /**
   * Like `exec`, but the command has to succeed.
   * @param {string} node
   * @param {readonly string[] | string} command
   * @param {{timeoutSec?: number, input?: string}} [options]
   * @returns {Promise<string>} standard output
   */
  async must(node, command, options = {}) {
    const { code, stdout, stderr } = await this.exec(node, command, options);
    if (code === 0) return stdout;
    const text = typeof command === "string" ? command : command.join(" ");
    throw new Error(`${node}: ${text}: exit ${code}: ${stderr.trim() || stdout.trim()}`);
  }

  /**
   * Runs a command over ssh as the node's user, as an operator does: real sshd, pinned host key.
   * @param {string} node
   * @param {string} command
   * @param {{timeoutSec?: number, input?: string}} [options]
   * @returns {Promise<CommandResult>}
   */
  ssh(node, command, options = {}) {
    return run(["ssh", ...this.sshArgs(node), command], options);
  }

  /** Arguments of ssh(1) up to the command, independent of the caller's own settings. @param {string} node */
  sshArgs(node) {
    const { user, address } = this.node(node);
    return [
      ...["-F", "/dev/null", "-i", this.sshKey, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"],
      ...["-o", `UserKnownHostsFile=${this.knownHosts}`, "-o", "GlobalKnownHostsFile=/dev/null"],
      ...["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5", `${user}@${address}`],
    ];
  }

  /** @param {string} node */
  async checkSsh(node) {
    const { code, stderr } = await this.ssh(node, "true", { timeoutSec: 20 });
    if (code !== 0) throw new Error(`${node} does not answer over ssh: ${stderr.trim()}`);
  }

  /**
   * `systemctl reboot`; resolves when sshd and docker run again.
   * @param {string} node
   * @param {{wait?: boolean}} [options]
   */
  async reboot(node, { wait = true } = {}) {
    await this.#request({ operation: "reboot", node, wait });
  }

  /**
   * Pulls the plug and puts it back after some seconds; resolves when sshd and docker run again.
   * @param {string} node
   * @param {number} [seconds]
   * @param {{wait?: boolean}} [options] false: resolves when the host is off
   */
  async powerCut(node, seconds = 1, { wait = true } = {}) {
    await this.#request({ operation: "power-cut", node, seconds, wait });
  }

  /**
   * @param {string} node
   * @param {{clean?: boolean}} [options] clean: `systemctl poweroff`; default: the plug is pulled
   */
  async powerOff(node, { clean = false } = {}) {
    await this.#request({ operation: "power-off", node, clean });
  }

  /** @param {string} node @param {{wait?: boolean}} [options] */
  async powerOn(node, { wait = true } = {}) {
    await this.#request({ operation: "power-on", node, wait });
  }

  /**
   * Waits until a host is up: sshd and docker run.
   * @param {string} node
   * @param {{boot?: number, timeoutSec?: number}} [options] boot: this boot or a later one, as
   *   counted by `status`; for a host that was told by other means to reboot. Default: the current
   *   one, which is up until the shutdown has ended it.
   */
  async waitUp(node, { boot, timeoutSec = 180 } = {}) {
    await this.#request({ operation: "wait", node, boot, timeoutSec });
  }

  /** Pulls the network cable of a host. @param {string} node */
  async linkDown(node) {
    await this.#request({ operation: "link", node, up: false });
  }

  /** @param {string} node */
  async linkUp(node) {
    await this.#request({ operation: "link", node, up: true });
  }

  /**
   * Sets a fault of the NPUs as npu-smi and hccn_tool see them; keys in docs/lab.md.
   * @param {string} node
   * @param {number | "all" | "node"} target physical id, all NPUs, or what the node as such says
   * @param {Record<string, unknown>} values
   */
  async fault(node, target, values) {
    this.editNpus(node, (doc) => setFault(doc, target, values));
  }

  /** @param {string} node */
  async clearFaults(node) {
    this.editNpus(node, (doc) => {
      doc.faults = {};
    });
  }

  /**
   * From the next boot on the device nodes appear so late.
   * @param {string} node
   * @param {number | "never"} delaySec
   */
  async npuDelay(node, delaySec) {
    this.editNpus(node, (doc) => {
      doc.devices.delaySec = delaySec;
    });
  }

  /**
   * Removes the device nodes of one NPU, or of all, from the running host.
   * @param {string} node
   * @param {number | "all"} npu
   */
  async npuVanish(node, npu) {
    await this.must(node, ["/usr/local/lib/lab/npu-driver", "remove", String(npu)]);
  }

  /** Makes them again. @param {string} node @param {number | "all"} npu */
  async npuAppear(node, npu) {
    await this.must(node, ["/usr/local/lib/lab/npu-driver", "add", String(npu)]);
  }

  /**
   * For what `fault` does not reach: changes the document that the stand-ins read.
   * @param {string} node
   * @param {(doc: NpuDoc) => void} edit
   */
  editNpus(node, edit) {
    this.node(node);
    const doc = readNpuDoc(this.record.fabric, node);
    edit(doc);
    writeNpuDoc(this.record.fabric, node, doc);
  }

  /** Ends the lab; everything of it is gone afterwards. */
  async down() {
    await takeDown(this.id);
  }

  /** @param {string} node */
  async #init(node) {
    this.node(node);
    const status = (await this.status()).find(({ name }) => name === node);
    if (status?.init) return status.init;
    throw new Error(`${node} cannot run a command: ${status?.reason}`);
  }

  /** @param {import("./hosts/control.mjs").ControlRequest} request */
  #request(request) {
    if (request.node !== undefined) this.node(request.node);
    return requestControl(labPaths(this.id).control, request);
  }
}

/**
 * @param {LabOptions} options
 * @returns {import("./hosts/supervisor.mjs").LabConfig & {creator: import("./hosts/processes.mjs").ProcessRecord}}
 */
function planLab({
  id = randomBytes(3).toString("hex"),
  nodes = 2,
  profile = "root-debian",
  image = "none",
  npus = 8,
  models = products.models,
  owned = true,
}) {
  const names = typeof nodes === "number" ? nodeNames(nodes) : nodes;
  check(process.getuid?.() === 0, "the lab needs root: it makes namespaces, mounts and devices");
  check(
    /^[a-z0-9][a-z0-9-]{0,15}$/.test(id),
    `id must be up to 16 of a-z, 0-9 and "-", got "${id}"`,
  );
  check(names.length >= 1 && names.length <= 200, `nodes must be 1 to 200, got ${names.length}`);
  for (const name of names) {
    check(/^[a-z][a-z0-9-]{0,30}$/.test(name), `"${name}" is no host name: a-z, 0-9 and "-"`);
  }
  check(new Set(names).size === names.length, `node names must differ, got ${names.join(", ")}`);
  check(profile in profiles, `profile must be one of ${Object.keys(profiles)}, got "${profile}"`);
  check(
    ["ray", "vllm", "none"].includes(image),
    `image must be ray, vllm or none, got "${image}" (two data roots of docker cannot be merged)`,
  );
  check(Number.isInteger(npus) && npus >= 0 && npus <= 64, `npus must be 0 to 64, got ${npus}`);
  const paths = labPaths(id);
  // The kernel's limit for sockets; ssh-agent's has to be reached by its whole path.
  check(
    Buffer.byteLength(paths.agent) <= 107,
    `${paths.agent} is too long for a socket: set VLLM_ASCEND_CACHE to a shorter directory`,
  );
  check(
    /^[^:,\\]*$/.test(labDir),
    `${labDir} must not contain ":", "," or "\\": overlay file systems take lists of paths; set VLLM_ASCEND_CACHE`,
  );
  const golden = image === "none" ? "" : products.golden[image];
  for (const path of [products.rootfs, golden].filter((path) => path !== "")) {
    check(existsSync(path), `${path} is not there yet: run set-up first (npm run setup)`);
  }
  if (models !== false && models === products.models) mkdirSync(models, { recursive: true });
  check(models === false || existsSync(models), `there is no directory ${models} for the models`);
  const self = recordOf(process.pid);
  return {
    ...{ id, token: randomBytes(3).toString("hex"), profile, image, npus, nodes: names, golden },
    rootfs: products.rootfs,
    models: models === false ? "" : resolve(models),
    owner: owned ? self : null,
    creator: self,
  };
}

/**
 * Whole or not at all: without its configuration it would look like a killed lab's to others.
 * @param {{id: string}} config
 */
function createLabDirectory(config) {
  const { dir } = labPaths(config.id);
  const partial = `${dir}.new-${process.pid}`;
  mkdirSync(partial, { recursive: true, mode: 0o700 });
  const content = `${JSON.stringify(config, null, 2)}\n`;
  writeFileSync(join(partial, basename(labPaths(config.id).config)), content, { mode: 0o600 });
  try {
    renameSync(partial, dir);
  } catch {
    rmSync(partial, { recursive: true });
    throw new Error(
      `there is a lab "${config.id}" already: take it down (lab down --id ${config.id}) or choose another id`,
    );
  }
}

/** @param {string} id @returns {() => boolean} whether it is still there */
function startSupervisor(id) {
  const paths = labPaths(id);
  const log = openSync(paths.supervisorLog, "a", 0o600);
  const script = fileURLToPath(new URL("hosts/supervisor.mjs", import.meta.url));
  const child = spawn(process.execPath, [script, id], {
    // A session of its own: Ctrl-C of the caller must not reach it.
    detached: true,
    stdio: ["ignore", log, log],
    cwd: "/",
  });
  closeSync(log);
  child.unref();
  const { pid } = child;
  return () => pid !== undefined && child.exitCode === null && startTimeOf(pid) !== undefined;
}

/** @param {string} id @param {() => boolean} supervisorRuns */
async function waitForHosts(id, supervisorRuns) {
  const { control } = labPaths(id);
  await waitFor(
    async () => {
      if (!supervisorRuns()) throw new Error("the lab's supervisor has ended");
      if (!existsSync(control)) return undefined;
      const { phase, nodes } = await requestControl(control, { operation: "status" });
      if (phase.startsWith("failed")) throw new Error(phase);
      for (const { name, state, reason } of nodes) {
        if (state === "failed") throw new Error(`${name} did not boot: ${reason}`);
      }
      const up = nodes.every((/** @type {NodeStatus} */ node) => node.state === "up");
      return phase === "running" && up ? true : undefined;
    },
    { timeoutSec: 300, what: "the lab's hosts are not up" },
  );
}

/** @param {{id: string, nodes: string[]}} config @param {Error} error */
function describeFailure({ id, nodes }, error) {
  const paths = labPaths(id);
  const logs = [paths.supervisorLog, ...nodes.map((node) => paths.node(node).console)];
  return [
    `lab ${id} did not come up: ${error.message}`,
    ...logs.filter(existsSync).map((log) => `--- end of ${log}\n${lastLines(log, 15)}`),
  ].join("\n");
}

/** @param {string} path @param {number} count */
function lastLines(path, count) {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-count).join("\n");
}

/** @param {number} count */
function nodeNames(count) {
  check(Number.isInteger(count), `nodes must be a whole number, got ${count}`);
  return Array.from({ length: count }, (_, index) => `node${index}`);
}

/** @param {boolean} holds @param {string} otherwise @returns {asserts holds} */
function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}
