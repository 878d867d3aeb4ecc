// Proves that every check fires on its bad case, names it, and is silent on the good one, from the text that facts.sh
// prints. Does not prove that facts.sh prints so: test/node/facts.test.ts and the lab do.
import assert from "node:assert/strict";
import { FINDING_CODES, type FindingCode } from "../../../core/facts/finding-codes.js";
import { parseHostFacts } from "../../../core/facts/host-facts.js";
import {
  GATE_CHECKS,
  type GateResult,
  type HostReport,
  judgeGate,
} from "../../../core/facts/judge-gate.js";
import type { SshFailureKind } from "../../../core/facts/ssh-failure.js";
import { rawCluster } from "../../support/specs.js";
import { BAD_RUNS } from "../smoke/bad-runs.js";
import {
  aGatePlan,
  base64,
  goodAnswer,
  goodPeerAnswer,
  goodReport,
  hostReport,
  MODEL_CONFIG,
  MODEL_FILES,
  OWN_CONTAINER_ID,
} from "./answers.js";
import { BAD_CASES as CLUSTER_BAD_CASES } from "./bad-cases.js";

const plan = aGatePlan();
const [node0, node1] = [plan.nodes[0]!, plan.nodes[1]!];
const good = goodAnswer(plan, node1);

/** Replaces exactly one piece of the good answer, so that a test cannot pass because it changed nothing. */
function without(piece: string, replacement = ""): string {
  assert.ok(good.includes(piece), `the good answer has no ${JSON.stringify(piece)}`);
  return good.replace(piece, replacement);
}

const goodPeers = goodPeerAnswer(plan, node1);

function report(answer: string): HostReport {
  return hostReport(answer, goodPeers);
}

function judge(answer: string, of = plan): GateResult {
  return judgeGate(of, [goodReport(of, of.nodes[0]!), report(answer)]);
}

const listener = (port: number, address: string, pid: string, name: string, container: string) =>
  without("ports\tok", `listener\t${port}\t${address}\t${pid}\t${name}\t${container}\nports\tok`);

/** The good answer with another config.json. */
const withConfig = (changes: object) =>
  without(
    base64(JSON.stringify(MODEL_CONFIG)),
    base64(JSON.stringify({ ...MODEL_CONFIG, ...changes })),
  );
/** The same of a larger model, whose weights have no description. */
const withLayers = (layers: number) =>
  withConfig({ num_hidden_layers: layers }).replace(
    base64(MODEL_FILES),
    base64(MODEL_FILES.replaceAll(/\t\d+\t(.*\.safetensors)/g, "\t0\t$1")),
  );

interface BadCase {
  readonly title: string;
  readonly answer: string;
  readonly check: string;
  readonly code: FindingCode;
  readonly result?: "warn" | "unknown";
  /** Parts that a reader needs to act. */
  readonly says: readonly string[];
}

