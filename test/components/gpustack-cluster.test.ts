// Wiring of a cluster through GPUStack: which resources exist, with which inputs and order. Mocks do not show diffs or anything that
// the provider does.
import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { GpustackCluster, type GpustackInput } from "../../components/gpustack/index.js";
import { parseGatePlan } from "../../core/facts/parse-gate-plan.js";
import type { ClusterSpecInput } from "../../core/spec/cluster-spec.js";
import {
  isSecretValue,
  type RegisteredResource,
  revealed,
  runWithMocks,
} from "../support/mocks.js";
import { rawCluster } from "../support/specs.js";

const SETTINGS = { project: "vllm-ascend", stack: "production", organization: "acme" };

describe("GpustackCluster", () => {
  it("is a preflight, a version and a group that waits for both, and keeps the connection secret", async () => {
    const resources = await register({});
    assert.deepEqual(
      resources
        .map(({ type, name, parent }) => `${parent} > ${type}::${name}`)
        .slice(1)
        .sort(),
      [
        "pulumi:pulumi:Stack::vllm-ascend-production > vllm-ascend:index:GpustackCluster::qwen",
        "vllm-ascend:index:GpustackCluster::qwen > command:local:Command::qwen-preflight",
        "vllm-ascend:index:GpustackCluster::qwen > gpustack:index:BackendVersion::qwen-version",
        "vllm-ascend:index:GpustackCluster::qwen > gpustack:index:DeploymentGroup::qwen-group",
      ],
    );
    const find = (name: string) => resources.find((resource) => resource.name === name)!;
    const [version, group] = [find("qwen-version"), find("qwen-group")];
    for (const { inputs } of [version, group]) {
      assert.ok(isSecretValue(inputs["url"]) && isSecretValue(inputs["apiKey"]));
      assert.equal(revealed(inputs["apiKey"]), "canary");
    }
    assert.deepEqual([...group.dependencies].sort(), [
      "command:local:Command::qwen-preflight",
      "gpustack:index:BackendVersion::qwen-version",
    ]);
    const gate = parseGatePlan(JSON.parse(String(find("qwen-preflight").inputs["stdin"])));
    assert.equal(gate.through, "gpustack");
    assert.equal(gate.owner, "acme/vllm-ascend/production");
    assert.match(String(group.inputs["backendVersionHash"]), /^[0-9a-f]{16}$/);
    assert.equal((group.inputs["members"] as unknown[]).length, 2);
  });

  it("has no preflight without host keys", async () => {
    const resources = await register({}, (node) => {
      delete (node as { hostKey?: string }).hostKey;
    });
    assert.ok(!resources.some(({ name }) => name === "qwen-preflight"));
  });

  it("tells every problem of the stack file at once, without a stack", async () => {
    await assert.rejects(register({ workers: { node9: "x" }, backendVersion: "1" }), /node9/);
  });
});

function register(
  gpustack: GpustackInput,
  change: (node: ClusterSpecInput["nodes"][number]) => void = () => undefined,
): Promise<RegisteredResource[]> {
  return runWithMocks(async () => {
    const spec = rawCluster({ topology: "data-parallel" });
    spec.nodes.forEach(change);
    const cluster = new GpustackCluster({
      cluster: spec,
      gpustack,
      url: "http://gpustack.test",
      apiKey: pulumi.secret("canary"),
    });
    return { model: cluster.model };
  }, SETTINGS);
}
