import assert from "node:assert/strict";
import type { FindingCode } from "../../../core/facts/finding-codes.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import {
  aGatePlan,
  base64,
  DRIVER_INFO,
  FIRMWARE_INFO,
  MODEL_FILES,
  npuAddress,
  npuOutput,
  npuSmiInfo,
  OWN_CONTAINER_ID,
  PING_SUMMARY,
} from "./answers.js";

/** The two answers of node1 on the way from good to bad. */
export interface Answers {
  host: string;
  peers: string;
}

export interface BadCase {
  readonly title: string;
  readonly code: FindingCode;
  readonly check: string;
  readonly result?: "warn" | "unknown";
  /** Default: none, the finding is about the host. */
  readonly npus?: readonly number[];
  /** Parts that a reader needs to act. */
  readonly says: readonly string[];
  /** Changes of the stack. */
  readonly stack?: Partial<ClusterSpecInput>;
  readonly break: (answers: Answers) => void;
  /** The row of the table of field failures that it stands for, by the beginning of its symptom. */
  readonly field?: string;
}

const plan = aGatePlan();
const [node0, node1] = [plan.nodes[0]!, plan.nodes[1]!];
const OWNED = `container\t${plan.containerName}\tpresent\t${OWN_CONTAINER_ID}\trunning\t0\t${plan.owner}\tnode1\t`;

/** Replaces a piece that must be there, so that a test cannot pass because it changed nothing. */
function swap(text: string, piece: string, replacement: string): string {
  assert.ok(text.includes(piece), `the good answer has no ${JSON.stringify(piece)}`);
  return text.replace(piece, () => replacement);
}

const host = (piece: string, replacement: string) => (answers: Answers) => {
  answers.host = swap(answers.host, piece, replacement);
};
const file = (content: string, replacement: string) => host(base64(content), base64(replacement));

/** Another output of one query of an NPU; `hangs` for none. */
const npu = (id: number, query: string, text: string) => (answers: Answers) => {
  const tool = query === "board" || query === "ecc" ? "npu-smi" : "hccn_tool";
  const good = `npu\t${id}\t${tool}\t${query}\t0\t${base64(npuOutput(plan, node1, id, query))}`;
  const bad = text === "hangs" ? "hangs" : `0\t${base64(text)}`;
  answers.host = swap(answers.host, good, `npu\t${id}\t${tool}\t${query}\t${bad}`);
};
const npuLine = (id: number, query: string, piece: string, replacement: string) =>
  npu(id, query, swap(npuOutput(plan, node1, id, query), piece, replacement));
const info = (piece: string, replacement: string) =>
  file(npuSmiInfo(node1), swap(npuSmiInfo(node1), piece, replacement));

/** As before the first start: no container of ours, nothing on the chips. */
function idle(answers: Answers): void {
  const info = npuSmiInfo(node1).replaceAll(
    /\| (\d) {7}0 {3}\| 4244 .*\|/g,
    "| No running processes found in NPU $1 |",
  );
  file(npuSmiInfo(node1), info)(answers);
  answers.host = swap(answers.host, OWNED, `container\t${plan.containerName}\tabsent`).replaceAll(
    /^(holder|listener|container-devices|npu-process)\t.*\n/gm,
    "",
  );
}
const onIdle =
  (...changes: ((answers: Answers) => void)[]) =>
  (answers: Answers) => {
    idle(answers);
    for (const change of changes) change(answers);
  };
const add = (line: string) => (answers: Answers) => {
  answers.host = swap(answers.host, "containers\tok", `${line}\ncontainers\tok`);
};
const ping = (id: number, address: string, text: string) => (answers: Answers) => {
  const start = `npu-ping\t${id}\t${address}\t0\t`;
  const good = answers.peers.split("\n").find((line) => line.startsWith(start))!;
  answers.peers = swap(answers.peers, good, `${start}${base64(text)}`);
};
const lost = (id: number, address: string) =>
  `device ${id} PING ${address}\nrecv time out seq=0\n3 packets transmitted, 0 received, 100.00% packet loss\n`;
