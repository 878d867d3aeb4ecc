// The document's pair on a real GPUStack 2.3.0 server with PostgreSQL, through the real engine. Workers are stand-ins: no image is
// pulled, no argv is run, nothing uses an NPU, and a worker's own pauses between restarts are shorter than real ones. Not on
// the real server: one deployment across workers, whose second worker the stand-ins do not play.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DeploymentGroupArgs } from "../../core/gpustack/inputs.js";
import { type GpustackLab, gpustackUp, LAB_MODEL } from "../../tools/gpustack-lab/lab.mjs";
import { GpustackProject } from "../support/gpustack-project.js";
import { engineToolchain } from "../support/toolchain.js";

const VERSION = { version: "0.18.0rc1-custom", imageName: "quay.io/ascend/vllm-ascend:v0.18.0rc1" };

interface Row {
  readonly id: number;
  readonly name: string;
  readonly replicas: number;
  readonly env: Readonly<Record<string, string>>;
  readonly distributed_inference_across_workers: boolean;
}

interface Instance {
  readonly id: number;
  readonly state: string;
  readonly restart_count: number | null;
}

describe("the pair of the document on a real GPUStack server", function () {
  this.timeout(600_000);
  let lab: GpustackLab;
  let project: GpustackProject;

  before(async () => {
    const { env } = await engineToolchain();
    lab = await gpustackUp();
    project = await aProject(env);
  });
  after(async () => {
    project?.remove();
    await lab?.down();
  });
  afterEach(function () {
    if (this.currentTest?.state === "failed") console.log(lab.report());
  });

  it("is refused before anything is created: an unknown worker, an unknown version, a wrong key", async () => {
    const unknown = program((group) => {
      group.members[1]!.gpuIds = npus("node-z");
      group.backendVersion = "0.99-custom";
    });
    const { code, text } = await project.up({ group: unknown.group });
    assert.notEqual(code, 0);
    assert.match(
      text,
      /members\[1\]\.gpuIds: there is no worker node-z; GPUStack has node-a, node-b, node-c/,
    );
    assert.match(text, /backendVersion: backend vLLM has no version 0\.99-custom/);
    const key = { GPUSTACK_API_KEY: "gpustack_0000000000000000_00000000000000000000000000000000" };
    const refused = await project.run(
      ["up", "--yes", "--skip-preview", "--stack", "test"],
      program(),
      key,
    );
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /401 .*the API key is missing, wrong or expired/);
    assert.deepEqual(await models(), []);
  });

  it("goes from nothing to a completion, and then there is nothing to do", async () => {
    const times = await measured(() => project.mustUp(program()));
    console.log(
      `from up to ready: ${times.totalSec.toFixed(1)} s, of which from replicas 1 to ready ${times.startSec.toFixed(1)} s, of which the server analyzes for ${times.analyzingSec.toFixed(1)} s`,
    );
    assert.deepEqual(await states(), { "qwen3.5-397b-1": "running", "qwen3.5-397b-2": "starting" });
    const answer = await chat("qwen3.5-397b-1");
    assert.equal(answer.status, 200);
    assert.equal(answer.body.choices[0].message.reasoning_content, null);
    assert.equal((await chat("qwen3.5-397b-2")).status, 404);
    assert.deepEqual(await project.preview(program(), { GPUSTACK_URL: "http://127.0.0.1:1" }), []);
    await project.must(["refresh", "--yes", "--skip-preview", "--stack", "test"]);
    assert.deepEqual(await project.preview(program()), []);
  });

  it("is told about NPUs that it holds already", async () => {
    const second = program((group) => {
      group.members.forEach((member, index) => {
        member.name = `second-${index}`;
      });
    });
    const other = await aProject(project.toolchainEnv);
    try {
      const { code, text } = await other.up({ group: second.group });
      assert.notEqual(code, 0);
      assert.match(text, /node-a:cann:0 by qwen3\.5-397b-1/);
      assert.equal((await models()).length, 2);
    } finally {
      other.remove();
    }
  });

  it("restarts both members once for a changed variable", async () => {
    const before = await instances();
    const changed = program((group) => {
      for (const { env } of group.members) env!["HCCL_BUFFSIZE"] = "512";
    });
    await project.mustUp(changed);
    const after = await instances();
    assert.ok(
      after.every(
        ({ id, restart_count }) => before.every((old) => old.id !== id) && !restart_count,
      ),
    );
    assert.equal(after.length, 2);
    for (const row of await models()) {
      assert.equal(row.env["HCCL_BUFFSIZE"], "512");
      assert.equal(row.distributed_inference_across_workers, false);
    }
    await project.mustUp(program());
  });

  it("finds an edit, a member scaled to 0 and a deleted one, and repairs them", async () => {
    const [head, peer] = await pair();
    await put(head, { env: { ...head.env, HCCL_BUFFSIZE: "1" } });
    await put(peer, { replicas: 0 });
    await refreshed();
    assert.deepEqual(await project.preview(program()), ["update pair"]);
    await project.mustUp(program());
    assert.equal((await pair())[0].env["HCCL_BUFFSIZE"], "1024");
    await lab.request("DELETE", `/v2/models/${(await pair())[1].id}`);
    await refreshed();
    await project.mustUp(program());
    assert.deepEqual(await states(), { "qwen3.5-397b-1": "running", "qwen3.5-397b-2": "starting" });
    assert.deepEqual(await project.preview(program()), []);
  });

  it("reports a start that fails with the worker's words, and going back heals it", async () => {
    const broken = program((group) => {
      group.members[1]!.env!["FAKE_FAIL"] = "HCCL init failed: ret 7";
      group.members[1]!.env!["FAKE_RETRY"] = "0.1";
      group.maxRestarts = 2;
    });
    const { code, text } = await project.up(broken);
    assert.notEqual(code, 0);
    assert.match(text, /the group does not start: .*qwen3\.5-397b-2=/);
    assert.match(text, /HCCL init failed: ret 7/);
    assert.deepEqual(await project.preview(program()), ["update pair"]);
    await project.mustUp(program());
    assert.equal((await chat("qwen3.5-397b-1")).status, 200);
  });

  it("goes on when the server is killed in the middle of a rollout", async () => {
    const changed = program((group) => {
      group.members[0]!.env!["HCCL_BUFFSIZE"] = "256";
    });
    const rollout = project.up(changed);
    await until(async () => (await models()).some(({ env }) => env["HCCL_BUFFSIZE"] === "256"));
    await lab.stopServer();
    await sleep(3000);
    await lab.startServer();
    const { code, text } = await rollout;
    assert.equal(code, 0, text);
    assert.deepEqual(await states(), { "qwen3.5-397b-1": "running", "qwen3.5-397b-2": "starting" });
    assert.equal((await pair())[0].env["HCCL_BUFFSIZE"], "256");
    await project.mustUp(program());
  });

  it("finds the death of the head's worker, and repairs the pair when it is back", async () => {
    await lab.stopWorker("node-a");
    await until(async () => (await instances()).some(({ state }) => state === "unreachable"), 120);
    await refreshed();
    assert.deepEqual(await project.preview(program()), ["update pair"]);
    await lab.startWorker("node-a");
    await project.mustUp(program());
    assert.equal((await chat("qwen3.5-397b-1")).status, 200);
  });

  it("ends a start only when a key of scope inference has got an answer: a management key cannot chat", async () => {
    const changed = program((group) => {
      group.members[0]!.env!["HCCL_BUFFSIZE"] = "128";
    });
    const up = (GPUSTACK_INFERENCE_KEY: string) =>
      project.run(["up", "--yes", "--skip-preview", "--stack", "test"], changed, {
        GPUSTACK_INFERENCE_KEY,
      });
    const refused = await up(lab.facts.managementKey);
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /403 .*a completion needs a key of scope inference/);
    assert.ok(!refused.text.includes(lab.facts.managementKey));
    const answered = () =>
      lab.report(10_000).match(/completion of qwen3\.5-397b-1 does not think/g)?.length ?? 0;
    const before = answered();
    const { code, text } = await up(lab.facts.inferenceKey);
    assert.equal(code, 0, text);
    assert.equal(answered(), before + 1);
    assert.ok(!project.stateText().includes(lab.facts.inferenceKey));
    await project.mustUp(program());
  });

  it("adopts the pair by a stack file: nothing to do after the import, and the CLI knows it", async () => {
    const before = await instances();
    await project.forget();
    const stack = await aProject(project.toolchainEnv, "stack-file");
    try {
      await adopt(stack, "qwen3.5-397b-1");
      assert.deepEqual(await stack.preview(), []);
      await stack.mustUp();
      assert.deepEqual(ids(await instances()), ids(before));
      const status = await stack.cluster(["status", "--stack", "test"]);
      assert.equal(status.code, 0, status.text);
      assert.match(status.text, /qwen3\.5-397b-2 +member +node-b ready +1 +starting/);
      const key = { GPUSTACK_INFERENCE_KEY: lab.facts.inferenceKey };
      const asked = await stack.cluster(["chat", "--stack", "test", "Hello"], key);
      assert.match(asked.text, /hello from 127\.0\.0\.2/, asked.text);
      const wrong = { GPUSTACK_INFERENCE_KEY: lab.facts.managementKey };
      const refused = await stack.cluster(["chat", "--stack", "test", "Hello"], wrong);
      assert.match(refused.text, /HTTP 403.*\n.*must be one of scope inference/);
    } finally {
      stack.remove();
    }
  });

  it("takes the pair over by the resource option import, without a restart", async () => {
    const before = await instances();
    const imported = {
      importVersion: `vLLM/${VERSION.version}`,
      importGroup: "qwen3.5-397b-1,qwen3.5-397b-2",
    };
    await project.mustUp({ ...program(), ...imported });
    assert.deepEqual(await project.preview(program()), []);
    assert.deepEqual(ids(await instances()), ids(before));
  });

  it("adopts one deployment that serves, and one across workers that is stopped", async () => {
    const flags = ["--tensor-parallel-size=8", "--max-model-len=32768"];
    await post({ name: "solo", gpu_selector: npuSelector("node-c"), backend_parameters: flags });
    await post({
      name: "across",
      replicas: 0,
      gpu_selector: npuSelector("node-b", "node-c"),
      backend_parameters: [...flags, "--pipeline-parallel-size 2"],
      distributed_inference_across_workers: true,
    });
    await until(async () => (await states())["solo"] === "running", 120);
    const adopted: GpustackProject[] = [];
    try {
      for (const name of ["solo", "across"]) {
        const stack = await aProject(project.toolchainEnv, "stack-file");
        adopted.push(stack);
        await adopt(stack, name);
        assert.deepEqual(await stack.preview(), [], name);
        // The version is the pair's, too.
        await stack.must([
          ...["destroy", "--yes", "--skip-preview", "--stack", "test", "--target"],
          `**gpustack:index:DeploymentGroup::${name}-group`,
        ]);
      }
    } finally {
      for (const stack of adopted) stack.remove();
    }
    assert.deepEqual(
      (await models()).map(({ name }) => name),
      ["qwen3.5-397b-1", "qwen3.5-397b-2"],
    );
  });

  it("loses no version when several stacks write one backend row", async () => {
    const names = ["one-custom", "two-custom", "three-custom"];
    const others = await Promise.all(names.map(() => aProject(project.toolchainEnv)));
    try {
      await Promise.all(
        others.map((other, index) =>
          other.mustUp({ version: { ...VERSION, version: names[index] } }),
        ),
      );
      assert.deepEqual(await versions(), [VERSION.version, ...names].sort());
      await Promise.all(
        others.map((other) =>
          other.must(["destroy", "--yes", "--skip-preview", "--stack", "test"]),
        ),
      );
      assert.deepEqual(await versions(), [VERSION.version]);
    } finally {
      for (const other of others) other.remove();
    }
  });

  it("is destroyed without a trace, and the built-in backend is still protected", async () => {
    await project.must(["destroy", "--yes", "--skip-preview", "--stack", "test"]);
    assert.deepEqual(await models(), []);
    assert.deepEqual(await instances(), []);
    assert.deepEqual(await versions(), []);
    assert.equal((await backend()).backend_source, "built_in");
    assert.deepEqual((await lab.request("GET", "/v2/model-routes?page=-1")).body.items, []);
  });

  async function aProject(env: NodeJS.ProcessEnv, kind?: "stack-file"): Promise<GpustackProject> {
    const server = { url: lab.url, apiKey: lab.facts.managementKey };
    const made = new GpustackProject(mkdtempSync(join(tmpdir(), "gpustack-")), env, server, kind);
    await made.init();
    return made;
  }

  /** The command, and the import that it tells. */
  async function adopt(stack: GpustackProject, deployment: string): Promise<void> {
    const { code, text } = await stack.cluster([
      ...["gpustack", "adopt", deployment, "--stack", "test"],
    ]);
    assert.equal(code, 0, text);
    const command = /^ {2}pulumi (import .*)$/m.exec(text)![1]!;
    await stack.must([...command.split(" "), "--yes"]);
  }

  /** A deployment as the web page makes it. */
  async function post(own: object): Promise<void> {
    const { status, body } = await lab.request("POST", "/v2/models", {
      body: {
        ...{ source: "model_scope", model_scope_model_id: LAB_MODEL, cluster_id: 1, replicas: 1 },
        ...{ backend: "vLLM", backend_version: VERSION.version, env: { OMP_NUM_THREADS: "1" } },
        ...{ categories: ["llm"], restart_on_error: true, enable_model_route: true },
        ...{ distributed_inference_across_workers: false, placement_strategy: "spread", ...own },
      },
    });
    assert.equal(status, 200, JSON.stringify(body));
  }

  /** How long something takes, and how much of it any instance exists and is analyzed by the server. */
  async function measured(work: () => Promise<unknown>) {
    const began = Date.now();
    const done = new AbortController();
    const seen = { startSec: 0, analyzingSec: 0 };
    const watching = (async () => {
      let last = Date.now();
      let first: number | undefined;
      while (!done.signal.aborted) {
        const now = await instances();
        const at = Date.now();
        if (now.length > 0) first ??= at;
        if (now.some(({ state }) => state === "analyzing")) seen.analyzingSec += (at - last) / 1000;
        if (first !== undefined) seen.startSec = (at - first) / 1000;
        last = at;
        await sleep(200);
      }
    })();
    await work();
    done.abort();
    await watching;
    return { ...seen, totalSec: (Date.now() - began) / 1000 };
  }

  function program(change: (group: DeploymentGroupArgs) => void = () => undefined) {
    const { workers, ifname } = lab.facts;
    const address = workers["node-a"]!;
    const member = (worker: string, index: number, own: string[]) => ({
      name: `qwen3.5-397b-${index}`,
      gpuIds: npus(worker),
      backendParameters: [
        "--data-parallel-size 2 --tensor-parallel-size 8",
        "--data-parallel-size-local=1",
        `--data-parallel-address=${address}`,
        "--data-parallel-rpc-port=13389",
        "--seed=1024",
        "--enable-expert-parallel",
        "--max-model-len=32768",
        `--compilation-config '{"cudagraph_mode":"FULL_DECODE_ONLY"}'`,
        ...own,
      ],
      env: {
        HCCL_IF_IP: workers[worker]!,
        GLOO_SOCKET_IFNAME: ifname,
        TP_SOCKET_IFNAME: ifname,
        HCCL_SOCKET_IFNAME: ifname,
        HCCL_BUFFSIZE: "1024",
        GPUSTACK_SKIP_GPU_COUNT_CHECK: "1",
      } as Record<string, string>,
    });
    const group: DeploymentGroupArgs = {
      modelScopeModelId: LAB_MODEL,
      backendVersion: VERSION.version,
      readyTimeoutSec: 300,
      members: [
        member("node-a", 1, ["--api-server-count=2"]),
        member("node-b", 2, ["--data-parallel-start-rank=1", "--headless"]),
      ],
    };
    change(group);
    return { version: VERSION, group };
  }

  async function models(): Promise<Row[]> {
    const { items } = (await lab.request("GET", "/v2/models?page=-1")).body as { items: Row[] };
    return items.sort((a, b) => a.name.localeCompare(b.name));
  }

  async function pair(): Promise<[Row, Row]> {
    const [head, peer] = await models();
    return [head!, peer!];
  }

  async function instances(): Promise<Instance[]> {
    return (await lab.request("GET", "/v2/model-instances?page=-1")).body.items;
  }

  async function states(): Promise<Record<string, string>> {
    const { items } = (await lab.request("GET", "/v2/model-instances?page=-1")).body;
    return Object.fromEntries(
      items
        .map((item: { model_name: string; state: string }) => [item.model_name, item.state])
        .sort(),
    );
  }

  async function backend() {
    return (await lab.request("GET", "/v2/inference-backends/backend_name/vLLM")).body;
  }

  async function versions(): Promise<string[]> {
    return Object.keys((await backend()).version_configs).sort();
  }

  /** As a person does it in the web page: the whole row with a change. */
  async function put(row: Row, change: object): Promise<void> {
    const { status } = await lab.request("PUT", `/v2/models/${row.id}`, {
      body: { ...row, ...change },
    });
    assert.equal(status, 200);
  }

  async function refreshed(): Promise<void> {
    await project.must(["refresh", "--yes", "--skip-preview", "--stack", "test"], program());
  }

  function chat(model: string) {
    return lab.request("POST", "/v1/chat/completions", {
      key: lab.facts.inferenceKey,
      body: {
        model,
        messages: [{ role: "user", content: "Hello" }],
        chat_template_kwargs: { enable_thinking: false },
      },
    });
  }
});

function npus(worker: string): string[] {
  return Array.from({ length: 8 }, (_, index) => `${worker}:cann:${index}`);
}

function npuSelector(...workers: string[]) {
  const ids = workers.flatMap(npus);
  return { gpu_ids: ids, gpus_per_replica: ids.length };
}

function ids(rows: readonly Instance[]): number[] {
  return rows.map(({ id }) => id).sort((a, b) => a - b);
}

async function until(check: () => Promise<boolean>, timeoutSec = 60): Promise<void> {
  const deadline = Date.now() + timeoutSec * 1000;
  while (!(await check())) {
    assert.ok(Date.now() < deadline, `not within ${timeoutSec} s`);
    await sleep(500);
  }
}
