// The commands about a stack through GPUStack as a person calls them, against the in-memory server. Does not prove what a real
// server answers, nor that the import is clean; test/lab/gpustack.test.ts does.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DeploymentGroupArgs } from "../../core/gpustack/inputs.js";
import { aPair, VERSION } from "../provider/support.js";
import { FakeGpustackServer } from "../support/fake-gpustack-server.js";

const REPO = join(dirname(fileURLToPath(import.meta.url)), "../..");
const TOKEN = "hf_canary_0123456789";

describe("vllm-cluster and a GPUStack server", function () {
  this.timeout(60_000);
  let dir: string;
  let server: FakeGpustackServer;

  before(async () => {
    server = await FakeGpustackServer.start();
    dir = mkdtempSync(join(tmpdir(), "cli-"));
    writeFileSync(join(dir, "Pulumi.yaml"), "name: vllm-ascend\nruntime: nodejs\n");
    Object.assign(server.fake.backends.get("vLLM")!.version_configs, {
      [VERSION.version]: {
        image_name: VERSION.imageName,
        entrypoint: "vllm serve",
        run_command:
          "{{model_path}} --host {{worker_ip}} --port {{port}} --served-model-name {{model_name}}",
        custom_framework: "cann",
        env: null,
      },
    });
    const { members } = aPair() as unknown as DeploymentGroupArgs;
    for (const [index, { name, gpuIds, backendParameters, env }] of members.entries()) {
      const response = await fetch(`${server.connection.url}/v2/models`, {
        method: "POST",
        headers: { authorization: `Bearer ${server.connection.apiKey}` },
        body: JSON.stringify({
          ...{ name, source: "model_scope", model_scope_model_id: "a/b", cluster_id: 1 },
          ...{ replicas: 1, backend: "vLLM", backend_version: VERSION.version },
          backend_parameters: [...backendParameters!, "--max-model-len=4096"],
          env: { ...env, HF_TOKEN: TOKEN },
          gpu_selector: { gpu_ids: gpuIds },
          ...{ distributed_inference_across_workers: false, categories: ["llm"] },
          enable_model_route: index === 0,
        }),
      });
      assert.equal(response.status, 200);
    }
  });
  after(() => {
    server?.stop();
    rmSync(dir, { recursive: true });
  });

  async function cli(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const child = spawn(
      process.execPath,
      [
        "--import",
        join(REPO, "node_modules/tsx/dist/loader.mjs"),
        join(REPO, "cli/main.ts"),
        ...args,
      ],
      {
        cwd: dir,
        env: {
          PATH: process.env["PATH"],
          HOME: dir,
          GPUSTACK_URL: server.connection.url,
          GPUSTACK_API_KEY: server.connection.apiKey,
          ...env,
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
    }
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, text };
  }

  it("writes no file for what it cannot say, or without a server", async () => {
    const absent = await cli(["gpustack", "adopt", "nobody", "--stack", "prod"]);
    assert.equal(absent.code, 1, absent.text);
    assert.match(absent.text, /there is no deployment nobody; GPUStack has qwen-1, qwen-2/);
    const unnamed = await cli(["gpustack", "adopt", "qwen-1", "--stack", "prod"], {
      GPUSTACK_URL: "",
    });
    assert.equal(unnamed.code, 2, unnamed.text);
    assert.match(unnamed.text, /export GPUSTACK_URL/);
    const refused = await cli(["gpustack", "adopt", "qwen-1", "--stack", "prod"], {
      GPUSTACK_API_KEY: "gpustack_wrong_key_0123456789",
    });
    assert.equal(refused.code, 1, refused.text);
    assert.match(refused.text, /401 .*the API key is missing, wrong or expired/);
    assert.ok(!existsSync(join(dir, "Pulumi.prod.yaml")));
  });

  it("adopts a pair, and then tells its state and its forms", async () => {
    const adopted = await cli(["gpustack", "adopt", "qwen-1", "--stack", "prod"]);
    assert.equal(adopted.code, 0, adopted.text);
    assert.match(adopted.text, /pulumi import --file import-prod\.json /);
    assert.match(adopted.text, /vllm-ascend:gpustackSecretEnv\.HF_TOKEN/);
    const files = ["Pulumi.prod.yaml", "import-prod.json"].map((name) =>
      readFileSync(join(dir, name), "utf8"),
    );
    assert.ok(![adopted.text, ...files].join("").includes(TOKEN));
    const status = await cli(["status", "--stack", "prod", "--watch", "--timeout", "30"]);
    assert.equal(status.code, 0, status.text);
    assert.match(status.text, /^qwen-2 +member +node-b ready +1 +starting +0\n\nserves qwen-1$/m);
    const forms = await cli(["render", "--stack", "prod"]);
    assert.match(forms.text, /^Name: qwen-2$/m);
    assert.match(forms.text, /HF_TOKEN=<the secret vllm-ascend:gpustackSecretEnv\.HF_TOKEN>/);
    const key = { GPUSTACK_INFERENCE_KEY: server.connection.apiKey };
    const chat = await cli(["chat", "--stack", "prod", "Hello"], key);
    assert.equal(chat.code, 1);
    assert.match(chat.text, /HTTP 403: .*\nnext: .* must be one of scope inference/);
  });

  const instead: readonly [command: string, says: RegExp][] = [
    ["logs", /its page of the deployment shows the logs/],
    ["stop", /set replicas: 0 below vllm-ascend:gpustack/],
    ["gate", /its nodes have no hostKey: NPUs and network cannot be checked/],
    ["smoke", /the containers are GPUStack's/],
  ];
  for (const [command, says] of instead) {
    it(`says what to use instead of ${command}`, async () => {
      const { code, text } = await cli([command, "--stack", "prod"]);
      assert.equal(code, 2, text);
      assert.match(text, says);
    });
  }
});