const BAD_CASES: readonly BadCase[] = [
  {
    title: "sudo that wants a password",
    answer: without("root\tyes", "root\tno\tsudo: a password is required"),
    check: "root",
    code: "SUDO_MISSING",
    says: ["user root", "a password is required", "/etc/sudoers.d"],
  },
  {
    title: "a tool that is not installed",
    answer: without("tool\tflock\t/usr/bin/flock", "tool\tflock\t"),
    check: "tools",
    code: "TOOLS_MISSING",
    says: ["flock", "util-linux"],
  },
  {
    title: "a host that systemd did not boot",
    answer: without("/run/systemd/system\tfound\tdirectory", "/run/systemd/system\tmissing"),
    check: "tools",
    code: "SYSTEMD_MISSING",
    says: ["systemd"],
  },
  {
    title: "docker that is not installed",
    answer: without("tool\tdocker\t/usr/bin/docker", "tool\tdocker\t").replace(
      "docker\tok",
      "docker\tfailed",
    ),
    check: "docker",
    code: "TOOLS_MISSING",
    says: ["docker is not installed"],
  },
  {
    title: "a docker daemon that is down",
    answer: without(
      "\ndocker\tok\t20.10.24",
      "\ndocker\tfailed\tCannot connect to the Docker daemon",
    ),
    check: "docker",
    code: "DOCKER_DOWN",
    says: ["Cannot connect to the Docker daemon", "systemctl enable --now docker"],
  },
  {
    title: "a login user outside the group docker",
    answer: without("docker-of-login\tok\t20.10.24", "docker-of-login\tfailed\tpermission denied"),
    check: "docker",
    code: "DOCKER_LOGIN",
    says: ["permission denied", "usermod -aG docker root"],
  },
  {
    title: "docker outside the search path of a login",
    answer: without("docker-of-login\tok\t20.10.24", "docker-of-login\tmissing\t/bin:/sbin"),
    check: "docker",
    code: "DOCKER_LOGIN",
    says: ["/bin:/sbin", "ln -s /usr/bin/docker"],
  },
  {
    title: "a device node that is away",
    answer: without("/dev/davinci3\tfound\tcharacter special file", "/dev/davinci3\tmissing"),
    check: "devices",
    code: "DEVICE_MISSING",
    says: ["/dev/davinci3", "visibleDevices"],
  },
  {
    title: "a directory in the place of a device node",
    answer: without(
      "/dev/davinci3\tfound\tcharacter special file",
      "/dev/davinci3\tfound\tdirectory",
    ),
    check: "devices",
    code: "DEVICE_MISSING",
    says: ["/dev/davinci3 is a directory"],
  },
  {
    title: "a model that is larger than the NPUs",
    answer: withLayers(190),
    check: "memory",
    code: "MEMORY_FIT",
    says: ["GiB are missing on each NPU", "by formula", "largest lever: ", "acceptMemoryFit"],
  },
  {
    title: "a layout that vLLM refuses for the model",
    answer: withConfig({ num_attention_heads: 60 }),
    check: "memory",
    code: "MODEL_LAYOUT",
    says: ["must divide the 60 attention heads, got 8", "serve.tensorParallelSize"],
  },
  {
    title: "an architecture without formulas",
    answer: withConfig({ architectures: ["GlmMoeForCausalLM"] }),
    check: "memory",
    code: "MEMORY_UNKNOWN",
    result: "unknown",
    says: ["GlmMoeForCausalLM", "nothing is guessed"],
  },
  {
    title: "a config.json that lacks what decides memory",
    answer: withConfig({ hidden_size: "large" }),
    check: "memory",
    code: "FACT_UNKNOWN",
    result: "unknown",
    says: ["memory fit", "hidden_size"],
  },
  {
    title: "npu-smi in another directory",
    answer: without(
      "/usr/local/bin/npu-smi\tfound\tregular file",
      "/usr/local/bin/npu-smi\tmissing\nelsewhere\t/usr/local/bin/npu-smi\t/usr/local/sbin/npu-smi",
    ),
    check: "mounts",
    code: "MOUNT_MISSING",
    says: ["/usr/local/bin/npu-smi is not there", "set hostPaths.npuSmi: /usr/local/sbin/npu-smi"],
  },
  {
    title: "a driver file that is nowhere",
    answer: without("/etc/hccn.conf\tfound\tregular file", "/etc/hccn.conf\tmissing"),
    check: "mounts",
    code: "MOUNT_MISSING",
    says: ["/etc/hccn.conf", "NPU driver"],
  },
  {
    title: "a mount on a file system whose server is gone",
    answer: without(
      "/etc/hccn.conf\tfound\tregular file",
      "/etc/hccn.conf\terror\tno answer within 5 s",
    ),
    check: "mounts",
    code: "FACT_UNKNOWN",
    result: "unknown",
    says: ["/etc/hccn.conf", "no answer within 5 s"],
  },
  {
    title: "weights that are away",
    answer: without(`${node1.modelPath}\tfound\tdirectory`, `${node1.modelPath}\tmissing`),
    check: "model",
    code: "MODEL_MISSING",
    says: [node1.modelPath, "model.path"],
  },
  {
    title: "weights without config.json",
    answer: without("config.json\tfound\tregular file", "config.json\tmissing"),
    check: "model",
    code: "MODEL_MISSING",
    says: ["holds no config.json"],
  },
  {
    title: "a file in the place of the directory of the weights",
    answer: without(
      `${node1.modelPath}\tfound\tdirectory`,
      `${node1.modelPath}\tfound\tregular file`,
    ),
    check: "model",
    code: "MODEL_MISSING",
    says: ["is a regular file"],
  },
  {
    title: "an image that the registry does not have",
    answer: without("\tpresent\tsha256:0123", "\tunknown-to-registry\tno such manifest"),
    check: "image",
    code: "IMAGE_MISSING",
    says: ["no such manifest", "imagetools inspect"],
  },
  {
    title: "an image that must be there and is not",
    answer: without("\tpresent\tsha256:0123", "\tabsent"),
    check: "image",
    code: "IMAGE_MISSING",
    says: ["docker load"],
  },
  {
    title: "a registry that gives no verdict",
    answer: without("\tpresent\tsha256:0123", "\tregistry-error\tdial tcp: i/o timeout"),
    check: "image",
    code: "IMAGE_UNKNOWN",
    result: "unknown",
    says: ["i/o timeout", "docker pull"],
  },
  {
    title: "an address on another interface",
    answer: without(
      `${node1.socketInterface}\t${node1.socketInterface}\t${node1.connection.address}`,
      `eth7\teth7\t${node1.connection.address}`,
    ),
    check: "network",
    code: "ADDRESS_NOT_ON_INTERFACE",
    says: ["is on eth7, not on enp67s0f0", "socketInterface: eth7"],
  },
  {
    title: "an address that no interface owns",
    answer: without(`\t${node1.connection.address}\naddresses`, "\t192.0.2.99\naddresses"),
    check: "network",
    code: "ADDRESS_NOT_ON_INTERFACE",
    says: [`no interface of the host owns ${node1.connection.address}`, "enp67s0f0 192.0.2.99"],
  },
  {
    title: "an interface without carrier",
    answer: without(`link\t${node1.socketInterface}\tup`, `link\t${node1.socketInterface}\tdown`),
    check: "network",
    code: "INTERFACE_DOWN",
    says: [node1.socketInterface],
  },
  {
    title: "a port of Ray held by a foreign process",
    answer: listener(6380, "0.0.0.0", "77", "redis-server", ""),
    check: "ports",
    code: "PORT_BUSY",
    says: ["port 6380 (ray.nodeManagerPort)", "redis-server (pid 77)", "ps -fp 77"],
  },
  {
    title: "a port within the range of Ray's workers held by a foreign container",
    answer: listener(10_999, "*", "78", "java", "b".repeat(64)),
    check: "ports",
    code: "PORT_BUSY",
    says: ["port 10999 (ray.minWorkerPort)", "java (pid 78, container bbbbbbbbbbbb)", "docker ps"],
  },
  {
    title: "a port held by nobody that the host can name",
    answer: listener(6381, "[::]", "", "", ""),
    check: "ports",
    code: "PORT_BUSY",
    says: ["a process that the host cannot name", "ss -ltnp"],
  },
  {
    title: "a port held on another address only",
    answer: listener(6380, "127.0.0.1", "79", "nginx", ""),
    check: "ports",
    code: "PORT_BUSY",
    result: "warn",
    says: ["on 127.0.0.1 by nginx"],
  },
  {
    title: "a container of our name whose processes are not this stack's",
    answer: without(
      `running\t0\t${plan.owner}\t`,
      "running\t0\torganization/vllm-ascend/other\t",
    ).replace("listener\t8000", "listener\t6379"),
    check: "owner",
    code: "CONTAINER_FOREIGN",
    says: [`container ${plan.containerName} is there`, "organization/vllm-ascend/other"],
  },
  {
    title: "a container of our name made by hand",
    answer: without(`running\t0\t${plan.owner}\tnode1`, "exited\t1\t\t"),
    check: "owner",
    code: "CONTAINER_FOREIGN",
    says: ["made by hand", "exited"],
  },
  {
    title: "a cluster of this name of another stack",
    answer: without(base64(`${plan.owner}\n`), base64("acme/other/prod\n")),
    check: "owner",
    code: "OWNER_FOREIGN",
    says: ["belongs to stack acme/other/prod", plan.owner],
  },
  {
    title: "a host that is already another node",
    answer: without(base64("node1\n"), base64("node0\n")),
    check: "owner",
    code: "NODE_MOVED",
    says: ["already node node0"],
  },
];

