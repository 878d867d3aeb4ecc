import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { must, run } from "./command.mjs";

/**
 * Network of one lab. A bridge in a network namespace of its own (the fabric) joins the hosts; one
 * veth pair joins it to the machine, which has the address `.1`. So neither the machine's packet
 * filter nor its sysctls matter to the traffic between hosts, and none of them is changed.
 *
 * The hosts' default gateway is the fabric, which answers "unreachable" at once for everything that
 * is not in the lab: hosts meet neither other labs nor the machine's networks, and nothing waits.
 *
 * The namespaces have no name and no mount: this process holds them by descriptors. When it ends,
 * however it ends, the kernel removes them with everything in them, the machine's end of the veth
 * pair too.
 */

/** Name of the network interface inside the hosts, as on an Atlas 800I A2. */
export const hostInterface = "enp67s0f0";

/**
 * A network namespace, alive as long as the descriptor is open.
 * @typedef {{fd: number, path: string}} NetworkNamespace
 */

/**
 * @typedef {object} Fabric
 * @property {NetworkNamespace} namespace
 * @property {string} prefix first three numbers of the lab's addresses
 * @property {string} uplink name of the machine's interface
 * @property {string} token
 */

/**
 * @param {string} token what no other lab on the machine has, 6 hexadecimal digits
 * @returns {Promise<Fabric>}
 */
export async function createFabric(token) {
  const prefix = await reserveSubnet();
  const uplink = uplinkName(token);
  const namespace = await createNamespace();
  await must(
    `ip link add ${uplink} address ${mac(token, 1)} type veth peer name uplink netns ${namespace.path}`.split(
      " ",
    ),
  );
  await batch(namespace, [
    "link set lo up",
    // A bridge without an address of its own takes the lowest of its ports, and so changes it.
    `link add bridge address ${mac(token, gateway)} type bridge`,
    "link set uplink master bridge up",
    "link set bridge up",
    `address add ${prefix}.${gateway}/24 dev bridge`,
    "route add unreachable default",
  ]);
  await must(inNamespace(namespace, ["sh", "-c", routerSettings]));
  await must(["ip", "link", "set", uplink, "addrgenmode", "none", "up"]);
  await must(["ip", "address", "add", `${prefix}.1/24`, "dev", uplink]);
  return { namespace, prefix, uplink, token };
}

/** @param {string} token */
export function uplinkName(token) {
  return `lab${token}`;
}

/**
 * Plugs a host in: a new namespace with the host's interface, as at each power-on.
 * @param {Fabric} fabric
 * @param {{octet: number, linkUp: boolean}} host
 * @returns {Promise<NetworkNamespace>}
 */
export async function plugIn(fabric, { octet, linkUp }) {
  const namespace = await createNamespace();
  const port = portName(octet);
  await unplug(fabric, octet);
  await batch(fabric.namespace, [
    // The same address at each power-on: the peers' neighbour entries would be wrong for 30 s.
    `link add ${port} type veth peer name ${hostInterface} address ${mac(fabric.token, octet)} netns ${namespace.path}`,
    `link set ${port} master bridge ${linkUp ? "up" : "down"}`,
  ]);
  await batch(namespace, [
    "link set lo up",
    `address add ${fabric.prefix}.${octet}/24 dev ${hostInterface}`,
    `link set ${hostInterface} up`,
    // Programs find their own address by the default route.
    `route add default via ${fabric.prefix}.${gateway}`,
  ]);
  return namespace;
}

/** @param {Fabric} fabric @param {number} octet */
export async function unplug(fabric, octet) {
  await run(inNamespace(fabric.namespace, ["ip", "link", "delete", portName(octet)]));
}

/**
 * The cable between host and switch.
 * @param {Fabric} fabric
 * @param {{octet: number, linkUp: boolean}} host
 */
export async function setLink(fabric, { octet, linkUp }) {
  await batch(fabric.namespace, [`link set ${portName(octet)} ${linkUp ? "up" : "down"}`]);
}

/** @param {NetworkNamespace} namespace */
export function releaseNamespace(namespace) {
  closeSync(namespace.fd);
}

/** @param {NetworkNamespace} namespace @param {readonly string[]} argv */
export function inNamespace(namespace, argv) {
  return ["nsenter", `--net=${namespace.path}`, ...argv];
}

/** @returns {Promise<NetworkNamespace>} */
async function createNamespace() {
  const holder = spawn("unshare", ["--net", "sh", "-c", "echo made; read -r _"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exit = once(holder, "exit");
  await Promise.race([
    once(/** @type {import("node:stream").Readable} */ (holder.stdout), "data"),
    exit.then(() => {
      throw new Error("unshare --net failed: no network namespace can be made on this machine");
    }),
  ]);
  const fd = openSync(`/proc/${holder.pid}/ns/net`, "r");
  holder.stdin?.end();
  await exit;
  return { fd, path: `/proc/${process.pid}/fd/${fd}` };
}

/** @param {NetworkNamespace} namespace @param {readonly string[]} lines */
async function batch(namespace, lines) {
  await must(inNamespace(namespace, ["ip", "-batch", "-"]), { input: `${lines.join("\n")}\n` });
}

/**
 * A /24 of 10.77.0.0/16 that nothing on this machine uses. Two labs that look at the same time are
 * kept apart by a socket in the abstract namespace: one process per name and machine.
 */
async function reserveSubnet() {
  const used = await must(["ip", "-4", "-oneline", "address"]);
  const routes = await must(["ip", "-4", "route", "show", "table", "all"]);
  const numbers = Array.from({ length: 250 }, (_, index) => index + 1).sort(
    () => Math.random() - 0.5,
  );
  for (const number of numbers) {
    const prefix = `10.77.${number}`;
    if (`${used}\n${routes}`.includes(` ${prefix}.`)) continue;
    if (await bindAbstract(`vllm-ascend-lab/${prefix}`)) return prefix;
  }
  throw new Error(
    "no free subnet: each /24 from 10.77.1.0 to 10.77.250.0 is in use on this machine. " +
      "Look at `ip -4 address` and `lab list`; `lab down --stale` removes leftovers of killed labs.",
  );
}

/** @param {string} name @returns {Promise<boolean>} */
function bindAbstract(name) {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.on("error", () => resolve(false));
    server.listen(`\0${name}`, () => resolve(true));
    server.unref();
  });
}

/** @param {string} token @param {number} last */
function mac(token, last) {
  return `02:${token.match(/../g)?.join(":")}:00:${last.toString(16).padStart(2, "0")}`;
}

/** @param {number} octet */
function portName(octet) {
  return `host${octet}`;
}

const gateway = 254;

// Settings of the fabric's namespace alone; without the second one, only the first of several
// packets is told that it cannot get through.
const routerSettings =
  "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit";
