// Proves that every check of NPUs, and every check across nodes, fires on its bad case, says what a reader needs and is silent on the
// good one, from the text that the scripts of node/ print. Does not prove that they print so: test/node/facts.test.ts and the lab do.
import assert from "node:assert/strict";
import fc from "fast-check";
import { expiredAcceptances } from "../../../core/facts/acceptance.js";
import { type GateResult, judgeGate, knownHosts } from "../../../core/facts/judge-gate.js";
import { peerRequest, plannedPings, timeBudget } from "../../../core/facts/peer-request.js";
import type { GatePlan } from "../../../core/plan/gate-plan.js";
import { rawCluster } from "../../support/specs.js";
import { aGatePlan, goodAnswer, goodPeerAnswer, goodReport, hostReport } from "./answers.js";
import { type Answers, BAD_CASES, idle } from "./bad-cases.js";

const plan = aGatePlan();

const good = goodAnswers(plan);

function goodAnswers(of: GatePlan): Answers {
  const node1 = of.nodes[1]!;
  return { host: goodAnswer(of, node1), peers: goodPeerAnswer(of, node1) };
}

function judge(of: GatePlan, change: (answers: Answers) => void): GateResult {
  const node0 = of.nodes[0]!;
  const answers = of === plan ? { ...good } : goodAnswers(of);
  change(answers);
  return judgeGate(of, [goodReport(of, node0), hostReport(answers.host, answers.peers)]);
}