describe("judgeGate", () => {
  it("refuses a node name whose address leads to another machine, and takes a machine with a new address", () => {
    const [head, member] = [plan.nodes[0]!, plan.nodes[1]!];
    const staged = (address: string) =>
      base64(JSON.stringify({ nodes: { [member.name]: address }, ray: null, serve: "77c0" }));
    const codes = (was: string, nodeFile: string, headContainer = "present") => {
      const headAnswer = goodAnswer(plan, head)
        .replace(/(staged\.json\tfound\t)\S+/, `$1${staged(was)}`)
        .replace(/^(container\t\S+\t)present/m, `$1${headContainer}`);
      const answer = without(`${plan.baseDir}/node\tfound\t${base64("node1\n")}`, nodeFile);
      const result = judgeGate(plan, [hostReport(headAnswer), report(answer)]);
      return result.findings
        .filter(({ code }) => code === "NODE_MOVED")
        .map(({ node, detail }) => `${node}: ${detail}`);
    };
    const missing = `${plan.baseDir}/node\tmissing`;
    const same = `${plan.baseDir}/node\tfound\t${base64("node1\n")}`;
    const { address } = member.connection;
    assert.deepEqual(codes("10.9.9.9", missing), [
      `node1: node1 was 10.9.9.9, and the host at ${address} was never node1`,
    ]);
    assert.deepEqual(codes("10.9.9.9", same), []);
    assert.deepEqual(codes(address, missing), []);
    // Nothing was started where the address was wrong.
    assert.deepEqual(codes("10.9.9.9", missing, "absent"), []);
  });

  it("passes hosts on which nothing is wrong, with what is ours counted as free", () => {
    const result = judge(good);
    assert.deepEqual(result.findings, []);
    assert.equal(result.isPassed, true);
    for (const { cells } of result.rows) {
      assert.deepEqual(
        cells,
        Object.fromEntries(["ssh", ...GATE_CHECKS.map(({ name }) => name)].map((n) => [n, "pass"])),
      );
    }
  });

  for (const { title, answer, check, code, result = "fail", says } of BAD_CASES) {
    it(`finds ${title}`, () => {
      const { findings, rows, isPassed } = judge(answer);
      const found = findings.filter((finding) => finding.check === check);
      assert.equal(found.length, 1, JSON.stringify(findings));
      assert.equal(found[0]!.code, code);
      assert.equal(found[0]!.result, result);
      assert.equal(found[0]!.node, "node1");
      for (const part of says) {
        assert.ok(
          `${found[0]!.detail}\n${found[0]!.fix}`.includes(part),
          `${part} in ${JSON.stringify(found[0])}`,
        );
      }
      assert.equal(rows[1]!.cells[check], result);
      assert.equal(isPassed, result !== "fail");
      assert.ok(Object.values(rows[0]!.cells).every((cell) => cell === "pass"));
    });
  }

  describe("the consent to stop a group", () => {
    const status = (state: string, serve: string) =>
      base64(JSON.stringify({ schema: 1, state, serve: { state: "ready", hash: serve } }));
    const answers = (state: string, serve: string) =>
      goodAnswer(plan, node0).replace(
        "status.json\tmissing",
        `status.json\tfound\t${status(state, serve)}`,
      );
    const headReports = (head: string) => [
      hostReport(head, goodPeerAnswer(plan, node0)),
      report(good),
    ];
    const found = (head: string, of = plan) =>
      judgeGate(of, headReports(head)).findings.map(({ node, code }) => [node, code]);

    it("is asked for when the head serves another release", () => {
      const { findings } = judgeGate(plan, headReports(answers("ready", "old")));
      assert.deepEqual(
        findings.map(({ node, code, result }) => [node, code, result]),
        [["node0", "DOWNTIME_CONSENT", "fail"]],
      );
      assert.match(findings[0]!.fix, new RegExp(`allowDowntimeFor ${plan.plan}$`));
    });

    it("is unknown, not a pass, where the head's status was not told", () => {
      const head = goodAnswer(plan, node0).replace(/\nfile\t[^\t]*status\.json\t[^\n]*/, "");
      const { findings } = judgeGate(plan, headReports(head));
      assert.deepEqual(
        findings.map(({ check, result }) => [check, result]),
        [["consent", "unknown"]],
      );
    });

    it("is given for this plan only", () => {
      const head = answers("ready", "old");
      assert.deepEqual(found(head, { ...plan, allowDowntimeFor: plan.plan }), []);
      assert.deepEqual(found(head, { ...plan, allowDowntimeFor: "0123456789abcdef" }), [
        ["node0", "DOWNTIME_CONSENT"],
      ]);
    });

    it("is not needed where nothing is lost: same release, not serving, container stopped or absent", () => {
      assert.deepEqual(found(answers("ready", plan.serve)), []);
      assert.deepEqual(found(answers("down", "old")), []);
      assert.deepEqual(found(answers("ready", "old").replace("\trunning\t", "\texited\t")), []);
      assert.deepEqual(found(goodAnswer(plan, node0)), []);
    });
  });

  it("takes the ports of a foreign container of our name for busy", () => {
    const { findings } = judge(without(`running\t0\t${plan.owner}\t`, "running\t0\tother\t"));
    assert.deepEqual(
      findings.map(({ code, check }) => [code, check]),
      [
        ["PORT_BUSY", "ports"],
        ["CONTAINER_FOREIGN", "owner"],
        ["NPU_BUSY", "free"],
      ],
    );
  });

  it("reports a daemon on IPv4 and IPv6 once", () => {
    const answer = listener(6380, "0.0.0.0", "77", "redis", "").replace(
      "ports\tok",
      "listener\t6380\t[::]\t77\tredis\t\nports\tok",
    );
    assert.equal(judge(answer).findings.length, 1);
  });

  it("takes an archive on the host for the image, and nothing else in its place", () => {
    const { reference } = rawCluster().image;
    const of = aGatePlan({
      image: {
        reference,
        source: "archive",
        id: `sha256:${"1".repeat(64)}`,
        archive: "/data/v.tar",
      },
    });
    const answer = (state: string) =>
      goodAnswer(of, of.nodes[1]!).replace("\tpresent\tsha256:0123", `\tabsent\npath\t${state}`);
    assert.deepEqual(judge(answer("/data/v.tar\tfound\tregular file"), of).findings, []);
    for (const [state, says] of [
      ["/data/v.tar\tmissing", /\/data\/v\.tar is not there/],
      ["/data/v.tar\tfound\tdirectory", /\/data\/v\.tar is a directory/],
    ] as const) {
      const [finding] = judge(answer(state), of).findings;
      assert.equal(finding?.code, "IMAGE_MISSING");
      assert.match(finding.detail, says);
      assert.match(finding.fix, /image\.archive/);
    }
    assert.equal(judge(answer("/else\tmissing"), of).findings[0]?.result, "unknown");
  });

  it("asks for no model on a host that will download it", () => {
    const revision = "0".repeat(40);
    const of = aGatePlan({
      model: { path: "/data/new", source: "modelscope", repository: "Qwen/Qwen3-8B", revision },
    });
    const answer = goodAnswer(of, of.nodes[1]!)
      .replace("path\t/data/new\tfound\tdirectory", "path\t/data/new\tmissing")
      .replace("/data/new/config.json\tfound\tregular file", "/data/new/config.json\tmissing");
    const { isPassed, rows } = judge(answer, of);
    assert.deepEqual([isPassed, rows[1]?.cells["model"]], [true, "pass"]);
  });

  it("accepts an address under the label of an alias", () => {
    const aliased = aGatePlan({ socketInterface: "eth0:1" });
    const answer = goodAnswer(aliased, aliased.nodes[1]!).replace(
      "address\teth0:1\teth0:1",
      "address\teth0\teth0:1",
    );
    assert.deepEqual(judge(answer, aliased).findings, []);
  });

  describe("memory", () => {
    const memoryOf = (answer: string, of = plan) =>
      judge(answer, of).findings.filter(({ check }) => check === "memory");

    it("starts what does not fit when the stack accepts it, and says why every time", () => {
      const reason = "the guide documents it as possible";
      const accepting = aGatePlan({ acceptMemoryFit: { reason } });
      const [finding, ...others] = memoryOf(withLayers(190), accepting);
      assert.deepEqual([finding!.code, finding!.result, others], ["MEMORY_FIT", "warn", []]);
      assert.match(finding!.fix, /^accepted by acceptMemoryFit: the guide documents it/);
    });

    it("accepts no layout that vLLM refuses", () => {
      const accepting = aGatePlan({ acceptMemoryFit: { reason: "try it" } });
      const [finding] = memoryOf(withConfig({ num_attention_heads: 60 }), accepting);
      assert.deepEqual([finding!.code, finding!.result], ["MODEL_LAYOUT", "fail"]);
    });

    it("takes sizes and format from the host's own files", () => {
      const { memoryFit } = judge(good);
      assert.match(memoryFit!, /^memory fit: fits: .* 27\.5 GiB of weights by index/);
      // Twice as many layers fit when the weights are W8A8.
      const large = withConfig({ num_hidden_layers: 188 }).replace(
        base64(MODEL_FILES),
        base64(`${MODEL_FILES}\nformats\tW8A8_DYNAMIC,`),
      );
      const judged = judgeGate(plan, [report(large), report(large)]);
      assert.match(judged.memoryFit!, / 27\.\d GiB of weights by index/);
      assert.deepEqual(memoryOf(large), []);
    });

    it("warns once of a model that leaves little room, and starts it", () => {
      const tight = report(withLayers(168));
      const found = judgeGate(plan, [tight, tight]).findings.filter(
        ({ check }) => check === "memory",
      );
      assert.deepEqual(
        found.map(({ node, code, result }) => [node, code, result]),
        [["node0", "MEMORY_TIGHT", "warn"]],
      );
      assert.match(found[0]!.detail, /GiB are left for the cache/);
      assert.match(found[0]!.fix, /largest lever: /);
    });

    it("judges by the smallest NPU of all nodes", () => {
      const nodes = rawCluster().nodes.map((node, index) =>
        index === 1 ? { ...node, npuMemoryGib: 32 as const } : node,
      );
      assert.deepEqual(
        memoryOf(good, aGatePlan({ nodes })).map(({ node, code }) => [node, code]),
        [
          // Once for the cluster: the same plan and files cannot fit on one node only.
          ["node0", "MEMORY_FIT"],
        ],
      );
    });
  });

  it("skips what it cannot judge without root or docker, and does not repeat the cause", () => {
    const noRoot = judge(without("root\tyes", "root\tno\tno sudo"));
    assert.deepEqual(
      noRoot.findings.map(({ code }) => code),
      ["SUDO_MISSING"],
    );
    assert.equal(noRoot.rows[1]!.cells["ports"], "skipped");
    const noDocker = judge(
      without("\ndocker\tok", "\ndocker\tfailed").replace("\tpresent\tsha", "\terror\tsha"),
    );
    assert.deepEqual(
      noDocker.findings.map(({ code }) => code),
      ["DOCKER_DOWN"],
    );
    assert.equal(noDocker.rows[1]!.cells["image"], "skipped");
    assert.equal(noDocker.rows[1]!.cells["devices"], "pass");
  });

  it("never takes a fact that was not told for a pass", () => {
    const facts = parseHostFacts(
      "facts\t1\nroot\tyes\ndocker\tok\t20\ntool\tdocker\t/usr/bin/docker\nend\n",
    );
    const { rows } = judgeGate(plan, [
      goodReport(plan, node0),
      { ...hostReport("", "facts\t1\nend\n"), facts },
    ]);
    // Only the head is asked what it serves.
    const { ssh, root, consent, ...others } = rows[1]!.cells;
    assert.deepEqual([ssh, root, consent], ["pass", "pass", "pass"]);
    // What cannot be told of link, ping and TLS must block.
    const blocking = ["npu-net", "tls", "npu-ping"];
    for (const [check, cell] of Object.entries(others)) {
      assert.equal(cell, blocking.includes(check) ? "fail" : "unknown", check);
    }
  });

  it("fails a host whose answer was cut short, with its last words", () => {
    const result = judgeGate(plan, [
      goodReport(plan, node0),
      { ...report(without("\nend\n", "\n")), stderr: "noise\nbash: line 7: ss: not found\n" },
    ]);
    assert.deepEqual(
      result.findings.map(({ code, detail }) => [code, detail]),
      [["FACTS_INCOMPLETE", "the look at the host ended early: bash: line 7: ss: not found"]],
    );
    assert.equal(result.rows[1]!.cells["devices"], "skipped");
  });

  const failureCodes: Readonly<Record<SshFailureKind, FindingCode>> = {
    unreachable: "NODE_UNREACHABLE",
    refused: "NODE_UNREACHABLE",
    throttled: "NODE_UNREACHABLE",
    lost: "NODE_UNREACHABLE",
    timeout: "FACTS_INCOMPLETE",
    "host-key": "HOST_KEY",
    "no-agent": "SSH_AGENT",
    auth: "SSH_KEY",
    sudo: "SUDO_MISSING",
    client: "SSH_CLIENT",
    shell: "TOOLS_MISSING",
  };
  for (const [kind, code] of Object.entries(failureCodes)) {
    it(`reports a connection that ended as ${kind} with ${code}, and the other host all the same`, () => {
      const { findings, rows } = judgeGate(plan, [
        {
          failure: { kind: kind as SshFailureKind, cause: "the cause", next: "the fix" },
          ...{ stderr: "", askedSec: 0, answeredSec: 1 },
        },
        report(without("/dev/davinci3\tfound\tcharacter special file", "/dev/davinci3\tmissing")),
      ]);
      assert.deepEqual(
        findings.map((finding) => [finding.node, finding.code]),
        [
          ["node0", code],
          ["node1", "DEVICE_MISSING"],
        ],
      );
      assert.deepEqual([findings[0]!.detail, findings[0]!.fix], ["the cause", "the fix"]);
      assert.equal(rows[0]!.cells["root"], "skipped");
    });
  }

  it("puts failures first, then what is unknown, then warnings", () => {
    const answer = listener(6380, "127.0.0.1", "79", "nginx", "")
      .replace("\tpresent\tsha256:0123", "\tregistry-error\ttimeout")
      .replace("/dev/davinci3\tfound\tcharacter special file", "/dev/davinci3\tmissing");
    assert.deepEqual(
      judge(answer).findings.map(({ result }) => result),
      ["fail", "unknown", "warn"],
    );
  });

  it("has a test for every code", () => {
    const tested = new Set<string>([
      ...[...BAD_CASES, ...CLUSTER_BAD_CASES, ...BAD_RUNS].map(({ code }) => code),
      "MEMORY_TIGHT",
      ...Object.values(failureCodes),
      "DOWNTIME_CONSENT",
    ]);
    assert.deepEqual(
      FINDING_CODES.filter((code) => !tested.has(code)),
      [],
    );
  });

  it("knows its own container by its id, not by its name", () => {
    const answer = good.replace(`ray::IDLE\t${OWN_CONTAINER_ID}`, `ray::IDLE\t${"c".repeat(64)}`);
    assert.deepEqual(
      judge(answer).findings.map(({ code }) => code),
      ["PORT_BUSY"],
    );
  });
});
