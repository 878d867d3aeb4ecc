import {
  firmwareVersionInfo,
  REQUIRED_TOOLS,
  SYSTEMD_DIR,
} from "../../../core/facts/facts-request.js";
import { parseHostFacts, parsePeerFacts } from "../../../core/facts/host-facts.js";
import { type HostReport, knownHosts } from "../../../core/facts/judge-gate.js";
import { plannedPings, plannedPortsOf } from "../../../core/facts/peer-request.js";
import type { GateNode, GatePlan } from "../../../core/plan/gate-plan.js";
import { gatePlan } from "../../../core/plan/gate-plan.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../../core/spec/parse.js";
import { rawCluster } from "../../support/specs.js";

export const OWNER = "organization/vllm-ascend/test";
export const OWN_CONTAINER_ID = "a".repeat(64);
/** When the hosts of these answers look at their clocks. */
export const CLOCK_SEC = 1_700_000_000;

/** The gate's plan of two A2 nodes, with changes to the raw cluster. */
export function aGatePlan(changes: Partial<ClusterSpecInput> = {}): GatePlan {
  const spec = parseClusterSpec({ ...rawCluster(), ...changes });
  return gatePlan(planCluster(spec, { owner: OWNER, hasApiKey: false }));
}

/** The keys of config.json that decide memory: Qwen3-235B-A22B. */
export const MODEL_CONFIG = {
  architectures: ["Qwen3MoeForCausalLM"],
  ...{ hidden_size: 4096, vocab_size: 151_936, num_hidden_layers: 94, num_attention_heads: 64 },
  ...{ num_key_value_heads: 4, head_dim: 128, num_experts: 128, moe_intermediate_size: 1536 },
};

/** What `node/facts.sh` prints on a host where nothing is wrong and this stack already runs. */
export function goodAnswer(plan: GatePlan, node: GateNode): string {
  const lines = [
    ["facts", "1"],
    ["login", node.connection.user, "0"],
    ["docker-of-login", "ok", "20.10.24"],
    ["root", "yes"],
    ["clock", String(CLOCK_SEC)],
    ...[...REQUIRED_TOOLS, "docker"].map((tool) => ["tool", tool, `/usr/bin/${tool}`]),
    ["path", SYSTEMD_DIR, "found", "directory"],
    ["docker", "ok", "20.10.24"],
    ["docker-details", "runc", "io.containerd.runc.v2,runc,", "/var/lib/docker"],
    ["disk", "/var/lib/docker", "found", "500000000000"],
    ...systemFacts(node),
    ...node.devices.map((path) => ["path", path, "found", "character special file"]),
    ...node.mounts.map((path) => ["path", path, "found", typeOf(path)]),
    ["path", `${node.modelPath}/config.json`, "found", "regular file"],
    ["file", `${node.modelPath}/config.json`, "found", base64(JSON.stringify(MODEL_CONFIG))],
    ["image", node.image.pull, "present", "sha256:0123", "arm64", "PATH,LD_LIBRARY_PATH,"],
    ["model", node.modelPath, "found", base64(MODEL_FILES)],
    ["storage", node.modelPath, "read", "2147483648", "1.1", "direct"],
    ["disk", plan.baseDir, "found", "500000000000"],
    ["link", "lo", "up", "65536"],
    ["link", node.socketInterface, "up", "9000"],
    ["address", "lo", "lo", "127.0.0.1"],
    ["address", node.socketInterface, node.socketInterface, node.connection.address],
    ["addresses", "ok"],
    ...plan.nodes.map(({ name, connection }) => ["name", connection.address, name]),
    ["listener", "8000", node.connection.address, "4242", "vllm", OWN_CONTAINER_ID],
    ["listener", "10005", "0.0.0.0", "4243", "ray::IDLE", OWN_CONTAINER_ID],
    ["ports", "ok"],
    ["file", `${plan.baseDir}/owner`, "found", base64(`${plan.owner}\n`)],
    ["file", `${plan.baseDir}/node`, "found", base64(`${node.name}\n`)],
    ["file", `${plan.baseDir}/in/staged.json`, "found", base64(stagedJson(plan))],
    ...(node.name === plan.nodes[0]?.name
      ? [["file", `${plan.baseDir}/out/status.json`, "missing"]]
      : []),
    [
      ...["container", plan.containerName, "present", OWN_CONTAINER_ID, "running", "0"],
      ...[plan.owner, node.name, ""],
    ],
    [
      ...["container-devices", OWN_CONTAINER_ID, `/${plan.containerName}`, "running", "false"],
      ...[`${node.devices.join(",")},`, plan.owner, ""],
    ],
    ["containers", "ok"],
    ["file", node.driverPaths.hccnConf, "found", base64(hccnConf(plan, node))],
    ["file", node.driverPaths.driverVersionInfo, "found", base64(DRIVER_INFO)],
    ["file", firmwareVersionInfo(node), "found", base64(FIRMWARE_INFO)],
    ["npu", "all", "npu-smi", "info", "0", base64(npuSmiInfo(node))],
    ["npu-process", "4244", "VLLM::Worker", OWN_CONTAINER_ID],
    ["npu-end", "all"],
    ...node.npus.flatMap((npu) => npuFacts(plan, node, npu)),
    ...node.npus.map((npu) => ["holder", String(npu), "4244", "VLLM::Worker", OWN_CONTAINER_ID]),
    ["holders", "ok"],
    ["end"],
  ];
  return `${lines.map((fields) => fields.join("\t")).join("\n")}\n`;
}