describe("the preflight of a cluster", () => {
  it("passes while the cluster serves, and before it was ever started", () => {
    assert.deepEqual(judge(plan, () => undefined).findings, []);
    assert.deepEqual(judge(plan, idle).findings, []);
  });

  for (const {
    title,
    code,
    check,
    result = "fail",
    npus,
    says,
    stack,
    break: change,
  } of BAD_CASES) {
    it(`finds ${title}`, () => {
      const { findings, isPassed } = judge(stack === undefined ? plan : aGatePlan(stack), change);
      const found = findings.filter(
        (finding) => finding.node === "node1" && finding.check === check && finding.code === code,
      );
      assert.equal(found.length, 1, JSON.stringify(findings, undefined, 1));
      assert.equal(found[0]!.result, result);
      assert.deepEqual(found[0]!.npus, npus);
      for (const part of says) {
        const text = `${found[0]!.detail}\n${found[0]!.fix}`;
        assert.ok(text.includes(part), `${part} in ${text}`);
      }
      assert.notEqual(found[0]!.fix, "");
      if (result === "fail") assert.equal(isPassed, false);
      else assert.ok(isPassed, JSON.stringify(findings));
    });
  }

  it("tells one cause once: an NPU whose tool hangs is not thirteen findings", () => {
    const hangs = BAD_CASES.find(({ title }) => title === "an NPU whose queries hang")!;
    const { findings } = judge(plan, (answers) => {
      hangs.break(answers);
      answers.host = answers.host.replaceAll(
        /npu\t5\thccn_tool\t(\w+)\t0\t\S+/g,
        "npu\t5\thccn_tool\t$1\thangs",
      );
    });
    assert.deepEqual(
      findings.filter(({ node }) => node === "node1").map(({ code, npus }) => [code, npus]),
      [
        ["NPU_TOOL_HANGS", [5]],
        ["NPU_LINK", [5]],
        ["NPU_TLS", [5]],
      ],
    );
  });

  it("asks nobody for others where there is one node only", () => {
    const single = aGatePlan({ ...rawCluster({ nodes: 1 }) });
    const node = single.nodes[0]!;
    const report = hostReport(goodAnswer(single, node));
    const { cells } = judgeGate(single, [report]).rows[0]!;
    assert.deepEqual([cells["npu-ping"], cells["tcp"]], ["pass", "pass"]);
    const [host] = knownHosts(single, [report]);
    assert.equal(peerRequest(single, host!, [host!], false), undefined);
  });

  it("skips what the second phase would tell where it did not happen", () => {
    const [node0, node1] = [plan.nodes[0]!, plan.nodes[1]!];
    const { rows } = judgeGate(plan, [
      goodReport(plan, node0),
      hostReport(goodAnswer(plan, node1)),
    ]);
    assert.deepEqual([rows[1]!.cells["npu-ping"], rows[1]!.cells["tcp"]], ["skipped", "skipped"]);
  });

  it("reports a second phase that broke off", () => {
    const { findings } = judge(plan, (answers) => {
      answers.peers = answers.peers.slice(0, 200);
    });
    assert.deepEqual(
      findings.map(({ node, code }) => [node, code]),
      [["node1", "FACTS_INCOMPLETE"]],
    );
  });

  it("never passes an NPU of which a query is garbled, cut or failed", () => {
    const queries = [
      "link",
      "ip",
      "tls",
      "net_health",
      "gateway",
      "lldp",
      "optical",
      "link_stat",
      "speed",
      "fec",
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...queries),
        fc.nat(7),
        fc.string({ maxLength: 30 }),
        fc.constantFrom(0, 1, 255),
        (query, npu, text, exitCode) => {
          const { findings } = judge(plan, (answers) => {
            answers.host = answers.host.replace(
              new RegExp(`npu\\t${npu}\\thccn_tool\\t${query}\\t0\\t\\S+`),
              `npu\t${npu}\thccn_tool\t${query}\t${exitCode}\t${Buffer.from(text).toString("base64")}`,
            );
          });
          assert.ok(
            findings.some((finding) => finding.npus?.includes(npu)),
            JSON.stringify(findings),
          );
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("the failures of the field that a look at the hosts can tell", () => {
  // Beginnings of the symptoms, as people have reported them; docs/preflight.md has the threads.
  const SYMPTOMS = [
    "`Get_Socket_Timeout(EI0006)",
    "transfer errors between A2 groups",
    "`Value Disable for config",
    "IP family mismatch",
    "`HcclCommPrepare fail, ret: 0x9`",
    "2 x 8 x 910B2 Qwen3-235B launch fails",
    "error cqe status 12",
    "`topo exchange agent get socket timeout!",
    "`Failed to bind the IP port`",
    "`Gloo connectFullMesh failed",
    "`Did not receive response from front-end",
    "NCCL/collective hang with MTU",
    "`The hostname of the client socket",
    "client or proxy errors",
    "`Every node should have a unique IP",
    "`Version mismatch: The cluster was started",
    "`dcmi module initialize failed",
    "EngineCore core dump under load",
    "Python `can't start new thread`",
    "API server dead, chips still reserved",
    "driver mismatch between nodes",
    "`socversion Ascend910B1 of bin package",
    "`Failed to get file list for",
    "HBM held after a crash",
    "`Free memory on device",
    "`Distributed inference using vllm-ascend failed`",
    "clock skew",
    "Qwen3.5 on two A2 nodes stalls while loading",
  ];
  for (const symptom of SYMPTOMS) {
    it(`have a check that fires: ${symptom}`, () => {
      const cases = BAD_CASES.filter(({ field }) => field === symptom);
      assert.notEqual(cases.length, 0);
      const before = judge(plan, () => undefined).findings.map(({ code }) => code);
      for (const { code, stack, break: change } of cases) {
        const after = judge(stack === undefined ? plan : aGatePlan(stack), change).findings;
        assert.ok(after.some((finding) => finding.code === code));
        assert.ok(!before.includes(code));
      }
    });
  }

  it("are all of the bad cases that name one", () => {
    const named = BAD_CASES.flatMap(({ field }) => field ?? []);
    assert.deepEqual(new Set(named), new Set(SYMPTOMS));
  });
});

describe("preflight.accept", () => {
  const tls = BAD_CASES.find(({ title }) => title === "TLS that is on for one NPU")!;
  const entry = { code: "NPU_TLS" as const, reason: "change on Monday", until: "2030-01-31" };
  const accepting = (...accept: object[]) =>
    aGatePlan({ preflight: { accept: accept as (typeof entry)[] } });

  it("lowers a failure to a warning with its reason, and nothing else", () => {
    const { findings, isPassed } = judge(accepting(entry), tls.break);
    assert.equal(isPassed, true);
    assert.deepEqual(
      findings.map(({ code, result, accepted }) => [code, result, accepted]),
      [["NPU_TLS", "warn", { reason: entry.reason, until: entry.until }]],
    );
  });

  for (const [title, accept, isPassed] of [
    ["the node", { ...entry, node: "node1" }, true],
    ["another node", { ...entry, node: "node0" }, false],
    ["the NPU", { ...entry, npu: 5 }, true],
    ["another NPU", { ...entry, npu: 4 }, false],
    ["another code", { ...entry, code: "NPU_LINK" }, false],
  ] as const) {
    it(`of ${title} ${isPassed ? "counts" : "does not count"}`, () => {
      assert.equal(judge(accepting(accept), tls.break).isPassed, isPassed);
    });
  }

  it("is refused with its path when its last day is over, in UTC", () => {
    const { accept } = accepting(entry, { ...entry, until: "2026-11-21" });
    assert.deepEqual(expiredAcceptances(accept, "2026-11-21"), []);
    const [issue, ...others] = expiredAcceptances(accept, "2026-11-22");
    assert.deepEqual(others, []);
    assert.equal(issue!.path, "preflight.accept[1].until");
    assert.match(issue!.reason, /NPU_TLS was accepted until 2026-11-21 \(change on Monday\)/);
  });

  for (const [title, accept, path] of [
    [
      "a code that cannot be accepted",
      { ...entry, code: "SUDO_MISSING" },
      /preflight\.accept\[0\]\.code/,
    ],
    ["a code that is none", { ...entry, code: "EVERYTHING" }, /preflight\.accept\[0\]\.code/],
    ["no reason", { ...entry, reason: "" }, /preflight\.accept\[0\]\.reason/],
    ["a date that is none", { ...entry, until: "2030-02-30" }, /preflight\.accept\[0\]\.until/],
    [
      "a node that is none",
      { ...entry, node: "node9" },
      /preflight\.accept\[0\]\.node.*node0, node1/,
    ],
    ["an NPU that is not used", { ...entry, npu: 12 }, /preflight\.accept\[0\]\.npu/],
    ["no end", { code: entry.code, reason: entry.reason }, /preflight\.accept\[0\]\.until/],
  ] as const) {
    it(`refuses ${title}`, () => {
      assert.throws(() => accepting(accept), path);
    });
  }
});

describe("the pings between the nodes", () => {
  const pingsOf = (nodes: number, isFull: boolean) => {
    const of = aGatePlan({ ...rawCluster({ nodes }) });
    const hosts = knownHosts(
      of,
      of.nodes.map((node) => hostReport(goodAnswer(of, node))),
    );
    return hosts.map((host) => plannedPings(host, hosts, isFull));
  };

  it("cover every rail of every pair in both directions, and one cross rail per NPU", () => {
    for (const nodes of [2, 3, 4]) {
      const pings = pingsOf(nodes, false);
      for (const list of pings) {
        assert.equal(list.filter(({ isRail }) => isRail).length, 8 * (nodes - 1));
        assert.equal(list.filter(({ isRail }) => !isRail).length, 8);
      }
      const rails = pings.flatMap((list, index) =>
        list
          .filter(({ isRail }) => isRail)
          .map(({ npu, peer }) => `node${index} ${npu} ${peer.node} ${peer.npu}`),
      );
      assert.equal(new Set(rails).size, nodes * (nodes - 1) * 8);
      assert.ok(rails.every((text) => text.split(" ")[1] === text.split(" ")[3]));
    }
  });

  it("are the whole matrix with --full: 768 for four nodes, as in vllm-ascend#16847", () => {
    assert.equal(pingsOf(4, true).flat().length, 768);
  });

  it("have a time that is said before, and that 16 nodes keep", () => {
    const of = aGatePlan({ ...rawCluster({ nodes: 16 }) });
    const { pingsPerNpu, usualSec, mostSec } = timeBudget(of, false);
    assert.deepEqual([pingsPerNpu, usualSec], [16, 26]);
    assert.ok(mostSec < 10 * 60, String(mostSec));
  });
});
