// The real engine on the program of this repository, without any host: a preview needs none. Does not prove anything
// about an update.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import type { ClusterSpecInput } from "../../core/spec/cluster-spec.js";
import { LabProject } from "../../tools/lab-stack/project.mjs";
import { repoDir } from "../../tools/setup/paths.mjs";
import { assertGolden } from "../support/golden.js";
import { engineToolchain } from "../support/toolchain.js";

interface PreviewJson {
  readonly steps: { readonly op: string; readonly urn: string }[];
}

describe("pulumi preview", function () {
  this.timeout(300_000);
  let project: LabProject;

  before(async () => {
    const { env } = await engineToolchain();
    project = new LabProject({
      dir: mkdtempSync(join(tmpdir(), "preview-")),
      stack: "preview",
      env,
      agentSocket: "",
    });
    await project.init();
    await project.setApiKey("canary-api-key");
  });
  after(() => project?.remove());

  for (const stack of [
    "qwen3-235b-ray-tp8-pp2",
    "qwen3-235b-mp-tp8-pp2",
    "qwen3.5-397b-w8a8-dp2-tp8",
  ]) {
    it(`shows all of ${stack} on a machine that reaches no host`, async () => {
      await project.setCluster(stackCluster(stack));
      const { stdout } = await project.pulumi(["preview", "--json", "--stack", "preview"], {
        quiet: true,
      });
      const { steps } = JSON.parse(stdout) as PreviewJson;
      const lines = steps
        .map(({ op, urn }) => `${op} ${urn.split("::").slice(2).join("::")}`)
        .sort();
      assertGolden(`engine/${stack}.preview.txt`, `${lines.join("\n")}\n`);
      assert.ok(!stdout.includes("canary-api-key"));
    });
  }

  it("shows a stack through GPUStack on a machine that reaches no server", async () => {
    const stack = "qwen3.5-397b-w8a8-gpustack";
    await project.setCluster(stackCluster(stack));
    await project.setConfig("gpustack", stackConfig(stack)["vllm-ascend:gpustack"]);
    const { stdout } = await project.pulumi(["preview", "--json", "--stack", "preview"], {
      quiet: true,
    });
    await project.setConfig("gpustack", undefined);
    const { steps } = JSON.parse(stdout) as PreviewJson;
    const lines = steps.map(({ op, urn }) => `${op} ${urn.split("::").slice(2).join("::")}`).sort();
    assertGolden(`engine/${stack}.preview.txt`, `${lines.join("\n")}\n`);
  });

  it("shows the warnings of lint with their codes, and refuses its errors", async () => {
    const cluster = stackCluster("qwen3-235b-ray-tp8-pp2");
    const preview = async () => {
      await project.setCluster(cluster);
      const { code, stdout, stderr } = await project.pulumi(["preview", "--stack", "preview"], {
        quiet: true,
        allowFailure: true,
      });
      return { code, text: stdout + stderr };
    };
    const warned = await preview();
    assert.equal(warned.code, 0, warned.text);
    assert.match(
      warned.text,
      /warning: RAY_PIPELINE_EXPERT_PARALLEL serve\.enableExpertParallel: /,
    );
    cluster.image.reference = "quay.io/ascend/vllm-ascend:v0.8.5rc1";
    const refused = await preview();
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /IMAGE_VULNERABLE image\.reference: .*got vLLM 0\.8\.5/);
    assert.doesNotMatch(refused.text, /\n\s+at /);
  });

  it("refuses an API key that stands in clear in the stack file, and does not repeat it", async () => {
    await project.setCluster(stackCluster("qwen3-235b-ray-tp8-pp2"));
    await project.setConfig("apiKey", "canary-in-clear");
    const { code, stdout, stderr } = await project.pulumi(["preview", "--stack", "preview"], {
      quiet: true,
      allowFailure: true,
    });
    await project.setApiKey("canary-api-key");
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, /vllm-ascend:apiKey stands in clear in the stack file/);
    assert.ok(!(stdout + stderr).includes("canary-in-clear"));
  });

  it("refuses a bad configuration with every problem, and no stack trace", async () => {
    const cluster = stackCluster("qwen3-235b-ray-tp8-pp2");
    cluster.serve.maxModelLen = -5;
    cluster.nodes[1]!.address = cluster.nodes[0]!.address.replace("192", "x");
    await project.setCluster(cluster);
    const { code, stdout, stderr } = await project.pulumi(["preview", "--stack", "preview"], {
      quiet: true,
      allowFailure: true,
    });
    assert.notEqual(code, 0);
    const text = stdout + stderr;
    assert.match(text, /the cluster configuration has 2 problems/);
    assert.match(text, /serve\.maxModelLen: .*got -5/);
    assert.match(text, /nodes\[1\]\.address: must be an IPv4 address/);
    assert.doesNotMatch(text, /\n\s+at /);
  });
});

function stackCluster(stack: string): ClusterSpecInput {
  return stackConfig(stack)["vllm-ascend:cluster"] as ClusterSpecInput;
}

function stackConfig(stack: string): Record<string, unknown> {
  const file = readFileSync(join(repoDir, "stacks", `Pulumi.${stack}.yaml`), "utf8");
  return parse(file).config as Record<string, unknown>;
}
