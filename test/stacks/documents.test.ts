// The two documents that this product began with are golden cases: every container option, variable, flag and command that
// they write is in the plan of the committed stack with the document's value, or stands in a table below with the reason why
// not. Does not prove the hccn_tool queries of the Ray guide (the preflight asks them), nor that the plan starts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { lintCluster } from "../../core/lint/lint-cluster.js";
import type { ClusterPlan } from "../../core/plan/cluster-plan.js";
import { planCluster } from "../../core/plan/plan-cluster.js";
import { clusterCommands, type NodeCommands } from "../../core/render/commands.js";
import type { ClusterSpec } from "../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../core/spec/parse.js";
import { repoDir } from "../../tools/setup/paths.mjs";

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), "../sources");

/** One part of a document: a command or an environment of one node. */
interface Part {
  readonly title: string;
  readonly document: "ray-tp8-pp2" | "gpustack-dp2-tp8";
  readonly stack: string;
  readonly node: "node0" | "node1";
  readonly of: "docker" | "env" | "ray" | "serve";
  /** First and last line in the document. */
  readonly lines: readonly [first: number, last: number];
  /** Items that the text of another line takes away or adds on this node, with that line. */
  readonly edits?: readonly (readonly [line: number, item: string, value: string | null])[];
}

const RAY = { document: "ray-tp8-pp2", stack: "qwen3-235b-ray-tp8-pp2" } as const;
const GPUSTACK = { document: "gpustack-dp2-tp8", stack: "qwen3.5-397b-w8a8-dp2-tp8" } as const;

const PARTS: readonly Part[] = [
  { title: "the container", ...RAY, node: "node0", of: "docker", lines: [65, 86] },
  { title: "the container", ...RAY, node: "node1", of: "docker", lines: [65, 86] },
  { title: "the environment of the head", ...RAY, node: "node0", of: "env", lines: [107, 111] },
  { title: "Ray on the head", ...RAY, node: "node0", of: "ray", lines: [112, 112] },
  { title: "the environment of the worker", ...RAY, node: "node1", of: "env", lines: [123, 127] },
  { title: "Ray on the worker", ...RAY, node: "node1", of: "ray", lines: [128, 128] },
  { title: "TP8 x PP2", ...RAY, node: "node0", of: "serve", lines: [143, 153] },
  {
    title: "TP16",
    ...RAY,
    stack: "qwen3-235b-ray-tp16",
    node: "node0",
    of: "serve",
    lines: [159, 168],
  },
  { title: "the command template", ...GPUSTACK, node: "node0", of: "serve", lines: [17, 17] },
  { title: "the primary's parameters", ...GPUSTACK, node: "node0", of: "serve", lines: [32, 49] },
  { title: "the primary's environment", ...GPUSTACK, node: "node0", of: "env", lines: [51, 60] },
  {
    title: "the secondary's parameters",
    ...GPUSTACK,
    node: "node1",
    of: "serve",
    lines: [32, 49],
    edits: [
      [65, "--api-server-count", null],
      [65, "--data-parallel-start-rank", "1"],
      [65, "--headless", ""],
    ],
  },
  {
    title: "the secondary's environment",
    ...GPUSTACK,
    node: "node1",
    of: "env",
    lines: [51, 60],
    edits: [[66, "HCCL_IF_IP", "192.168.13.34"]],
  },
];

/** Where the plan differs on purpose: `<document>:<line> <item>` -> what the plan has (`null` = nothing), and why. */
const DIFFERENCES: Readonly<Record<string, readonly [plan: string | null, because: string]>> = {
  "ray-tp8-pp2:65 --rm": [null, "the boot unit starts the same container again after a reboot"],
  "ray-tp8-pp2:66 --name": ["vllm-cluster-qwen3-235b", "every name carries the cluster"],
  "ray-tp8-pp2:85 mount /root/.cache": [
    null,
    "the weights are mounted from model.path; a cache is a row of container.mounts",
  ],
  "ray-tp8-pp2:86 -it": [null, "the container runs the supervisor, not a shell"],
};