/** As core/render/stage-script.ts writes it. */
function stagedJson({ nodes }: GatePlan): string {
  const addresses = nodes.map(({ name, connection }) => [name, connection.address]);
  return JSON.stringify({ nodes: Object.fromEntries(addresses), ray: null, serve: "77c0" });
}

/** What the second phase prints where nothing is wrong. */
export function goodPeerAnswer(plan: GatePlan, node: GateNode): string {
  const hosts = knownHosts(
    plan,
    plan.nodes.map((each) => hostReport(goodAnswer(plan, each))),
  );
  const host = hosts.find((each) => each.node.name === node.name)!;
  const others = hosts.filter((each) => each.node.name !== node.name);
  const lines = [
    ["facts", "1"],
    ["root", "yes"],
    ...plannedPings(host, hosts, true).map(({ npu, address }) => [
      ...["npu-ping", String(npu), address, "0"],
      base64(`device ${npu} PING ${address}\nrecv seq=0,time=0.1ms\n${PING_SUMMARY}\n`),
    ]),
    ...others.flatMap((peer) =>
      plannedPortsOf(peer).map((port) => [
        ...["tcp", peer.node.connection.address, String(port), "refused"],
      ]),
    ),
    ...others.map((peer) => ["path-mtu", peer.node.connection.address, "ok", "9000"]),
    ["end"],
  ];
  return `${lines.map((fields) => fields.join("\t")).join("\n")}\n`;
}

export const PING_SUMMARY = "3 packets transmitted, 3 received, 0.00% packet loss";

/** A report of the first phase, and of the second where its answer is given. */
export function hostReport(answer: string, peerAnswer?: string): HostReport {
  return {
    facts: parseHostFacts(answer),
    stderr: "",
    ...{ askedSec: CLOCK_SEC - 1, answeredSec: CLOCK_SEC + 3 },
    ...(peerAnswer === undefined ? {} : { peers: parsePeerFacts(peerAnswer) }),
  };
}

/** Both phases of a host where nothing is wrong; made once, because most tests change the other host only. */
export function goodReport(plan: GatePlan, node: GateNode): HostReport {
  const report =
    REPORTS.get(node) ?? hostReport(goodAnswer(plan, node), goodPeerAnswer(plan, node));
  REPORTS.set(node, report);
  return report;
}

const REPORTS = new WeakMap<GateNode, HostReport>();

export function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

function typeOf(path: string): string {
  return /\.(info|conf)$|hccn_tool$|npu-smi$/.test(path) ? "regular file" : "directory";
}

function systemFacts(node: GateNode): string[][] {
  return [
    ["machine", "aarch64"],
    ["boot-id", `boot-of-${node.name}`],
    ["memory", "2000000000", "1900000000"],
    ["ephemeral-ports", "32768-60999", "60000-60031"],
    ["hostname", node.name, node.connection.address],
  ];
}

export const MODEL_FILES = [
  "regular file\t1200\tconfig.json",
  "regular file\t240000000000\tmodel-00001-of-00002.safetensors",
  "regular file\t230187269120\tmodel-00002-of-00002.safetensors",
  "regular file\t90000\tmodel.safetensors.index.json",
  `${"1".repeat(64)}  config.json`,
  `${"2".repeat(64)}  model.safetensors.index.json`,
].join("\n");

