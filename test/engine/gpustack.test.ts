// The provider `gpustack` as a plugin of the real engine, on the in-memory server: what crosses the process boundary is under
// test, secrets and failures in the state above all. Does not prove what the real server does; test/gpustack/ does.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeploymentGroupArgs } from "../../core/gpustack/inputs.js";
import { FAKE_KEY, type FakeGpustack } from "../provider/fake-gpustack.js";
import { aPair, VERSION } from "../provider/support.js";
import { FakeGpustackServer } from "../support/fake-gpustack-server.js";
import { GpustackProject } from "../support/gpustack-project.js";
import { rawCluster } from "../support/specs.js";
import { engineToolchain } from "../support/toolchain.js";

const TOKEN = "hf_canary_0123456789";

describe("the provider gpustack under the engine", function () {
  this.timeout(300_000);
  let server: FakeGpustackServer;
  let fake: FakeGpustack;
  let project: GpustackProject;

  before(async () => {
    server = await FakeGpustackServer.start();
    ({ fake } = server);
    const { env } = await engineToolchain();
    project = new GpustackProject(mkdtempSync(join(tmpdir(), "gpustack-")), env, server.connection);
    await project.init();
  });
  after(() => {
    server?.stop();
    project?.remove();
  });

  /** A request of somebody else. */
  async function call(method: string, path: string, body: object): Promise<void> {
    const response = await fetch(`${server.connection.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${FAKE_KEY}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    assert.equal(response.status, 200, await response.text());
  }

  it("previews a new pair without a server", async () => {
    const steps = await project.preview(program(), { GPUSTACK_URL: "http://127.0.0.1:1" });
    assert.deepEqual(steps, ["create pair", "create version"]);
    assert.deepEqual(fake.requests, []);
  });

  it("refuses inputs in the preview, with every problem and no value", async () => {
    const wrong = program((group) => {
      group.members[1]!.backendParameters!.push("--api-server-count=2");
      group.members[1]!.env!["HCCL_IF_IP"] = "10.0.0.1";
    });
    const { code, text } = await project.run(["preview", "--stack", "test"], wrong);
    assert.notEqual(code, 0);
    assert.match(text, /members\[1\]\.backendParameters: a headless member has no API server/);
    assert.match(text, /members\[1\]\.env\.HCCL_IF_IP: must be the address of this member's own/);
    assert.doesNotMatch(text, /\n\s+at |map\[/);
  });

  it("creates the pair, and has nothing to do afterwards", async () => {
    await project.mustUp(program());
    const { route, instances } = await project.outputs();
    assert.equal(route, "qwen-1");
    assert.equal((instances as unknown[]).length, 2);
    assert.deepEqual(await project.preview(program(), { GPUSTACK_URL: "http://127.0.0.1:1" }), []);
  });

  it("keeps a secret variable and the key out of the state and out of what it prints", async () => {
    const text = await project.mustUp({ ...program(), secretEnv: ["HF_TOKEN", TOKEN] });
    assert.equal(fake.model("qwen-1").env["HF_TOKEN"], TOKEN);
    await project.must(["refresh", "--yes", "--skip-preview", "--stack", "test"]);
    for (const secret of [TOKEN, FAKE_KEY]) {
      assert.ok(!project.stateText().includes(secret));
      assert.ok(!text.includes(secret));
    }
    assert.deepEqual(await project.preview(), []);
    await project.mustUp(program());
  });

  it("shows drift by a refresh and repairs it", async () => {
    fake.model("qwen-2").env["HCCL_BUFFSIZE"] = "1";
    const text = await project.must([
      "refresh",
      "--yes",
      "--skip-preview",
      "--diff",
      "--stack",
      "test",
    ]);
    assert.match(text, /HCCL_BUFFSIZE/);
    assert.deepEqual(await project.preview(program()), ["update pair"]);
    await project.mustUp(program());
    assert.equal(fake.model("qwen-2").env["HCCL_BUFFSIZE"], undefined);
  });

  it("keeps the truth of a failed update in the state: the program that worked is a change, and heals", async () => {
    const broken = program((group) => {
      group.members[1]!.env!["FAKE_FAIL"] = "HCCL init failed: ret 7";
    });
    const { code, text } = await project.up(broken);
    assert.notEqual(code, 0);
    assert.match(text, /does not start: .*qwen-2=/);
    assert.deepEqual(await project.preview(program()), ["update pair"]);
    await project.mustUp(program());
    assert.equal(fake.instancesOf("qwen-1")[0]!.state, "running");
    assert.deepEqual(await project.preview(program()), []);
  });

  it("restarts the pair for another image behind the version, and says so in the preview", async () => {
    const other = {
      ...program(),
      version: { ...VERSION, imageName: "quay.io/ascend/vllm-ascend:v0.18.0rc2" },
    };
    assert.deepEqual(await project.preview(other), ["update pair", "update version"]);
    const before = [...fake.instances.keys()];
    await project.mustUp(other);
    await project.mustUp(program());
    assert.ok([...fake.instances.keys()].every((id) => !before.includes(id)));
  });

  it("looks workers and NPUs up", async () => {
    await project.mustUp({ ...program(), lookUp: true });
    const { workers, npus } = (await project.outputs()) as {
      workers: { name: string; ip: string }[];
      npus: { id: string; heldBy: string[] }[];
    };
    assert.deepEqual(
      workers.map(({ name }) => name),
      ["node-a", "node-b", "node-c"],
    );
    assert.deepEqual(npus[3], {
      ...npus[3],
      id: "node-a:cann:3",
      worker: "node-a",
      heldBy: ["qwen-1"],
    });
  });

  it("takes over a pair that exists, without a restart", async () => {
    await project.forget();
    const writes = fake.writes().length;
    const imported = { importVersion: `vLLM/${VERSION.version}`, importGroup: "qwen-1,qwen-2" };
    await project.mustUp({ ...program(), ...imported });
    assert.equal(fake.writes().length, writes);
    assert.deepEqual(await project.preview(program()), []);
  });

  it("destroys the pair and its version", async () => {
    await project.must(["destroy", "--yes", "--skip-preview", "--stack", "test"]);
    assert.equal(fake.models.size, 0);
    assert.deepEqual(fake.backends.get("vLLM")!.version_configs, {});
  });

  it("adopts a pair that was typed by hand: after the import there is nothing to do, and no secret is in a file or state", async () => {
    await project.must(["destroy", "--yes", "--skip-preview", "--stack", "test"]);
    const rows = byHand();
    await call("PUT", "/v2/inference-backends/1", {
      ...fake.backends.get("vLLM"),
      version_configs: { [VERSION.version]: VERSION_CONFIG },
    });
    for (const row of rows) await call("POST", "/v2/models", row);
    await until(() => fake.instancesOf("Qwen-A")[0]?.state === "running");
    const stack = new GpustackProject(
      mkdtempSync(join(tmpdir(), "gpustack-")),
      project.toolchainEnv,
      server.connection,
      "stack-file",
    );
    try {
      await stack.init();
      const { code, text } = await stack.cluster([
        "gpustack",
        "adopt",
        "Qwen-A",
        "--stack",
        "test",
      ]);
      assert.equal(code, 0, text);
      const written = readFileSync(join(stack.dir, "Pulumi.test.yaml"), "utf8");
      assert.match(written, /^encryptionsalt: /m);
      assert.ok(!`${written}${text}`.includes(TOKEN));
      for (const command of text.matchAll(/^ {2}pulumi (config set|import) (.*)$/gm)) {
        const words = command[2]!.replace(/#.*/, "").replaceAll("'", "").trim().split(/\s+/);
        const given = command[1] === "import" ? ["--yes"] : [TOKEN];
        await stack.must([...command[1]!.split(" "), ...words, ...given]);
      }
      const writes = fake.writes().length;
      assert.deepEqual(await stack.preview(), []);
      await stack.mustUp();
      assert.deepEqual(await stack.preview(), []);
      assert.equal(fake.writes().length, writes);
      assert.ok(!stack.stateText().includes(TOKEN));
      const again = await stack.cluster(["gpustack", "adopt", "Qwen-A", "--stack", "test"]);
      assert.equal(again.code, 2);
      assert.match(again.text, /has a key vllm-ascend:cluster already/);
      await stack.must(["destroy", "--yes", "--skip-preview", "--stack", "test"]);
      assert.equal(fake.models.size, 0);
    } finally {
      stack.remove();
    }
  });

  it("deploys the cluster of a stack file, restarts it for a changed flag, and leaves nothing", async () => {
    const cluster = rawCluster({ topology: "data-parallel" });
    cluster.nodes.forEach((node, index) => {
      node.address = `10.0.0.${index + 1}`;
      delete (node as { hostKey?: string }).hostKey;
    });
    const gpustack = { workers: { node0: "node-a", node1: "node-b" } };
    await project.mustUp({ cluster: { cluster, gpustack } });
    assert.equal((await project.outputs())["model"], "qwen");
    assert.deepEqual(
      [...fake.models.values()].map(({ name }) => name),
      ["qwen", "qwen-2"],
    );
    assert.deepEqual(await project.preview(), []);
    cluster.serve.maxNumSeqs = 7;
    project.write({ cluster: { cluster, gpustack } });
    const summary = await project.cluster(["summary", "--stack", "test"]);
    assert.match(summary.text, /qwen, qwen-2: the deployments restart together/, summary.text);
    await project.mustUp({ cluster: { cluster, gpustack } });
    for (const { backend_parameters: entries } of fake.models.values()) {
      assert.ok(entries.includes("--max-num-seqs=7"));
    }
    await project.must(["destroy", "--yes", "--skip-preview", "--stack", "test"]);
    assert.equal(fake.models.size, 0);
  });
});

/** As people fill in the form of GPUStack. */
function byHand() {
  const pair = aPair((group) => {
    group.members[0]!.name = "Qwen-A";
    group.members[1]!.name = "qwen_b";
    for (const member of group.members) {
      member.backendParameters!.push(
        "--max_model_len 32768 --max-num-seqs=16",
        "--trust-remote-code",
      );
      Object.assign(member.env!, { HF_TOKEN: TOKEN, HCCL_BUFFSIZE: "1024" });
    }
  }) as unknown as DeploymentGroupArgs;
  return pair.members.map((member, index) => ({
    name: member.name,
    source: "model_scope",
    model_scope_model_id: pair.modelScopeModelId,
    cluster_id: 1,
    replicas: 1,
    backend: "vLLM",
    backend_version: VERSION.version,
    backend_parameters: member.backendParameters,
    env: member.env,
    gpu_selector: { gpu_ids: [...member.gpuIds].reverse(), gpus_per_replica: 8 },
    distributed_inference_across_workers: false,
    categories: ["llm"],
    restart_on_error: true,
    enable_model_route: index === 0,
  }));
}

const VERSION_CONFIG = {
  image_name: VERSION.imageName,
  entrypoint: "vllm serve",
  run_command:
    "{{model_path}} --host {{worker_ip}} --port {{port}} --served-model-name {{model_name}}",
  custom_framework: "cann",
  env: null,
};

async function until(check: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!check()) {
    assert.ok(Date.now() < deadline, "not within 60 s");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function program(change?: (group: DeploymentGroupArgs) => void) {
  return { version: VERSION, group: aPair(change) };
}
