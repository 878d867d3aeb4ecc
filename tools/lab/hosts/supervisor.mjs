import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostCgroups, removeCgroups } from "./cgroups.mjs";
import { must, run } from "./command.mjs";
import { killedWithUs } from "./console.mjs";
import { serveControl } from "./control.mjs";
import { Host } from "./host.mjs";
import { linkImages, writeIdentity } from "./identity.mjs";
import { createFabric, hostInterface, uplinkName } from "./network.mjs";
import { healthyNpuDoc, npuIps, writeNpuDoc } from "./npu-doc.mjs";
import { labPaths } from "./paths.mjs";
import { isAlive, recordOf, waitFor } from "./processes.mjs";
import { profiles } from "./profiles.mjs";

/**
 * One process per lab, started by `labUp`: holds the lab's network, starts its hosts again when
 * they reboot, takes everything down at the end. Everything that it starts is killed when it ends.
 *
 * usage: node supervisor.mjs ID
 */

/**
 * What `labUp` asks for.
 * @typedef {object} LabConfig
 * @property {string} id
 * @property {string} token
 * @property {import("./profiles.mjs").ProfileName} profile
 * @property {"ray" | "vllm" | "none"} image
 * @property {number} npus
 * @property {string[]} nodes
 * @property {string} rootfs
 * @property {string} golden data root with the images, or ""
 * @property {string} models
 * @property {import("./processes.mjs").ProcessRecord | null} owner the lab ends when it has ended
 *
 * What stays behind when this process is killed.
 * @typedef {object} SupervisorRecord
 * @property {import("./processes.mjs").ProcessRecord} process
 * @property {string} uplink
 * @property {string[]} cgroups
 */

/** @param {string} id */
async function main(id) {
  // The modes below are those of a host's files; the lab's directory itself is closed.
  process.umask(0o022);
  const paths = labPaths(id);
  /** @type {LabConfig} */
  const config = JSON.parse(readFileSync(paths.config, "utf8"));
  const cgroups = Object.fromEntries(
    config.nodes.map((node) => [node, hostCgroups(`lab-${config.token}-${node}`)]),
  );
  /** @type {SupervisorRecord} */
  const record = {
    process: recordOf(process.pid),
    uplink: uplinkName(config.token),
    cgroups: Object.values(cgroups).flat(),
  };
  writeJson(paths.supervisor, record);

  /** @type {Host[]} */
  let hosts = [];
  let phase = "preparing";
  let ending = false;
  const down = async () => {
    if (ending) return;
    ending = true;
    phase = "going down";
    await Promise.all(hosts.map((host) => host.cutPower().catch((error) => log(error.message))));
    for (const group of removeCgroups(record.cgroups)) log(`cgroup is still in use: ${group}`);
    // Before the directory: from here on the id is free again.
    await run(["ip", "link", "delete", record.uplink]);
    const grave = `${paths.dir}.removed-${process.pid}`;
    renameSync(paths.dir, grave);
    await must(["rm", "-rf", "--one-file-system", grave], { timeoutSec: 300 });
    process.exit(0);
  };
  const fail = (/** @type {unknown} */ error) => {
    log(/** @type {Error} */ (error).stack ?? String(error));
    phase = `failed: ${/** @type {Error} */ (error).message}`;
  };
  process.on("SIGTERM", () => down().catch(fail));
  process.on("SIGINT", () => down().catch(fail));
  if (config.owner !== null) {
    setInterval(() => {
      if (isAlive(config.owner) || ending) return;
      log("the process that the lab was made for has ended");
      down().catch(fail);
    }, 1000);
  }

  await serveControl(paths.control, async (request) => {
    const { operation } = request;
    if (operation === "status") {
      return { phase, nodes: hosts.map((host) => host.status()) };
    }
    if (operation === "down") {
      setImmediate(() => down().catch(fail));
      return null;
    }
    if (phase !== "running") throw new Error(`lab ${id} is not running: ${phase}`);
    const host = hosts.find(({ name }) => name === request.node);
    if (host === undefined) {
      throw new Error(`lab ${id} has no node ${request.node}: it has ${config.nodes.join(", ")}`);
    }
    return operate(host, request);
  });

  try {
    hosts = await prepare({ config, paths, cgroups });
    await startAgent(paths);
    phase = "running";
    await Promise.all(hosts.map((host) => host.powerOn()));
  } catch (error) {
    fail(error);
    // The caller of labUp shows the log and removes the rest.
    process.exit(1);
  }
}

