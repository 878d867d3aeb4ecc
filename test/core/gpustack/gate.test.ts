import assert from "node:assert/strict";
import { gateRequest } from "../../../core/facts/facts-request.js";
import { judgeGate } from "../../../core/facts/judge-gate.js";
import { parseGatePlan } from "../../../core/facts/parse-gate-plan.js";
import { type GpustackInput, planGpustack } from "../../../core/gpustack/cluster.js";
import { gpustackGate } from "../../../core/gpustack/gate.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { rawCluster } from "../../support/specs.js";
import { goodAnswer, goodPeerAnswer, hostReport } from "../facts/answers.js";

/** What the preflight asks workers of GPUStack. Does not prove that hosts answer so; test/lab/preflight.test.ts asks hosts. */

describe("the preflight of workers of GPUStack", () => {
  it("is the plan's for NPUs and networks, and survives standard input", () => {
    const plan = aGate()!;
    assert.deepEqual(parseGatePlan(JSON.parse(JSON.stringify(plan))), plan);
    const request = gateRequest(plan, plan.nodes[0]!);
    assert.match(request, /npus/);
    assert.doesNotMatch(request, /docker|weights|image|owner|holders/);
  });

  it("runs again when anything of the deployments changes, and for nothing else", () => {
    const other = aGate((cluster) => {
      cluster.serve.maxNumSeqs = 3;
    });
    assert.notEqual(aGate()!.plan, other!.plan);
    assert.deepEqual(aGate(), aGate());
    assert.notEqual(aGate()!.plan, aGate(undefined, { backendVersion: "9-custom" })!.plan);
  });

  it("passes workers whose containers hold the NPUs, and that have no weights", () => {
    const plan = aGate()!;
    const result = judgeGate(plan, reports(plan));
    assert.equal(result.isPassed, true, JSON.stringify(result.findings));
    assert.deepEqual(Object.keys(result.rows[0]!.cells), [
      ...["ssh", "root", "tools", "network", "npus", "driver"],
      ...["npu-net", "tls", "npu-ping", "tcp"],
    ]);
    assert.equal(result.memoryFit, undefined);
  });

  it("fails for an address that is on another interface", () => {
    const plan = aGate((cluster) => {
      cluster.socketInterface = "eth9";
    })!;
    const answers = aGate()!;
    const result = judgeGate(
      plan,
      plan.nodes.map((_, index) =>
        hostReport(
          goodAnswer(answers, answers.nodes[index]!),
          goodPeerAnswer(answers, answers.nodes[index]!),
        ),
      ),
    );
    assert.ok(result.findings.some(({ code }) => code === "ADDRESS_NOT_ON_INTERFACE"));
  });

  it("does not exist without host keys, and not with some of them", () => {
    const without = (count: number) => (cluster: ClusterSpecInput) => {
      for (const node of cluster.nodes.slice(0, count)) {
        delete (node as { hostKey?: string }).hostKey;
      }
    };
    assert.equal(aGate(without(2)), undefined);
    assert.throws(() => aGate(without(1)), /nodes\[1\]\.hostKey: must be given for all nodes/);
  });
});

function aGate(
  change: (cluster: ClusterSpecInput) => void = () => undefined,
  gpustack: GpustackInput = {},
) {
  const cluster = rawCluster({ topology: "data-parallel" });
  change(cluster);
  return gpustackGate(cluster, planGpustack(cluster, gpustack), "organization/p/s");
}

function reports(plan: NonNullable<ReturnType<typeof aGate>>) {
  return plan.nodes.map((node) =>
    hostReport(
      // Another container than ours, as GPUStack names its own.
      goodAnswer(plan, node)
        .replaceAll(plan.containerName, "qwen-x7k2")
        .replace(/^docker\t.*$/m, "docker\tdown\tno daemon"),
      goodPeerAnswer(plan, node),
    ),
  );
}