describe("the source documents", () => {
  const used = new Set<string>();

  for (const part of PARTS) {
    it(`${part.document} lines ${part.lines.join("-")}, ${part.title}: in the plan of ${part.node}`, () => {
      const plan = planOf(part.stack);
      const planned = plannedItems(commandsOf(plan, part.node), part.of);
      const written = writtenItems(part, plan);
      assert.ok(written.length > 0);
      const wrong = written.flatMap(({ line, item, value }) => {
        const key = `${part.document}:${line} ${item}`;
        const difference = DIFFERENCES[key];
        if (difference !== undefined) used.add(key);
        const wanted = difference === undefined ? value : difference[0];
        const got = planned.get(item) ?? null;
        return isSame(got, wanted) ? [] : [`${key}: plan has ${got}, wanted ${wanted}`];
      });
      assert.deepEqual(wrong, []);
    });
  }

  it("asks what the guide asks, with the address of the head in the place of localhost", () => {
    const text = [...linesOf("ray-tp8-pp2", [174, 181]).values()].join("\n").replaceAll("\\\n", "");
    const [, url, body] = /curl (\S+).*-d '([^']*)'/s.exec(text)!;
    const { curl } = planOf("qwen3-235b-ray-tp8-pp2").endpoint;
    assert.ok(curl.includes(url!.replace("localhost", "192.0.2.11")), curl);
    assert.deepEqual(JSON.parse(/-d '([^']*)'/.exec(curl)![1]!), JSON.parse(body!));
  });

  it("use the image of the article", () => {
    const text = linesOf("gpustack-dp2-tp8", [14, 14]).get(14)!;
    const original = /original:([^)]*)\)/.exec(text)![1]!;
    assert.equal(specOf(GPUSTACK.stack).image.reference, original);
  });

  it("differ from the plan in nothing that the table does not explain any more", () => {
    assert.deepEqual([...used].toSorted(), Object.keys(DIFFERENCES).toSorted());
  });

  it("have what is doubtful in them named by lint", () => {
    const codes = (stack: string) =>
      lintCluster(specOf(stack), { hasApiKey: true }).map(({ code }) => code);
    assert.deepEqual(codes("qwen3-235b-ray-tp8-pp2"), [
      "TRUST_REMOTE_CODE_UNPINNED",
      "RAY_PIPELINE_EXPERT_PARALLEL",
      "RAY_WITHOUT_AUTHENTICATION",
    ]);
    assert.deepEqual(codes("qwen3-235b-ray-tp16"), [
      "TRUST_REMOTE_CODE_UNPINNED",
      "RAY_WITHOUT_AUTHENTICATION",
      "TENSOR_PARALLEL_OVER_NODES",
    ]);
    assert.deepEqual(codes("qwen3.5-397b-w8a8-dp2-tp8"), [
      "TRUST_REMOTE_CODE_UNPINNED",
      "QUANTIZATION_MISSING",
      "ENGINE_READY_TIMEOUT",
      "ASYNC_SCHEDULING",
      "SPECULATIVE_METHOD",
      "SPECULATIVE_EAGER",
      "HCCL_BUFFSIZE_MEMORY",
    ]);
  });
});