const tcp = (port: number, state: string) => (answers: Answers) => {
  const line = `tcp\t${node0.connection.address}\t${port}\t`;
  answers.peers = swap(answers.peers, `${line}refused`, `${line}${state}`);
};
const TLS_ON = (id: number) => npuLine(id, "tls", "switch[0]", "switch[1]");
const rail = (id: number) => npuAddress(plan, node0, id);

export const BAD_CASES: readonly BadCase[] = [
  // Host
  {
    title: "weights that load longer than the start may take",
    code: "STORAGE_SLOW",
    check: "storage",
    result: "warn",
    says: ["143 MB/s", "about 3285 s", "serveStartSec is 3600", "serveStartSec: 5280"],
    break: host("\t1.1\tdirect", "\t15.0\tdirect"),
    field: "Qwen3.5 on two A2 nodes stalls while loading",
  },
  {
    title: "an old docker whose seccomp profile forbids clone3",
    code: "DOCKER_OLD",
    check: "docker",
    result: "warn",
    says: ["18.09.2", "clone3"],
    break: host("\ndocker\tok\t20.10.24", "\ndocker\tok\t18.09.2"),
    field: "Python `can't start new thread`",
  },
  {
    title: "a docker without runc",
    code: "DOCKER_RUNTIME",
    check: "docker",
    says: ["no runtime runc; it has ascend"],
    break: host("runc\tio.containerd.runc.v2,runc,", "ascend\tascend,"),
  },
  {
    title: "a directory in the place of npu-smi",
    code: "MOUNT_TYPE",
    check: "mounts",
    says: ["npu-smi is a directory, not a file"],
    break: host("npu-smi\tfound\tregular file", "npu-smi\tfound\tdirectory"),
  },
  {
    title: "another config.json than on the other node",
    code: "MODEL_DIFFERS",
    check: "model",
    says: ["config.json is not the one of node0"],
    break: file(MODEL_FILES, MODEL_FILES.replace(/1{64}/, "9".repeat(64))),
    field: "`Failed to get file list for",
  },
  {
    title: "a shard that is shorter",
    code: "MODEL_DIFFERS",
    check: "model",
    says: ["model-00002-of-00002.safetensors has 5 bytes", "node0"],
    break: file(MODEL_FILES, swap(MODEL_FILES, "230187269120", "5")),
  },
  {
    title: "a shard that is missing",
    code: "MODEL_DIFFERS",
    check: "model",
    says: ["model-00001-of-00002.safetensors is missing"],
    break: file(MODEL_FILES, MODEL_FILES.replace(/.*00001-of.*\n/, "")),
  },
  {
    title: "an image for another processor",
    code: "IMAGE_ARCHITECTURE",
    check: "image",
    says: ["is for amd64, the host is aarch64"],
    break: host("sha256:0123\tarm64", "sha256:0123\tamd64"),
    field: "`Distributed inference using vllm-ascend failed`",
  },
  {
    title: "another image under the same name",
    code: "IMAGE_DIFFERS",
    check: "image",
    says: ["sha256:9999 here and sha256:0123 on node0"],
    break: host("present\tsha256:0123", "present\tsha256:9999"),
    field: "`Version mismatch: The cluster was started",
  },
  {
    title: "another MTU",
    code: "MTU_DIFFERS",
    check: "network",
    result: "warn",
    says: ["MTU 1500", "node0 has 9000", "mtu 9000"],
    break: host("up\t9000", "up\t1500"),
    field: "NCCL/collective hang with MTU",
  },
  {
    title: "a name that resolves to the loopback",
    code: "HOSTNAME_LOOPBACK",
    check: "network",
    result: "warn",
    says: ["127.0.1.1", "/etc/hosts"],
    break: host(`hostname\tnode1\t${node1.connection.address}`, "hostname\tnode1\t127.0.1.1"),
    field: "`Gloo connectFullMesh failed",
  },
  {
    title: "a node without a name",
    code: "ADDRESS_WITHOUT_NAME",
    check: "network",
    result: "warn",
    says: [node0.connection.address, "/etc/hosts"],
    break: host(`name\t${node0.connection.address}\tnode0`, `name\t${node0.connection.address}\t`),
    field: "`The hostname of the client socket",
  },
  {
    title: "an image with a proxy",
    code: "PROXY_SET",
    check: "network",
    result: "warn",
    says: ["the image sets http_proxy", "no_proxy"],
    break: host("PATH,LD_LIBRARY_PATH,", "PATH,http_proxy,"),
    field: "client or proxy errors",
  },
  {
    title: "a login with a proxy",
    code: "PROXY_SET",
    check: "network",
    result: "warn",
    says: ["a login has https_proxy"],
    break: host("machine\taarch64", "proxy\thttps_proxy\tlocalhost\nmachine\taarch64"),
  },
  {
    title: "HCCL's ports in the kernel's range",
    code: "PORT_EPHEMERAL",
    check: "ports",
    result: "warn",
    says: ["60000-60031 (env.HCCL_IF_BASE_PORT)", "ip_local_reserved_ports=60000-60031"],
    break: host("32768-60999\t60000-60031", "32768-60999\t"),
  },
  {
    title: "a leftover that listens where HCCL will",
    code: "PORT_BUSY",
    check: "ports",
    says: ["port 60000 (env.HCCL_IF_BASE_PORT)", "python3 (pid 99)"],
    break: host("ports\tok", "listener\t60000\t0.0.0.0\t99\tpython3\t\nports\tok"),
    field: "`Failed to bind the IP port`",
  },
  {
    title: "two entries that are one machine",
    code: "SAME_MACHINE",
    check: "owner",
    says: ["same machine as node0"],
    break: host("boot-of-node1", "boot-of-node0"),
    field: "`Every node should have a unique IP",
  },
  {
    title: "less memory than /dev/shm may take",
    code: "MEMORY_LOW",
    check: "host",
    says: ["16384 MiB"],
    break: host("memory\t2000000000\t1900000000", "memory\t8000000\t7000000"),
  },
  {
    title: "less free memory than /dev/shm may take",
    code: "MEMORY_LOW",
    check: "host",
    result: "warn",
    says: ["container.shmSizeGib"],
    break: onIdle(host("memory\t2000000000\t1900000000", "memory\t2000000000\t7000000")),
  },
  {
    title: "docker's own 64 MB of shared memory",
    code: "SHM_SMALL",
    check: "host",
    says: ["512 MiB", "container.shmSizeGib"],
    stack: { container: { shmSizeGib: 0.5 }, ray: { objectStoreMemoryGib: 0.1 } },
    break: () => undefined,
    field: "EngineCore core dump under load",
  },
  {
    title: "a full disk",
    code: "DISK_LOW",
    check: "host",
    says: ["0.1 GiB are free for /var/lib/docker"],
    break: host(
      "disk\t/var/lib/docker\tfound\t500000000000",
      "disk\t/var/lib/docker\tfound\t100000000",
    ),
  },
  {
    title: "too little room for an image that is pulled",
    code: "DISK_LOW",
    check: "host",
    result: "warn",
    says: ["40 GiB are wanted"],
    break: (answers) => {
      host(
        "disk\t/var/lib/docker\tfound\t500000000000",
        "disk\t/var/lib/docker\tfound\t20000000000",
      )(answers);
      host("present\tsha256:0123", "pullable\t")(answers);
    },
  },
  {
    title: "a clock that is ahead",
    code: "CLOCK_SKEW",
    check: "host",
    result: "warn",
    says: ["ahead of that of node0", "timedatectl"],
    break: host("clock\t1700000000", "clock\t1700000060"),
    field: "clock skew",
  },
  // NPUs
  {
    title: "npu-smi that hangs",
    code: "NPU_TOOL_HANGS",
    check: "npus",
    says: ["npu-smi gives no answer", "dmesg"],
    break: host(
      `npu\tall\tnpu-smi\tinfo\t0\t${base64(npuSmiInfo(node1))}`,
      "npu\tall\tnpu-smi\tinfo\thangs",
    ),
  },
  {
    title: "an NPU whose queries hang",
    code: "NPU_TOOL_HANGS",
    check: "npus",
    npus: [5],
    says: ["hccn_tool gives no answer to the query link"],
    break: npu(5, "link", "hangs"),
    field: "`Get_Socket_Timeout(EI0006)",
  },
  {
    title: "an NPU that npu-smi does not list",
    code: "NPU_MISSING",
    check: "npus",
    npus: [7],
    says: ["visibleDevices"],
    break: info("| 7     910B3 ", "| 9     910B3 "),
  },
  {
    title: "an NPU with an alarm",
    code: "NPU_HEALTH",
    check: "npus",
    npus: [0],
    says: ["health Alarm", "-t health -i 0"],
    break: info("| OK            |", "| Alarm         |"),
  },
  {
    title: "an NPU with a warning",
    code: "NPU_HEALTH",
    check: "npus",
    result: "warn",
    npus: [0],
    says: ["health Warning"],
    break: info("| OK            |", "| Warning       |"),
  },
  {
    title: "chips of another series",
    code: "NPU_SERIES",
    check: "npus",
    npus: [0],
    says: ["310P3", "910B"],
    break: info("| 0     910B3 ", "| 0     310P3 "),
    field: "`socversion Ascend910B1 of bin package",
  },
  {
    title: "chips that are slower than the others",
    code: "NPU_SERIES",
    check: "npus",
    result: "warn",
    says: ["910B2", "910B3 on node0"],
    break: file(npuSmiInfo(node1), npuSmiInfo(node1).replaceAll("910B3", "910B2")),
  },
  {
    title: "NPUs with half the memory",
    code: "HBM_SIZE",
    check: "npus",
    npus: [0, 1, 2, 3, 4, 5, 6, 7],
    says: ["32768 MB of memory, 65536 MB are planned"],
    break: file(npuSmiInfo(node1), npuSmiInfo(node1).replaceAll("/ 65536", "/ 32768")),
  },
  {
    title: "memory errors",
    code: "NPU_ECC",
    check: "npus",
    npus: [3],
    says: ["2 double-bit errors"],
    break: npuLine(3, "ecc", "HBM Double Bit Error Count : 0", "HBM Double Bit Error Count : 2"),
  },
  {
    title: "a process that somebody left behind",
    code: "NPU_BUSY",
    check: "free",
    npus: [2],
    says: ["python3.11 (pid 849)", "59000 MB"],
    break: onIdle((answers) => {
      const idleInfo = answers.host.split("\n").find((line) => line.startsWith("npu\tall"))!;
      const text = Buffer.from(idleInfo.split("\t")[5]!, "base64").toString();
      answers.host = swap(
        answers.host,
        base64(text),
        base64(
          text.replace(
            "| No running processes found in NPU 2 |",
            "| 2       0   | 849  | python  | 59000 |",
          ),
        ),
      );
    }, add("npu-process\t849\tpython3.11\t")),
    field: "HBM held after a crash",
  },
  {
    title: "a process that npu-smi does not show",
    code: "NPU_BUSY",
    check: "free",
    npus: [4],
    says: ["/dev/davinci4 is held open by VLLM::EngineCore (pid 7, container bbbbbbbbbbbb)"],
    break: onIdle(
      host("holders\tok", `holder\t4\t7\tVLLM::EngineCore\t${"b".repeat(64)}\nholders\tok`),
    ),
    field: "API server dead, chips still reserved",
  },
  {
    title: "a container that maps the same chips",
    code: "NPU_CLAIMED",
    check: "free",
    npus: [0, 1],
    says: ["container other maps it (running)"],
    break: add(
      `container-devices\t${"c".repeat(64)}\t/other\trunning\tfalse\t/dev/davinci0,/dev/davinci1,/dev/davinci_manager,\t\t`,
    ),
    field: "`dcmi module initialize failed",
  },
  {
    title: "a container that gets the chips by ascend-docker-runtime",
    code: "NPU_CLAIMED",
    check: "free",
    npus: [2, 3],
    says: ["container k8s_other maps it"],
    break: add(`container-devices\t${"c".repeat(64)}\t/k8s_other\trunning\tfalse\t\t\t2-3`),
  },
  {
    title: "a stopped container of another stack",
    code: "NPU_CLAIMED",
    check: "free",
    npus: [6],
    says: ["of stack acme/x/prod maps it (exited)"],
    break: add(
      `container-devices\t${"c".repeat(64)}\t/vllm-cluster-x\texited\tfalse\t/dev/davinci6,\tacme/x/prod\t`,
    ),
  },
  {
    title: "memory that nobody holds",
    code: "HBM_USED",
    check: "free",
    result: "warn",
    npus: [0],
    says: ["64000 of 65536 MB"],
    break: onIdle((answers) => {
      const line = answers.host.split("\n").find((text) => text.startsWith("npu\tall"))!;
      const text = Buffer.from(line.split("\t")[5]!, "base64").toString();
      answers.host = swap(
        answers.host,
        base64(text),
        base64(swap(text, "3314 / 65536", "64000/ 65536")),
      );
    }),
    field: "`Free memory on device",
  },
  {
    title: "another driver",
    code: "DRIVER_DIFFERS",
    check: "driver",
    says: ["driver 23.0.7, node0 has 24.1.0"],
    break: (answers) => {
      file(DRIVER_INFO, DRIVER_INFO.replace("24.1.0", "23.0.7"))(answers);
      file(FIRMWARE_INFO, FIRMWARE_INFO.replaceAll("24.1.0", "23.0.7"))(answers);
      info("Version: 24.1.0", "Version: 23.0.7")(answers);
    },
    field: "driver mismatch between nodes",
  },
  {
    title: "a driver that was installed without a reboot",
    code: "DRIVER_DIFFERS",
    check: "driver",
    result: "warn",
    says: ["24.1.0 is installed, npu-smi tells 23.0.7"],
    break: info("Version: 24.1.0", "Version: 23.0.7"),
  },
  {
    title: "a pair of driver and firmware that do not accept each other",
    code: "DRIVER_FIRMWARE",
    check: "driver",
    says: ["neither accepts the other"],
    break: file(FIRMWARE_INFO, "Version=8.0.0\ncompatible_version_drv=[25.0.0,25.0.0.]\n"),
  },
  {
    title: "a firmware that does not list the driver",
    code: "DRIVER_FIRMWARE",
    check: "driver",
    result: "warn",
    says: ["the firmware does not list the driver"],
    break: file(FIRMWARE_INFO, "Version=7.5.0.1.129\ncompatible_version_drv=[23.0.0,23.0.0.]\n"),
  },
  // Network of the NPUs
  {
    title: "a NIC without an address",
    code: "NPU_ADDRESS",
    check: "npu-net",
    npus: [1],
    says: ["no address", "-i 1 -ip -s"],
    break: npu(1, "ip", ""),
  },
  {
    title: "an address that another NPU has",
    code: "NPU_ADDRESS",
    check: "npu-net",
    npus: [1],
    says: ["NPU 0 of node0"],
    break: (answers) => {
      npu(1, "ip", npuOutput(plan, node0, 0, "ip"))(answers);
      confAs(1, npuAddress(plan, node0, 0))(answers);
    },
  },
  {
    title: "another family of addresses",
    code: "NPU_ADDRESS",
    check: "npu-net",
    npus: [1],
    says: ["IPv6; node0 has IPv4"],
    break: (answers) => {
      npu(1, "ip", "ipaddr:fd00::1\nprefixlen:64\n")(answers);
      confAs(1, "fd00::1")(answers);
    },
    field: "IP family mismatch",
  },
  {
    title: "a stale line in hccn.conf",
    code: "HCCN_CONF",
    check: "npu-net",
    npus: [3],
    says: ["10.99.0.1", "10.20.2.103"],
    break: confAs(3, "10.99.0.1"),
    field: "`HcclCommPrepare fail, ret: 0x9`",
  },
  {
    title: "an NPU that hccn.conf does not name",
    code: "HCCN_CONF",
    check: "npu-net",
    result: "warn",
    npus: [3],
    says: ["no address_3"],
    break: confAs(3, undefined),
  },
  {
    title: "a link that is down",
    code: "NPU_LINK",
    check: "npu-net",
    npus: [6],
    says: ["link DOWN", "-i 6 -link -g"],
    break: npu(6, "link", "link status: DOWN\n"),
    field: "2 x 8 x 910B2 Qwen3-235B launch fails",
  },
  {
    title: "a link whose state is garbled",
    code: "NPU_LINK",
    check: "npu-net",
    npus: [6],
    says: ["the link is not known"],
    break: npu(6, "link", "link st\0tus: UP\n"),
  },
  {
    title: "a link that went down lately",
    code: "NPU_LINK_HISTORY",
    check: "npu-net",
    result: "warn",
    npus: [6],
    says: ["went down 1 time"],
    break: npu(
      6,
      "link_stat",
      `${npuOutput(plan, node1, 6, "link_stat").replace("Tue Jul 18 14:43:26 2023    LINK UP", "Wed Aug  2 01:00:01 2023    LINK UP")}[devid 6]    Wed Aug  2 01:00:00 2023    LINK DOWN\n`,
    ),
    field: "error cqe status 12",
  },
  {
    title: "a detect address that does not answer",
    code: "NPU_NET_HEALTH",
    check: "npu-net",
    npus: [0],
    says: ["Receive timeout"],
    break: npuLine(0, "net_health", "Success", "Receive timeout"),
  },
  {
    title: "no gateway although peers are in another subnet",
    code: "NPU_GATEWAY",
    check: "npu-net",
    npus: [0],
    says: ["another subnet"],
    break: (answers) => {
      npu(0, "gateway", "")(answers);
      npuLine(0, "ip", "255.255.0.0", "255.255.255.0")(answers);
    },
  },
  {
    title: "no gateway, and none needed",
    code: "NPU_GATEWAY",
    check: "npu-net",
    result: "warn",
    npus: [0],
    says: ["all peers are in its subnet"],
    break: npu(0, "gateway", ""),
  },
  {
    title: "a gateway of another interface",
    code: "NPU_GATEWAY",
    check: "npu-net",
    result: "warn",
    npus: [0],
    says: ["eth4, not on eth0"],
    break: npuLine(0, "gateway", "eth0", "eth4"),
  },
  {
    title: "an NPU whose switch port is not told",
    code: "NPU_LLDP",
    check: "npu-net",
    npus: [2],
    says: ["unlike by other NPUs"],
    break: npu(2, "lldp", ""),
  },
  {
    title: "another leaf switch",
    code: "NPU_LLDP",
    check: "npu-net",
    result: "warn",
    says: ["leaf-1, leaf-2", "leaf-1"],
    break: npuLine(2, "lldp", "leaf-1", "leaf-2"),
    field: "transfer errors between A2 groups",
  },
  {
    title: "another frame size of the switch port",
    code: "NPU_LLDP",
    check: "npu-net",
    result: "warn",
    says: ["1500, 9216"],
    break: npuLine(2, "lldp", "9216", "1500"),
  },
  {
    title: "a receiver without light",
    code: "NPU_OPTICAL",
    check: "npu-net",
    npus: [4],
    says: ["Rx Los Flag 0xff"],
    break: npuLine(4, "optical", "Rx Los Flag : 0x0", "Rx Los Flag : 0xff"),
  },
  {
    title: "a module that is not there, while the link is up",
    code: "NPU_OPTICAL",
    check: "npu-net",
    result: "warn",
    npus: [4],
    says: ["not present", "although the link is UP"],
    break: npuLine(4, "optical", "present : present", "present : not present"),
  },
  {
    title: "a slower port",
    code: "NPU_SPEED",
    check: "npu-net",
    result: "warn",
    npus: [4],
    says: ["100000 Mb/s, the others have 200000"],
    break: npuLine(4, "speed", "200000", "100000"),
  },
  {
    title: "a port without FEC",
    code: "NPU_SPEED",
    check: "npu-net",
    npus: [4],
    says: ["FEC mode no"],
    break: npuLine(4, "fec", "rs", "no"),
  },
  {
    title: "TLS that is on for one NPU",
    code: "NPU_TLS",
    check: "tls",
    npus: [5],
    says: ["enabled: node1 5", "disabled: node0 0-7, node1 0-4 6-7", "-i 5 -tls -s enable 0"],
    break: TLS_ON(5),
    field: "`Value Disable for config",
  },
  {
    title: "TLS whose state the tool does not tell",
    code: "NPU_TLS",
    check: "tls",
    npus: [5],
    says: ["TLS switch is not known", "Command execute failed!"],
    break: npu(5, "tls", "Command execute failed!\n"),
  },
  // Between the nodes
  {
    title: "an NPU that gets no answer",
    code: "NPU_PING",
    check: "npu-ping",
    npus: [3],
    says: ["to NPU 3 of node0: 0 of 3 answers", "-i 3 -ping"],
    break: ping(3, rail(3), lost(3, rail(3))),
    field: "`Get_Socket_Timeout(EI0006)",
  },
  {
    title: "an NPU that loses packets",
    code: "NPU_PING",
    check: "npu-ping",
    result: "warn",
    npus: [3],
    says: ["2 of 3"],
    break: ping(
      3,
      rail(3),
      `device 3 PING ${rail(3)}\n3 packets transmitted, 2 received, 33.33% packet loss\n`,
    ),
  },
  {
    title: "a ping that nobody understands",
    code: "NPU_PING",
    check: "npu-ping",
    npus: [3],
    says: ["the ping is not known"],
    break: ping(3, rail(3), "device 3 PING"),
  },
  {
    title: "rails that do not reach each other",
    code: "NPU_CROSS_PING",
    check: "npu-ping",
    result: "warn",
    npus: [3],
    says: ["to NPU 4 of node0: 0 of 3"],
    break: ping(3, rail(4), lost(3, rail(4))),
  },
  {
    title: "a firewall before HCCL's port",
    code: "PEER_PORT_BLOCKED",
    check: "tcp",
    says: ["ports 60000 of node0", "no answer", "firewall of node0"],
    break: tcp(60_000, "silent"),
    field: "`topo exchange agent get socket timeout!",
  },
  {
    title: "a firewall that refuses",
    code: "PEER_PORT_BLOCKED",
    check: "tcp",
    says: ["ports 8000, 26380 of node0", "No route to host"],
    break: (answers) => {
      tcp(8000, "error\tNo route to host")(answers);
      tcp(26_380, "error\tNo route to host")(answers);
    },
    field: "`Did not receive response from front-end",
  },
  {
    title: "a switch port with a smaller MTU",
    code: "PEER_PATH_MTU",
    check: "tcp",
    result: "warn",
    says: ["9000 bytes", "node0"],
    break: (answers) => {
      answers.peers = swap(answers.peers, "\tok\t9000", "\tbroken\t9000");
    },
    field: "NCCL/collective hang with MTU",
  },
];

/** Another address of an NPU in node1's hccn.conf, or none. */
function confAs(id: number, address: string | undefined) {
  return (answers: Answers): void => {
    const path = `file\t${node1.driverPaths.hccnConf}\tfound\t`;
    const line = answers.host.split("\n").find((text) => text.startsWith(path))!;
    const text = Buffer.from(line.slice(path.length), "base64").toString();
    const changed = text.replace(
      new RegExp(`address_${id}=.*\\n`),
      address === undefined ? "" : `address_${id}=${address}\n`,
    );
    assert.notEqual(changed, text);
    answers.host = swap(answers.host, line, `${path}${base64(changed)}`);
  };
}

export { idle, PING_SUMMARY };