export const DRIVER_INFO = "Version=24.1.0\ncompatible_version_fw=[7.0.0,7.5.99]\n";
export const FIRMWARE_INFO = "Version=7.5.0.1.129\ncompatible_version_drv=[24.1.0,24.1.0.]\n";

export function npuAddress(plan: GatePlan, node: GateNode, npu: number): string {
  return `10.20.${plan.nodes.indexOf(node) + 1}.${100 + npu}`;
}

function hccnConf(plan: GatePlan, node: GateNode): string {
  return node.npus.map((npu) => `address_${npu}=${npuAddress(plan, node, npu)}\n`).join("");
}

export function npuSmiInfo(node: GateNode): string {
  const rule = `+${"=".repeat(96)}+`;
  const chips = node.npus.flatMap((npu) => [
    `| ${npu}     910B3               | OK            | 92.2        36                0    / 0             |`,
    `| 0                         | 0000:C1:00.0  | 0           0    / 0          3314 / 65536         |`,
    rule,
  ]);
  const processes = node.npus.map((npu) => `| ${npu}       0   | 4244  | VLLM::Worker  | 59000 |`);
  return [
    "| npu-smi 24.1.0                   Version: 24.1.0                                               |",
    "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|",
    "| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |",
    rule,
    ...chips,
    "| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |",
    rule,
    ...processes,
    `${rule}\n`,
  ].join("\n");
}

/** The outputs of one healthy NPU by query. */
export function npuOutput(plan: GatePlan, node: GateNode, npu: number, query: string): string {
  const outputs: Readonly<Record<string, string>> = {
    link: "link status: UP",
    net_health: "net health status: Success",
    netdetect: "netdetect address: 10.20.0.1",
    gateway: `default gateway:10.20.0.1, Iface:eth${npu}`,
    ip: `ipaddr:${npuAddress(plan, node, npu)}\nnetmask:255.255.0.0`,
    tls: `dev_id:${npu}, tls switch[0](0:disable, 1:enable), tls alarm time threshold[60]days`,
    lldp: `Chassis ID TLV\n\tMAC: 00:e0\nPort ID TLV\n\tIfname: 400GE1/1/${npu}\nSystem Name TLV\n\tleaf-1\nMaximum Frame Size TLV\n\t9216\nEnd of LLDPDU TLV`,
    optical: `optical info:\npresent : present\nTx Power : 1.4 mW\nRx Power : 1.0 mW\n${OPTICAL_LIMITS}`,
    link_stat: `[devid ${npu}]current time        : Wed Aug  2 03:09:26 2023\n[devid ${npu}]link up count       : 1\n[devid ${npu}]link change records :\n[devid ${npu}]    Tue Jul 18 14:43:26 2023    LINK UP`,
    speed: "Speed: 200000 Mb/s",
    fec: "fec mode: rs FEC mode",
    board: `NPU ID : ${npu}\nSoftware Version : 24.1.0\nFirmware Version : 7.5.0.1.129\nCompatibility : OK\nBoard ID : 0x02`,
    ecc: ECC_ZERO,
  };
  return `${outputs[query]!}\n`;
}

function npuFacts(plan: GatePlan, node: GateNode, npu: number): string[][] {
  const fact = (tool: string) => (query: string) => [
    ...["npu", String(npu), tool, query, "0", base64(npuOutput(plan, node, npu, query))],
  ];
  const nic = ["link", "net_health", "netdetect", "gateway", "ip", "tls", "lldp", "optical"];
  return [
    ...[...nic, "link_stat", "speed", "fec"].map(fact("hccn_tool")),
    ...["board", "ecc"].map(fact("npu-smi")),
    ["npu-end", String(npu)],
  ];
}

const OPTICAL_LIMITS = [
  ...["TxPower", "RxPower"].flatMap((way) => [
    `${way} High Thres : 3.5 mW`,
    `${way} Low Thres : 0.1 mW`,
  ]),
  ...["Tx Los", "Rx Los", "Tx LoL", "Rx LoL"].map((flag) => `${flag} Flag : 0x0`),
].join("\n");

const ECC_ZERO = ["DDR", "HBM"]
  .flatMap((memory) =>
    ["Error Count", "Aggregate Total Err Cnt", "Isolated Pages Count"].flatMap((counter) => [
      `${memory} Single Bit ${counter} : 0`,
      `${memory} Double Bit ${counter} : 0`,
    ]),
  )
  .join("\n");