/** @param {Host} host @param {import("./control.mjs").ControlRequest} request */
async function operate(host, request) {
  const timeoutSec = Number(request["timeoutSec"] ?? 180);
  const next = host.boots + 1;
  switch (request.operation) {
    case "power-on":
      await host.powerOn();
      break;
    case "power-off":
      await (request["clean"] === true ? host.shutDown() : host.cutPower());
      return null;
    case "power-cut":
      await host.cutPower();
      setTimeout(
        () => host.powerOn().catch((error) => log(error.message)),
        Number(request["seconds"] ?? 0) * 1000,
      );
      break;
    case "reboot":
      host.reboot();
      break;
    case "link":
      await host.setLink(request["up"] === true);
      return null;
    case "wait":
      return host.waitUp(Number(request["boot"] ?? host.boots), timeoutSec);
    default:
      throw new Error(`unknown operation: ${request.operation}`);
  }
  if (request["wait"] !== false) await host.waitUp(next, timeoutSec);
  return null;
}

/**
 * @param {object} args
 * @param {LabConfig} args.config
 * @param {ReturnType<typeof labPaths>} args.paths
 * @param {Record<string, string[]>} args.cgroups
 */
async function prepare({ config, paths, cgroups }) {
  const { id, profile, npus, nodes, rootfs } = config;
  const fabric = await createFabric(config.token);
  log(`lab ${id}: ${fabric.prefix}.0/24`);
  await must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", `lab-${id}`, "-f", paths.key]);
  const publicKey = readFileSync(`${paths.key}.pub`, "utf8");
  const members = nodes.map((name, index) => ({
    name,
    index,
    octet: firstOctet + index,
    address: `${fabric.prefix}.${firstOctet + index}`,
  }));
  const hostsFile = [
    "127.0.0.1 localhost",
    ...members.map(({ name, address }) => `${address} ${name}`),
    "",
  ].join("\n");
  const made = await Promise.all(
    members.map(async ({ name, index, octet, address }) => {
      const node = paths.node(name);
      const npuDoc = healthyNpuDoc({ name, index, npus });
      mkdirSync(join(paths.fabric, name), { recursive: true });
      writeNpuDoc(paths.fabric, name, npuDoc);
      const hostKey = await writeIdentity({
        ...{ name, profile, rootfs, publicKey, npuDoc },
        paths: node,
        hosts: hostsFile,
      });
      if (config.golden !== "") await linkImages(config.golden, node.docker);
      const host = new Host({
        ...{ name, octet, fabric, paths: node, fabricDir: paths.fabric, rootfs, log },
        models: config.models,
        cgroups: /** @type {string[]} */ (cgroups[name]),
      });
      const ips = npuIps({ index, npus });
      return { host, view: { name, address, hostKey, npuIps: ips, dir: node.dir } };
    }),
  );
  writeFileSync(
    paths.knownHosts,
    made.map(({ view }) => `${view.address} ${view.hostKey}\n`).join(""),
  );
  const { user } = profiles[profile];
  writeJson(paths.record, {
    id,
    subnet: `${fabric.prefix}.0/24`,
    profile,
    image: config.image,
    imageId: config.golden === "" ? null : readText(join(config.golden, "image-id")),
    nodes: made.map(({ view }) => ({ ...view, user, interface: hostInterface })),
    sshKey: paths.key,
    knownHosts: paths.knownHosts,
    agentSocket: paths.agent,
    fabric: paths.fabric,
    uplink: fabric.uplink,
    supervisor: recordOf(process.pid),
  });
  return made.map(({ host }) => host);
}

/**
 * An agent of the lab's own, with the lab's key and nothing else. The kernel forgets for a program
 * with set-group-id bit that it shall end with its parent, therefore the namespace around it.
 * @param {ReturnType<typeof labPaths>} paths
 */
async function startAgent(paths) {
  const script = 'ssh-agent -D -a "$0" & wait';
  spawn(
    ...killedWithUs("unshare", [
      "--pid",
      "--fork",
      "--kill-child",
      "sh",
      "-c",
      script,
      paths.agent,
    ]),
    { stdio: "ignore" },
  );
  await waitFor(() => (existsSync(paths.agent) ? true : undefined), {
    timeoutSec: 10,
    everyMs: 20,
    what: "ssh-agent did not start",
  });
  await must(["ssh-add", "-q", paths.key], {
    env: { ...process.env, SSH_AUTH_SOCK: paths.agent },
  });
}

/** @param {string} path @param {unknown} value */
function writeJson(path, value) {
  writeFileSync(`${path}.partial`, `${JSON.stringify(value, null, 2)}\n`);
  chmodSync(`${path}.partial`, 0o600);
  renameSync(`${path}.partial`, path);
}

/** @param {string} path */
function readText(path) {
  return readFileSync(path, "utf8").trim();
}

/** @param {string} line */
function log(line) {
  process.stderr.write(`${new Date().toISOString()} ${line}\n`);
}

/** Addresses below are left to the machine (.1) and to tests. */
const firstOctet = 11;

await main(/** @type {string} */ (process.argv[2]));
