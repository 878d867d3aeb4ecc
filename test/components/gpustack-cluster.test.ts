// Wiring of a cluster through GPUStack: which resources exist, with which inputs and order. Mocks do not show diffs or anything that
// the provider does.
import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { GpustackCluster, type GpustackInput } from "../../components/gpustack/index.js";
import {
  isSecretValue,
  type RegisteredResource,
  revealed,
  runWithMocks,
} from "../support/mocks.js";
import { rawCluster } from "../support/specs.js";

const SETTINGS = { project: "vllm-ascend", stack: "production", organization: "acme" };

describe("GpustackCluster", () => {
  it("is a version and a group that waits for it, and keeps the connection secret", async () => {
    const resources = await register({});
    assert.deepEqual(
      resources.map(({ type, name, parent }) => `${parent} > ${type}::${name}`).slice(1),
      [
        "pulumi:pulumi:Stack::vllm-ascend-production > vllm-ascend:index:GpustackCluster::qwen",
        "vllm-ascend:index:GpustackCluster::qwen > gpustack:index:BackendVersion::qwen-version",
        "vllm-ascend:index:GpustackCluster::qwen > gpustack:index:DeploymentGroup::qwen-group",
      ],
    );
    const [version, group] = resources.slice(2) as [RegisteredResource, RegisteredResource];
    for (const { inputs } of [version, group]) {
      assert.ok(isSecretValue(inputs["url"]) && isSecretValue(inputs["apiKey"]));
      assert.equal(revealed(inputs["apiKey"]), "canary");
    }
    assert.deepEqual(group.dependencies, ["gpustack:index:BackendVersion::qwen-version"]);
    assert.match(String(group.inputs["backendVersionHash"]), /^[0-9a-f]{16}$/);
    assert.equal((group.inputs["members"] as unknown[]).length, 2);
  });

  it("tells every problem of the stack file at once, without a stack", async () => {
    await assert.rejects(register({ workers: { node9: "x" }, backendVersion: "1" }), /node9/);
  });
});

function register(gpustack: GpustackInput): Promise<RegisteredResource[]> {
  return runWithMocks(async () => {
    const cluster = new GpustackCluster({
      cluster: rawCluster({ topology: "data-parallel" }),
      gpustack,
      url: "http://gpustack.test",
      apiKey: pulumi.secret("canary"),
    });
    return { model: cluster.model };
  }, SETTINGS);
}
