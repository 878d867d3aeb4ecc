/**
 * The stand-in `vllm serve` as head and headless member, without Ray: who waits for whom, what is noticed and what is not. Both on one
 * host; that real vLLM behaves so is recorded in docs/lab-images.md.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sourceDir } from "../../tools/lab/build/paths.mjs";
import { skip } from "../../tools/test/skip.mjs";

const python = "/usr/bin/python3";
const program = ["-c", "import sys; from vllm_standin.main import main; sys.exit(main())"];

interface Node {
  readonly child: ChildProcess;
  readonly log: () => string;
}

describe("the stand-in for vllm serve on several nodes", function () {
  this.timeout(60_000);
  let model: string;
  let nodes: Node[];
  let port: number;
  let meetingPort: number;

  before(function () {
    if (!existsSync(python)) {
      skip(this, `${python} is not there`, "apt-get install python3");
    }
  });

  beforeEach(async () => {
    model = mkdtempSync(join(tmpdir(), "vllm-standin-nodes-"));
    nodes = [];
    [port, meetingPort] = [await freePort(), await freePort()];
    writeFileSync(join(model, "config.json"), "{}");
    writeFileSync(join(model, "vllm-standin.json"), JSON.stringify({ loadSec: 0 }));
  });

  afterEach(() => {
    for (const { child } of nodes) killGroup(child);
    rmSync(model, { recursive: true, force: true });
  });

  const head = () => ["--host=127.0.0.1", `--port=${port}`, "--served-model-name=qwen"];
  const engines = (...more: string[]) => [
    ...["--data-parallel-size=2", "--data-parallel-size-local=1", "--tensor-parallel-size=2"],
    ...["--data-parallel-address=127.0.0.1", `--data-parallel-rpc-port=${meetingPort}`, ...more],
  ];
  const stages = (...more: string[]) => [
    ...["--distributed-executor-backend=mp", "--tensor-parallel-size=2"],
    ...["--pipeline-parallel-size=2", "--nnodes=2", "--master-addr=127.0.0.1"],
    ...[`--master-port=${meetingPort}`, ...more],
  ];
  const modes = {
    "data parallelism": {
      head: () => serve(...engines(...head(), "--api-server-count=2")),
      member: () => serve(...engines("--headless", "--data-parallel-start-rank=1")),
    },
    "the multi-node mode": {
      head: () => serve(...stages("--node-rank=0", ...head())),
      member: () => serve(...stages("--node-rank=1", "--headless")),
    },
  };

  for (const [name, mode] of Object.entries(modes)) {
    describe(`with ${name}`, () => {
      it("gets ready only when the member is there, which may come first or last", async () => {
        const first = mode.head();
        await sleep(1500);
        assert.equal(await isReady(), false);
        assert.equal(first.child.exitCode, null);
        mode.member();
        await ready();
        assert.equal((await complete()).status, 200);
      });

      it("ends with 0 on SIGTERM, head and member", async () => {
        const [second, first] = [mode.member(), mode.head()];
        await ready();
        for (const { child } of [first, second]) {
          child.kill("SIGTERM");
          assert.deepEqual(await ended(child), [0, null]);
        }
      });

      it("leaves a member running whose head is gone, until SIGTERM", async () => {
        const [second, first] = [mode.member(), mode.head()];
        await ready();
        killGroup(first.child);
        await sleep(2000);
        assert.equal(second.child.exitCode, null);
        second.child.kill("SIGTERM");
        assert.deepEqual(await ended(second.child), [0, null]);
      });

      it("ends the head when one of its ranks dies", async () => {
        mode.member();
        const first = mode.head();
        await ready();
        process.kill(rankPid(first.child), "SIGKILL");
        assert.deepEqual(await ended(first.child), [0, null]);
        assert.match(first.log(), /Worker proc VllmWorker-0 died unexpectedly/);
      });
    });
  }

  it("answers with both engines and counts them apart", async () => {
    modes["data parallelism"].member();
    modes["data parallelism"].head();
    await ready();
    for (let request = 0; request < 4; request++) assert.equal((await complete()).status, 200);
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    for (const engine of [0, 1]) {
      const labels = `engine="${engine}",finished_reason="length",model_name="qwen"`;
      assert.ok(metrics.includes(`vllm:request_success_total{${labels}} 2.0\n`), metrics);
    }
  });

  it("ends the head at once when the process of another engine dies", async () => {
    const second = modes["data parallelism"].member();
    const first = modes["data parallelism"].head();
    await ready();
    killGroup(second.child);
    await sleep(300);
    assert.equal((await complete()).status, 500);
    assert.deepEqual(await ended(first.child), [0, null]);
  });

  it("fails a step, and with it the head, when the ranks of another node are gone", async () => {
    const second = modes["the multi-node mode"].member();
    const first = modes["the multi-node mode"].head();
    await ready();
    killGroup(second.child);
    await sleep(1000);
    assert.equal(first.child.exitCode, null, "noticed without a request");
    assert.equal((await complete()).status, 500);
    assert.deepEqual(await ended(first.child), [0, null]);
    assert.match(first.log(), /Connection closed by peer/);
  });

  it("refuses an engine that was started with other sizes", async () => {
    const first = modes["data parallelism"].head();
    const other = engines("--headless", "--data-parallel-start-rank=1");
    serve(...other, "--tensor-parallel-size=4");
    assert.deepEqual(await ended(first.child), [1, null]);
    assert.match(first.log(), /RuntimeError: Configuration mismatch detected for engine 1/);
  });

  const refusals: [name: string, args: string[], message: RegExp][] = [
    [
      "API servers on a headless node",
      ["--data-parallel-size=2", "--headless", "--api-server-count=2"],
      /ValueError: --api-server-count=2 cannot be used with --headless/,
    ],
    [
      "a headless node without engines",
      ["--data-parallel-size=2", "--headless", "--data-parallel-size-local=0"],
      /ValueError: data_parallel_size_local must be > 0 in headless mode/,
    ],
    [
      "several nodes over Ray",
      ["--nnodes=2", "--distributed-executor-backend=ray", "--tensor-parallel-size=2"],
      /ValueError: nnodes > 1 can only be set when distributed executor backend is mp/,
    ],
    [
      "ranks that the nodes cannot share evenly",
      ["--nnodes=2", "--distributed-executor-backend=mp", "--tensor-parallel-size=3"],
      /ValueError: --nnodes 2 must evenly divide the total world size/,
    ],
    [
      "a node beyond the last",
      ["--nnodes=2", "--node-rank=2", "--headless", "--tensor-parallel-size=2"],
      /ValueError: --node-rank must be between 0 and 1/,
    ],
  ];
  for (const [name, args, message] of refusals) {
    it(`refuses ${name}, in vLLM's words`, () => {
      const { status, stdout } = spawnSync(python, [...program, "serve", model, ...args], {
        encoding: "utf8",
        env: environment(),
        timeout: 20_000,
      });
      assert.match(stdout, message);
      assert.equal(status, 1);
    });
  }

  function serve(...args: string[]): Node {
    const child = spawn(python, [...program, "serve", model, ...args], {
      env: environment(),
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    let output = "";
    child.stdout.on("data", (part) => {
      output += part;
    });
    const node = { child, log: () => output };
    nodes.push(node);
    return node;
  }

  async function isReady(): Promise<boolean> {
    return fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2000) }).then(
      ({ status }) => status === 200,
      () => false,
    );
  }

  async function ready(): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (!(await isReady())) {
      assert.ok(Date.now() < deadline, nodes.map(({ log }) => log()).join("---\n"));
      await sleep(50);
    }
  }

  function complete(): Promise<Response> {
    return fetch(`http://127.0.0.1:${port}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "qwen", prompt: "hello", max_tokens: 4 }),
      signal: AbortSignal.timeout(5000),
    });
  }
});

function environment(): Record<string, string> {
  return {
    PATH: "/usr/bin:/bin",
    PYTHONPATH: join(sourceDir, "images/standin"),
    PYTHONDONTWRITEBYTECODE: "1",
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  return port;
}

/** A rank below the process: the child of its EngineCore. */
function rankPid({ pid }: ChildProcess): number {
  const { stdout } = spawnSync("pgrep", ["--session", String(pid), "-f", "vllm_standin.worker"], {
    encoding: "utf8",
  });
  const rank = Number(stdout.split("\n")[0]);
  assert.ok(rank > 0, "no rank runs");
  return rank;
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // All of it has ended.
  }
}

async function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return [child.exitCode, child.signalCode];
}