describe("the traps of the source documents", () => {
  const ray = () => planOf(RAY.stack);
  const data = () => planOf(GPUSTACK.stack);
  const flags = (plan: ClusterPlan, node: string) => plannedItems(commandsOf(plan, node), "serve");

  it("1 no --quantization for W8A8 weights: lint says QUANTIZATION_MISSING until it is set", () => {
    const spec = specOf(GPUSTACK.stack);
    const codes = (quantization: string | undefined) =>
      lintCluster({ ...spec, serve: { ...spec.serve, quantization } } as ClusterSpec, {
        hasApiKey: true,
      }).map(({ code }) => code);
    assert.ok(codes(undefined).includes("QUANTIZATION_MISSING"));
    assert.ok(!codes("ascend").includes("QUANTIZATION_MISSING"));
  });

  it("2 the secondary is no plain clone: no API servers, and the primary's address for data parallelism", () => {
    const secondary = flags(data(), "node1");
    assert.equal(secondary.get("--api-server-count"), undefined);
    assert.equal(secondary.get("--data-parallel-address"), addressOf(data(), "node0"));
  });

  it("3 a start rank comes with --headless, and with it only", () => {
    for (const node of ["node0", "node1"]) {
      const items = flags(data(), node);
      assert.equal(items.has("--data-parallel-start-rank"), items.has("--headless"), node);
    }
  });

  it("4 HCCL_IF_IP is each node's own address", () => {
    for (const plan of [ray(), data()]) {
      for (const { name, env, connection } of plan.nodes) {
        assert.equal(env["HCCL_IF_IP"], connection.address, name);
      }
    }
  });

  it("5 the order does not matter, the interval does: one group, started by its supervisors together", () => {
    const hashes = data().nodes.map(({ releases }) => releases.serve.hash);
    assert.equal(new Set(hashes).size, 1);
  });

  it("6 a headless node has no HTTP: readiness is asked of the head, and of its engines", () => {
    const [head, member] = data().nodes;
    assert.equal(member!.releases.serve.readiness, undefined);
    assert.equal(head!.releases.serve.readiness?.engines, 2);
  });

  it("7 extra_body is the SDK's word: no request of ours has it", () => {
    for (const plan of [ray(), data()]) assert.doesNotMatch(plan.endpoint.curl, /extra_body/);
  });

  it("8 docker run of the guide ends at its comment, and lacks shared memory, the head's address and an interface", () => {
    const head = commandsOf(ray(), "node0");
    const docker = plannedItems(head, "docker");
    assert.ok(docker.has("mount /etc/ascend_install.info") && docker.has("--network"));
    assert.equal(docker.get("--shm-size"), "16384m");
    assert.equal(plannedItems(head, "ray").get("--node-ip-address"), head.address);
    assert.equal(head.env["HCCL_SOCKET_IFNAME"], "enp67s0f0");
  });

  it("9 NOSET is set for whatever Ray the image has", () => {
    for (const { env } of ray().nodes) {
      assert.equal(env["RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES"], "1");
    }
  });

  it("10 PP2 x TP8 with expert parallelism on Ray: lint says RAY_PIPELINE_EXPERT_PARALLEL", () => {
    const codes = lintCluster(specOf(RAY.stack), { hasApiKey: true }).map(({ code }) => code);
    assert.ok(codes.includes("RAY_PIPELINE_EXPERT_PARALLEL"));
  });

  it("11 one image on all nodes, by digest; pipeline parallelism on 0.18 has a code of lint", () => {
    const images = data().nodes.map(({ container }) => container.image.pull);
    assert.equal(new Set(images).size, 1);
    assert.match(images[0]!, /@sha256:[0-9a-f]{64}$/);
    const spec = specOf("qwen3-235b-mp-tp8-pp2");
    const old = {
      ...spec,
      image: { ...spec.image, reference: "quay.io/ascend/vllm-ascend:v0.18.0rc1" },
    };
    const codes = lintCluster(old, { hasApiKey: true }).map(({ code }) => code);
    assert.ok(codes.includes("PIPELINE_ON_0_18"));
  });
});

/** One thing that a document writes, or that a plan has: a flag, a variable, a device or a mount. */
interface Item {
  readonly line: number;
  readonly item: string;
  /** Empty for a flag without value. */
  readonly value: string;
}

/** What a part of a document writes, with the plan's addresses and interface in the place of its own. */
function writtenItems({ document, of, lines, edits = [] }: Part, plan: ClusterPlan): Item[] {
  const [head, worker] = plan.nodes;
  const isHeadPart = lines[0] < 123;
  const places: readonly (readonly [string, string])[] = [
    ["192.168.13.33", head!.connection.address],
    ["192.168.13.34", worker!.connection.address],
    ["{head_node_ip}", head!.connection.address],
    ["{local_ip}", (isHeadPart ? head : worker)!.connection.address],
    ["{nic_name}", head!.socketInterface],
    ["{{worker_ip}}", head!.connection.address],
    ["{{port}}", "8000"],
    ["{{model_name}}(double", plan.endpoint.model],
  ];
  const placed = (text: string) =>
    places.reduce((result, [from, to]) => result.replaceAll(from, to), text);
  const taken = new Set(edits.map(([, item]) => item));
  const fromLines = [...linesOf(document, lines)].flatMap(([line, text]) =>
    itemsOf(shellWords(placed(text)), of).map((item) => ({ line, ...item })),
  );
  const edited = edits.flatMap(([line, item, value]) =>
    value === null ? [] : [{ line, item, value: placed(value) }],
  );
  return [...fromLines.filter(({ item }) => !taken.has(item)), ...edited];
}

