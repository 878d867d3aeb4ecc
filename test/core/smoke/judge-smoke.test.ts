// Proves that every kind of failure of a smoke run is told with node, NPU and next step, and that a good run has none. Does not prove
// that node/smoke.py prints so: test/processes/smoke.test.ts and test/lab/smoke.test.ts do.
import assert from "node:assert/strict";
import { renderSmokeReport } from "../../../cli/smoke-report.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { stableJson } from "../../../core/render/stable-json.js";
import { judgeSmoke } from "../../../core/smoke/judge-smoke.js";
import { parseSmokePlan } from "../../../core/smoke/parse-smoke-plan.js";
import { type SmokePlan, smokePlan, smokeRequest } from "../../../core/smoke/smoke-plan.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { aClusterSpec } from "../../support/specs.js";
import { BAD_RUNS, goodRuns, headRun } from "./bad-runs.js";

function aSmokePlan(change: (raw: ClusterSpecInput) => void = () => undefined): SmokePlan {
  const spec = aClusterSpec(change);
  return smokePlan(planCluster(spec, { owner: "organization/p/s", hasApiKey: true }));
}

const plan = aSmokePlan();

describe("the verdict on a smoke run", () => {
  it("passes a run in which everything was tried", () => {
    const result = judgeSmoke(plan, goodRuns());
    assert.deepEqual([result.isPassed, result.result, result.findings], [true, "passed", []]);
    assert.match(renderSmokeReport(result), /passed: npu with hccl, vLLM 0\.23\.0/);
  });

  for (const { title, code, runs, about, says } of BAD_RUNS) {
    it(`names ${title}`, () => {
      const result = judgeSmoke(plan, runs);
      assert.deepEqual([result.isPassed, result.result], [false, "failed"]);
      assert.equal(result.findings.length, 1, JSON.stringify(result.findings));
      const { detail, fix, tail: _, result: level, ...found } = result.findings[0]!;
      assert.deepEqual(found, { code, ...about });
      assert.equal(level, "fail");
      const text = renderSmokeReport(result).replaceAll(/\s+/g, " ");
      for (const part of [...says, about.node, code]) {
        assert.ok(text.includes(part), `${part} in ${text}`);
      }
      assert.ok(detail !== "" && fix !== "");
    });
  }

  it("says what holds the NPUs when they were left out, and passes", () => {
    const busy = { node1: "serve release 77c0" };
    const result = judgeSmoke(plan, [
      headRun({ result: "passed", isPartial: true, busy }),
      ...goodRuns().slice(1),
    ]);
    assert.deepEqual([result.isPassed, result.result], [true, "hosts-only"]);
    assert.match(renderSmokeReport(result), /without NPUs: node1 is busy with serve release 77c0/);
  });

  it("says when the same has passed", () => {
    const result = judgeSmoke(plan, [
      headRun({ result: "unchanged", time: 1_750_000_000, stages: [] }),
      ...goodRuns().slice(1),
    ]);
    assert.deepEqual([result.isPassed, result.result], [true, "unchanged"]);
    assert.match(renderSmokeReport(result), /not run, it passed on 2025-06-15T15:06Z/);
  });

  it("never passes a run without a result", () => {
    for (const stdout of ["", '{"listening": 1}\n', '{"smoke": 1}\n', '{"smoke": 1, "result"']) {
      const [head, ...others] = goodRuns();
      assert.equal(judgeSmoke(plan, [{ ...head!, stdout }, ...others]).isPassed, false);
    }
  });

  it("lowers what the stack accepts to a warning that is printed", () => {
    const accepting = aSmokePlan((raw) => {
      raw.preflight = {
        accept: [{ code: "SMOKE_NPU", npu: 3, reason: "spare is on its way", until: "2999-12-31" }],
      };
    });
    const bad = (npu: number) =>
      BAD_RUNS.find(({ code, about }) => code === "SMOKE_NPU" && about.npu === npu)!.runs;
    const accepted = judgeSmoke(accepting, bad(3));
    assert.deepEqual([accepted.isPassed, accepted.findings[0]!.result], [true, "warn"]);
    assert.match(renderSmokeReport(accepted), /accepted until 2999-12-31: spare is on its way/);
    assert.equal(judgeSmoke(accepting, bad(0)).isPassed, false);
  });

  it("tells eight pairs of one broken path once per node", () => {
    const failures = Array.from({ length: 16 }, (_, rank) => ({
      stage: "pairs",
      node: rank < 8 ? "node0" : "node1",
      rank,
      peer: rank < 8 ? `node1 rank ${rank + 8}` : `node0 rank ${rank - 8}`,
      detail: "hangs in all-reduce",
      tail: [],
    }));
    const result = judgeSmoke(plan, [
      headRun({ result: "failed", failures }),
      ...goodRuns().slice(1),
    ]);
    assert.equal(result.findings.length, 16);
    const text = renderSmokeReport(result);
    assert.equal(text.match(/SMOKE_PAIR/g)?.length, 2);
    assert.match(text, /node0 NPU 0-7 <-> node1 {2}SMOKE_PAIR: hangs in all-reduce/);
  });
});

describe("the plan of a smoke run", () => {
  it("arrives unchanged through standard input", () => {
    assert.deepEqual(parseSmokePlan(JSON.parse(stableJson(plan, 1))), plan);
  });

  it("has another fingerprint when image, NPUs, address, interface or environment change, and only then", () => {
    const changes: readonly [string, boolean, (raw: ClusterSpecInput) => void][] = [
      ["image", true, (raw) => (raw.image = { ...raw.image, digest: `sha256:${"cd".repeat(32)}` })],
      ["address", true, (raw) => (raw.nodes[1]!.address = "10.0.0.99")],
      ["interface", true, (raw) => (raw.socketInterface = "bond0")],
      ["environment", true, (raw) => (raw.env = { HCCL_BUFFSIZE: "512" })],
      ["a flag of vLLM", false, (raw) => (raw.serve.maxNumSeqs = 7)],
      ["a timeout", false, (raw) => (raw.timeouts = { smokeSec: 60, stopSec: 7 })],
      [
        "the tag",
        false,
        (raw) => (raw.image = { ...raw.image, reference: "quay.io/ascend/vllm-ascend:v0.23.0-x" }),
      ],
      ["a mount", false, (raw) => (raw.container = { mounts: [{ source: "/a", target: "/b" }] })],
    ];
    for (const [what, isOther, change] of changes) {
      const { fingerprint } = aSmokePlan(change);
      assert.equal(fingerprint !== plan.fingerprint, isOther, what);
    }
  });

  it("gives every node its own environment and the head nobody to call", () => {
    const [head, member] = plan.nodes;
    const options = { isForced: false };
    const first = smokeRequest(plan, head!, { ...options, coordinatorPort: null });
    const second = smokeRequest(plan, member!, { ...options, coordinatorPort: 40_111 });
    assert.equal(first["coordinator"], null);
    assert.deepEqual(second["coordinator"], ["10.0.0.11", 40_111]);
    assert.equal((second["env"] as Record<string, string>)["HCCL_IF_IP"], "10.0.0.12");
  });
});
