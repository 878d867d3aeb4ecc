import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * State of one node's NPUs as its stand-in tools show it: `fabric/<node>/npu.json`, on the host
 * `/etc/lab/npu.json`. All keys are explained in docs/lab.md; whatever is absent has the default of
 * `overlay/usr/local/lib/lab/npu_state.py`.
 *
 * @typedef {Record<string, unknown>} Values
 * @typedef {object} NpuDoc
 * @property {string} node
 * @property {{count: number, delaySec?: number | "never", absent?: number[]}} devices
 * @property {Values} host values of the node
 * @property {Values} defaults values of every NPU
 * @property {Record<string, Values>} npus values by physical id
 * @property {Record<string, Values>} faults what `lab fault` has set, by "node", "all" or id; wins
 */

/**
 * A healthy node.
 * @param {object} node
 * @param {string} node.name
 * @param {number} node.index
 * @param {number} node.npus
 * @returns {NpuDoc}
 */
export function healthyNpuDoc({ name, index, npus }) {
  return {
    node: name,
    devices: { count: npus, delaySec: 0 },
    host: {},
    defaults: {
      netmask: "255.255.0.0",
      gateway: "10.20.0.1",
      netdetect: "10.20.0.1",
    },
    npus: Object.fromEntries(npuIps({ index, npus }).map((ip, id) => [String(id), { ip }])),
    faults: {},
  };
}

/** @param {{index: number, npus: number}} node @returns {string[]} */
export function npuIps({ index, npus }) {
  return Array.from({ length: npus }, (_, id) => `10.20.${index + 1}.${100 + id}`);
}

/**
 * `/etc/hccn.conf` that fits the document: what the NPUs' NICs are set to at boot.
 * @param {NpuDoc} doc
 */
export function hccnConf(doc) {
  return Object.entries(doc.npus)
    .flatMap(([id, own]) => {
      const npu = { ...doc.defaults, ...own };
      return [
        ["address", npu["ip"]],
        ["netmask", npu["netmask"]],
        ["netdetect", npu["netdetect"]],
        ["gateway", npu["gateway"]],
        ["send_arp_status", 1],
      ]
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([key, value]) => `${key}_${id}=${value}\n`);
    })
    .join("");
}

/** @param {string} fabricDir @param {string} node @returns {NpuDoc} */
export function readNpuDoc(fabricDir, node) {
  return JSON.parse(readFileSync(join(fabricDir, node, "npu.json"), "utf8"));
}

/** @param {string} fabricDir @param {string} node @param {NpuDoc} doc */
export function writeNpuDoc(fabricDir, node, doc) {
  const path = join(fabricDir, node, "npu.json");
  const partial = `${path}.${process.pid}.partial`;
  // The tools may read at any moment: they see the old document or the new one.
  writeFileSync(partial, `${JSON.stringify(doc, null, 2)}\n`, { mode: 0o644 });
  renameSync(partial, path);
}

/**
 * @param {NpuDoc} doc
 * @param {"node" | "all" | number} target
 * @param {Values} values dotted keys reach into nested values: `optical.present`
 */
export function setFault(doc, target, values) {
  const key = String(target);
  if (key !== "node" && key !== "all" && !(key in doc.npus)) {
    const ids = Object.keys(doc.npus);
    throw new Error(
      `${doc.node} has no NPU ${key}: must be ${ids[0]} to ${ids.at(-1)}, all or node`,
    );
  }
  doc.faults[key] ??= {};
  for (const [path, value] of Object.entries(values)) {
    const parts = path.split(".");
    let place = /** @type {Values} */ (doc.faults[key]);
    for (const part of parts.slice(0, -1)) {
      place[part] ??= {};
      place = /** @type {Values} */ (place[part]);
    }
    place[/** @type {string} */ (parts.at(-1))] = value;
  }
}