function plannedItems(commands: NodeCommands, of: Part["of"]): ReadonlyMap<string, string> {
  if (of === "env") return new Map(Object.entries(commands.env));
  const argv = commands[of] ?? [];
  return new Map(itemsOf([...argv], of).map(({ item, value }) => [item, value]));
}

/** Flags with their values, under one spelling for both sides. */
function itemsOf(words: readonly string[], of: Part["of"]): Omit<Item, "line">[] {
  if (of === "env") {
    return words.flatMap((word) => {
      const [, item, value] = /^([A-Z_]+)=(.*)$/.exec(word) ?? [];
      return item === undefined ? [] : [{ item, value: value! }];
    });
  }
  const items: Omit<Item, "line">[] = [];
  words.forEach((word, index) => {
    if (!word.startsWith("-")) return;
    const next = words[index + 1];
    const [name = "", ...rest] = word.split("=");
    const value = rest.length > 0 ? rest.join("=") : next?.startsWith("-") ? "" : (next ?? "");
    items.push(
      named(
        name.replace(/^--[^=]*/, (flag) => flag.replaceAll("_", "-")),
        value,
      ),
    );
  });
  return items;
}

/** Devices and mounts are many: their target is part of the name. */
function named(flag: string, value: string): Omit<Item, "line"> {
  if (flag === "--device") return { item: `device ${value}`, value: "" };
  if (flag === "--net") return { item: "--network", value };
  if (flag === "-it") return { item: flag, value: "" };
  if (flag === "-v" || flag === "--mount") {
    const [source, target] =
      flag === "-v"
        ? value.split(":")
        : ["source", "target"].map((key) => new RegExp(`${key}=([^,]*)`).exec(value)![1]);
    const plain = (path = "") => path.replace(/\/$/, "");
    return { item: `mount ${plain(target)}`, value: plain(source) };
  }
  return { item: flag, value };
}

/** The words of a line as a shell splits it; what follows ` #` is prose, a final backslash is none. */
function shellWords(line: string): string[] {
  const text = line.replace(/\\?\s+#.*$/, "").replace(/\\\s*$/, "");
  return [...text.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ""));
}

function isSame(got: string | null, wanted: string | null): boolean {
  if (got === wanted) return true;
  if (got === null || wanted === null || wanted === "" || got === "") return false;
  if (wanted.startsWith("{")) {
    assert.deepEqual(JSON.parse(got), JSON.parse(wanted));
    return true;
  }
  return Number(got) === Number(wanted);
}

/** Lines of the committed extract of a document, by their number there. */
function linesOf(document: string, [first, last]: readonly [number, number]) {
  const rows = readFileSync(join(SOURCES, `${document}.txt`), "utf8")
    .split("\n")
    .slice(1);
  const lines = new Map<number, string>();
  for (const row of rows) {
    const [number, text = ""] = row.split("\t", 2);
    const line = Number(number);
    if (row !== "" && line >= first && line <= last) lines.set(line, text);
  }
  return lines;
}

function specOf(stack: string): ClusterSpec {
  const file = join(repoDir, "stacks", `Pulumi.${stack}.yaml`);
  return parseClusterSpec(parse(readFileSync(file, "utf8")).config["vllm-ascend:cluster"]);
}

function planOf(stack: string): ClusterPlan {
  return planCluster(specOf(stack), { owner: "o/p/s", hasApiKey: true });
}

function commandsOf(plan: ClusterPlan, node: string): NodeCommands {
  const commands = clusterCommands(plan).find((one) => one.node === node);
  assert.ok(commands, node);
  return commands;
}

function addressOf(plan: ClusterPlan, node: string): string {
  return commandsOf(plan, node).address;
}
