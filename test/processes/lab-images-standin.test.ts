/**
 * The stand-in `vllm serve` of the Ray image on one node, without Ray: command line, HTTP interface, faults,
 * signals. Several nodes: lab-images-standin-nodes.test.ts. Ranks as Ray actors are shown by the lab tests.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sourceDir } from "../../tools/lab/build/paths.mjs";
import { skip } from "../../tools/test/skip.mjs";

const python = "/usr/bin/python3";
const standin = join(sourceDir, "images/standin");
const program = ["-c", "import sys; from vllm_standin.main import main; sys.exit(main())"];

describe("the stand-in for vllm serve", function () {
  this.timeout(30_000);
  let work: string;
  let model: string;
  let faults: string;
  let server: { child: ChildProcess; port: number; log: () => string } | undefined;

  before(function () {
    if (!existsSync(python)) {
      skip(this, `${python} is not there`, "apt-get install python3");
    }
  });

  beforeEach(() => {
    work = mkdtempSync(join(tmpdir(), "vllm-standin-"));
    model = join(work, "model");
    faults = join(model, "vllm-standin.json");
    mkdirSync(model);
    writeFileSync(join(model, "config.json"), "{}");
    setFaults({ loadSec: 0 });
  });

  afterEach(() => {
    // The whole group: EngineCore outlives its API server.
    killGroup(server?.child);
    server = undefined;
    rmSync(work, { recursive: true, force: true });
  });

  describe("takes the command line of vLLM 0.23", () => {
    it("with every flag of the Ray document", () => {
      const parsed = parse(rayDocument);
      assert.equal(parsed["tensor_parallel_size"], 8);
      assert.equal(parsed["pipeline_parallel_size"], 2);
      assert.equal(parsed["distributed_executor_backend"], "ray");
      assert.equal(parsed["enable_expert_parallel"], true);
      assert.deepEqual(parsed["served_model_name"], ["qwen"]);
    });

    it("with every flag of the document on data parallelism", () => {
      const parsed = parse([...dataParallelDocument, "--headless"]);
      assert.equal(parsed["data_parallel_size"], 2);
      assert.equal(parsed["headless"], true);
      assert.equal(parsed["enable_prefix_caching"], false);
      assert.deepEqual(parsed["speculative_config"], {
        method: "qwen3_5_mtp",
        num_speculative_tokens: 3,
        enforce_eager: true,
      });
    });

    const errors: Record<string, { args: string[]; message: RegExp }> = {
      "and refuses an unknown flag as vLLM's parser does": {
        args: ["--no-such-flag"],
        message: /^vllm: error: unrecognized arguments: --no-such-flag$/m,
      },
      "and refuses a word for a number": {
        args: ["--tensor-parallel-size", "two"],
        message:
          /^vllm serve: error: argument --tensor-parallel-size\/-tp: invalid int value: 'two'$/m,
      },
      "and refuses a size it cannot read": {
        args: ["--max-model-len", "8kk"],
        message:
          /^vllm serve: error: argument --max-model-len: invalid human_readable_int_or_auto value: '8kk'$/m,
      },
      "and refuses JSON that is none": {
        args: ["--compilation-config", "{x"],
        message:
          /^vllm serve: error: argument --compilation-config\/-cc: invalid loads value: '\{x'$/m,
      },
      "and refuses a value that is no choice": {
        args: ["--convert", "words"],
        message: /^vllm serve: error: argument --convert: invalid choice: 'words'/m,
      },
    };
    for (const [name, { args, message }] of Object.entries(errors)) {
      it(name, () => {
        const { status, stderr } = run(["serve", model, ...args]);
        assert.match(stderr, message);
        assert.equal(status, 2);
      });
    }

    it("and says which modes it cannot stand in for", () => {
      const { status, stdout } = run(["serve", model, "--data_parallel_start_rank=1"]);
      assert.match(
        stdout,
        /NotImplementedError: the lab's stand-in does not know .* use the image lab\/vllm/,
      );
      assert.equal(status, 1);
    });
  });

  describe("starts", () => {
    it("saying that it is a stand-in, and what vLLM says", async () => {
      const { log } = await serve();
      assert.match(log(), /WARNING this is the lab's stand-in for vllm 0\.23\.0/);
      await says(log, /^\(APIServer pid=\d+\) INFO: {5}Application startup complete\.$/m);
    });

    it("without printing the API key", async () => {
      const { log } = await serve({ args: ["--api-key", "sesame-1"] });
      await says(log, /non-default args: .*'api_key': '\*\*\*'/);
      assert.doesNotMatch(log(), /sesame-1/);
    });

    it("not without a model", () => {
      const { status, stdout } = run(["serve", join(work, "nothing")]);
      assert.match(stdout, /OSError: .*nothing is not a model directory/);
      assert.equal(status, 1);
    });

    it("not on a port that is busy", async () => {
      const holder = createServer().listen(0, "127.0.0.1");
      await once(holder, "listening");
      const { port } = holder.address() as { port: number };
      const { status, stdout } = run(["serve", model, "--host", "127.0.0.1", "--port", `${port}`]);
      holder.close();
      assert.match(stdout, /OSError: \[Errno 98\] Address already in use/);
      assert.equal(status, 1);
    });
  });

  describe("answers", () => {
    it("completions with usage, and counts them", async () => {
      await serve();
      const { status, body } = await post("/v1/completions", { prompt: "hello", max_tokens: 8 });
      assert.equal(status, 200);
      assert.equal(body.choices[0].text.split(" ").length, 8);
      assert.equal(body.choices[0].finish_reason, "length");
      assert.deepEqual(body.usage, { prompt_tokens: 1, completion_tokens: 8, total_tokens: 9 });
      const metrics = await (await get("/metrics")).text();
      const labels = 'engine="0",finished_reason="length",model_name="qwen"';
      assert.ok(metrics.includes(`vllm:request_success_total{${labels}} 1.0\n`), metrics);
      assert.match(metrics, /^vllm:generation_tokens_total\{.*\} 8\.0$/m);
      assert.match(metrics, /^vllm:num_requests_running\{.*\} 0\.0$/m);
    });

    it("streams", async () => {
      await serve();
      const response = await fetch(url("/v1/completions"), {
        method: "POST",
        body: JSON.stringify({ model: "qwen", prompt: "hello", max_tokens: 3, stream: true }),
      });
      const events = (await response.text()).trim().split("\n\n");
      assert.equal(events.length, 4);
      assert.equal(events.at(-1), "data: [DONE]");
      const last = JSON.parse(events[2]!.replace("data: ", ""));
      assert.equal(last.choices[0].finish_reason, "length");
    });

    it("chat, models and health", async () => {
      await serve();
      const messages = [{ role: "user", content: "hello" }];
      const { body } = await post("/v1/chat/completions", { messages, max_tokens: 2 });
      assert.equal(body.choices[0].message.role, "assistant");
      const models = (await (await get("/v1/models")).json()) as { data: { id: string }[] };
      assert.deepEqual(
        models.data.map(({ id }) => id),
        ["qwen"],
      );
      assert.equal((await get("/health")).status, 200);
    });

    it("404 for a model it does not serve", async () => {
      await serve();
      const { status, body } = await post("/v1/completions", { model: "gpt", prompt: "hello" });
      assert.equal(status, 404);
      assert.equal(body.error.message, "The model `gpt` does not exist.");
    });

    it("below /v1 only with the key of VLLM_API_KEY", async () => {
      await serve({ env: { VLLM_API_KEY: "sesame-2" } });
      const wrong = await post(
        "/v1/completions",
        { prompt: "hello" },
        { Authorization: "Bearer x" },
      );
      assert.deepEqual(wrong, { status: 401, body: { error: "Unauthorized" } });
      assert.equal((await get("/v1/models")).status, 401);
      assert.equal((await get("/health")).status, 200);
      assert.equal((await get("/metrics")).status, 200);
      const key = { Authorization: "Bearer sesame-2" };
      assert.equal((await post("/v1/completions", { prompt: "hello" }, key)).status, 200);
    });

    it("without a line in the access log for paths that are left out", async () => {
      const { log } = await serve({
        args: ["--disable-access-log-for-endpoints", "/health,/metrics,/ping"],
      });
      await get("/health");
      await get("/version");
      await says(log, /"GET \/version HTTP\/1\.1" 200 OK/);
      assert.doesNotMatch(log(), /GET \/health/);
    });
  });

  describe("fails as a test asks for", () => {
    it("a wedge: completions hang, /health stays 200, and it heals", async () => {
      await serve();
      setFaults({ wedged: true });
      await assert.rejects(post("/v1/completions", { prompt: "hello" }, {}, 700), /Timeout/);
      assert.equal((await get("/health")).status, 200);
      setFaults({});
      assert.equal((await post("/v1/completions", { prompt: "hello" })).status, 200);
    });

    it("a dead engine: 500 and 503", async () => {
      await serve();
      setFaults({ refuse: true });
      assert.equal((await post("/v1/completions", { prompt: "hello" })).status, 500);
      assert.equal((await get("/health")).status, 503);
    });

    for (const phase of ["init", "load"]) {
      it(`a crash at ${phase}: traceback with the message, exit 1`, () => {
        setFaults({ crashAt: phase, message: "NPU out of memory" });
        const { status, stdout } = run(["serve", model, "--port", "0"]);
        assert.match(stdout, /\(EngineCore pid=\d+\) ERROR .*RuntimeError: NPU out of memory/);
        assert.match(stdout, /RuntimeError: Engine core initialization failed/);
        assert.equal(status, 1);
      });
    }

    it("a crash while it serves", async () => {
      setFaults({ loadSec: 0, crashAt: "serving", message: "lost the device" });
      const { child, log } = await serve();
      assert.deepEqual(await ended(child), [1, null]);
      await says(log, /RuntimeError: lost the device/);
    });

    it("a start that never ends: the port stays closed, SIGTERM ends it", async () => {
      setFaults({ hangAt: "load" });
      const { child, port, log } = await start();
      await says(log, /Initializing a V1 LLM engine/);
      await sleep(400);
      assert.equal(await isOpen(port), false);
      child.kill("SIGTERM");
      assert.deepEqual(await ended(child), [0, null]);
    });

    it("ignored SIGTERM", async () => {
      const { child } = await serve();
      setFaults({ ignoreSigterm: true });
      child.kill("SIGTERM");
      await sleep(400);
      assert.equal((await get("/health")).status, 200);
      assert.equal(child.exitCode, null);
    });

    it("an unknown fault is an error, not silence", () => {
      setFaults({ wegded: true });
      const { status, stdout } = run(["serve", model, "--port", "0"]);
      assert.match(stdout, /unknown fault or wrong type: wegded=True/);
      assert.equal(status, 1);
    });
  });

  it("ends with 0 on SIGTERM and leaves no process", async () => {
    const { child, log } = await serve();
    child.kill("SIGTERM");
    assert.deepEqual(await ended(child), [0, null]);
    await says(log, /\[shutdown\] API server: shutdown triggered/);
    assert.throws(() => process.kill(enginePid(log()), 0), /ESRCH/);
  });

  it("whose API server is killed leaves EngineCore behind, as vLLM does", async () => {
    const { child, log } = await serve();
    const engine = enginePid(log());
    child.kill("SIGKILL");
    await ended(child);
    await sleep(300);
    assert.doesNotThrow(() => process.kill(engine, 0));
    process.kill(engine, "SIGTERM");
  });

  function setFaults(settings: Record<string, unknown>): void {
    writeFileSync(faults, JSON.stringify(settings));
  }

  function parse(args: string[]): Record<string, unknown> {
    const script =
      "import json, sys; from vllm_standin.arguments import parse; " +
      "print(json.dumps(vars(parse(sys.argv[1:]))))";
    const { status, stdout, stderr } = spawnSync(python, ["-c", script, ...args], {
      encoding: "utf8",
      env: environment({}),
    });
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  function run(args: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(python, [...program, ...args], {
      encoding: "utf8",
      env: environment({}),
      timeout: 20_000,
    });
  }

  async function start(options: { args?: string[]; env?: Record<string, string> } = {}) {
    const port = await freePort();
    const flags = ["--host", "127.0.0.1", "--port", `${port}`, "--served-model-name", "qwen"];
    const child = spawn(python, [...program, "serve", model, ...flags, ...(options.args ?? [])], {
      env: environment(options.env ?? {}),
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    let output = "";
    child.stdout.on("data", (part) => {
      output += part;
    });
    server = { child, port, log: () => output };
    return server;
  }

  async function serve(options: { args?: string[]; env?: Record<string, string> } = {}) {
    const started = await start(options);
    const deadline = Date.now() + 15_000;
    while (!(await isOpen(started.port))) {
      assert.ok(started.child.exitCode === null && Date.now() < deadline, started.log());
      await sleep(50);
    }
    return started;
  }

  function environment(extra: Record<string, string>): Record<string, string> {
    return { PATH: "/usr/bin:/bin", PYTHONPATH: standin, PYTHONDONTWRITEBYTECODE: "1", ...extra };
  }

  function url(path: string): string {
    return `http://127.0.0.1:${server?.port}${path}`;
  }

  function get(path: string): Promise<Response> {
    return fetch(url(path), { signal: AbortSignal.timeout(5000) });
  }

  async function post(
    path: string,
    request: Record<string, unknown>,
    headers: Record<string, string> = {},
    timeoutMs = 5000,
  ) {
    const response = await fetch(url(path), {
      method: "POST",
      headers,
      body: JSON.stringify({ model: "qwen", ...request }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: response.status, body: JSON.parse(await response.text()) };
  }
});

// Multi-Node-Ray (Qwen/Qwen3-235B-A22B) of the vllm-ascend documentation.
const rayDocument = [
  ...["Qwen/Qwen3-235B-A22B", "--distributed-executor-backend", "ray"],
  ...["--pipeline-parallel-size", "2", "--tensor-parallel-size", "8", "--enable-expert-parallel"],
  ...["--seed", "1024", "--max-model-len", "8192", "--max-num-seqs", "25"],
  ...["--served-model-name", "qwen", "--trust-remote-code", "--gpu-memory-utilization", "0.9"],
];

// Qwen3.5-397B-A17B on two nodes with DP 2, TP 8, of GPUStack.
const dataParallelDocument = [
  ...["Eco-Tech/Qwen3.5-397B-A17B-w8a8-mtp", "--data-parallel-size", "2"],
  ...["--tensor-parallel-size", "8", "--data-parallel-size-local=1", "--api-server-count=2"],
  ...["--data-parallel-address=192.168.13.33", "--data-parallel-rpc-port=13389", "--seed=1024"],
  ...["--data-parallel-start-rank=1", "--enable-expert-parallel", "--max-num-seqs=16"],
  ...["--max-model-len=32768", "--max-num-batched-tokens=8192", "--gpu-memory-utilization=0.90"],
  ...["--trust-remote-code", "--async-scheduling", "--no-enable-prefix-caching"],
  "--speculative_config",
  '{"method":"qwen3_5_mtp","num_speculative_tokens":3,"enforce_eager":true}',
  ...["--compilation-config", '{"cudagraph_mode":"FULL_DECODE_ONLY"}'],
  "--additional-config",
  '{"enable_cpu_binding":true,"multistream_overlap_shared_expert":true}',
  ...["--disable-access-log-for-endpoints", "/health,/metrics,/ping"],
];

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  return port;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Output arrives a moment after the event that it tells of. */
async function says(log: () => string, line: RegExp): Promise<void> {
  for (let tries = 0; tries < 500 && !line.test(log()); tries++) await sleep(20);
  assert.match(log(), line);
}

function enginePid(log: string): number {
  const pid = /\(EngineCore pid=(\d+)\)/.exec(log)?.[1];
  assert.ok(pid !== undefined, log);
  return Number(pid);
}

function killGroup(leader: ChildProcess | undefined): void {
  try {
    if (leader?.pid !== undefined) process.kill(-leader.pid, "SIGKILL");
  } catch {
    // All of it has ended.
  }
}

async function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return [child.exitCode, child.signalCode];
}
