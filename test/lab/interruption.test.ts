// `pulumi up` that is interrupted: Ctrl-C and SIGKILL after every few events of a first start, a connection that breaks while a node is
// staged, a second operator. Each time the next `up` heals. With the stand-in `vllm` of the Ray image. Does not prove anything about a
// backend other than files, or about the official plugins where their test doubles run.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { BASE_DIR, CONTAINER, LabStack } from "../support/lab-stack.js";

/** Events of resources between two interruptions. */
const EVERY = 8;

describe("a pulumi up that is interrupted", function () {
  this.timeout(600_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "ray" });
  });
  after(() => stack?.dispose());

  it("is gone on with by the next one, after Ctrl-C and after SIGKILL of the engine", async () => {
    let interruptions = 0;
    let told = 0;
    for (;;) {
      const signal = interruptions % 2 === 0 ? "SIGINT" : "SIGKILL";
      const run = await interruptedUp(stack, EVERY, signal);
      const unknown = unknownContainers(run.text);
      for (const node of unknown) {
        // As docs/interruptions.md says: the engine died between docker's answer and its own state.
        await stack.lab.must(node, `docker rm -f ${CONTAINER}`);
      }
      if (!run.interrupted) {
        if (unknown.length > 0) continue;
        if (run.code !== 0) assert.fail(run.text);
        break;
      }
      interruptions++;
      assert.notEqual(run.code, 0, run.text);
      if (signal === "SIGKILL") told += await unlock(stack);
      assert.ok(interruptions < 30, "does not come to an end");
    }
    assert.ok(interruptions >= 3, `${interruptions} interruptions`);
    assert.ok(told >= 1, "no lock was left behind");
    await healed(stack);
  });

  it("leaves a node that lost its connection while it was staged with whole files, and the next one heals", async () => {
    await stack.mustUp();
    await stack.change((cluster) => {
      cluster.serve.maxNumSeqs = 17;
    });
    const before = await filesOf(stack, stack.worker);
    // Staging waits for the lock of the host, so that the connection breaks in the middle of it.
    await stack.lab.must(
      stack.worker,
      `systemd-run --quiet --unit hold-lock flock ${BASE_DIR}/lock sleep 170
       for i in $(seq 50); do flock -n ${BASE_DIR}/lock true || exit 0; sleep 0.1; done; exit 1`,
    );
    const up = startUp(stack);
    await waitFor("staging waits for the lock", async () =>
      /\d/.test((await stack.lab.exec(stack.worker, `pgrep -f '[f]lock -w 120 9' || true`)).stdout),
    );
    // In the host's own process namespace.
    await stack.lab.must(stack.worker, "pkill -KILL -f '^sshd: root@notty' || true");
    await stack.lab.must(stack.worker, "systemctl stop hold-lock");
    const { code, text } = await up.ended;
    assert.notEqual(code, 0, text);
    assert.match(text, /lab-node1-files/);
    await waitFor("the script on the host has ended", async () => {
      const { stdout } = await stack.lab.exec(
        stack.worker,
        "pgrep -f '[t]imeout -k 10 300' || true",
      );
      return stdout.trim() === "";
    });
    const after = await filesOf(stack, stack.worker);
    for (const line of before) {
      const [, path = ""] = line.split("  ");
      // The folder's names may only grow: what the running group uses is as it was.
      if (path.includes("/in/releases/")) assert.ok(after.includes(line), line);
    }
    await stack.mustUp();
    await healed(stack);
  });

  it("refuses a second operator by name, and disturbs the first one in nothing", async () => {
    await stack.change((cluster) => {
      cluster.serve.maxNumSeqs = 18;
    });
    const first = startUp(stack);
    await first.events(1);
    const second = await stack.up();
    assert.notEqual(second.code, 0);
    assert.match(second.text, /the stack is currently locked by 1 lock/);
    // Who: the user, the machine and the process that hold it.
    assert.match(second.text, /created by \S+@\S+ \(pid \d+\)/);
    assert.match(second.text, /pulumi cancel/);
    const { code, text } = await first.ended;
    assert.equal(code, 0, text);
    await healed(stack);
  });
});

/** Nodes whose container was made by an engine that did not live to note it. */
function unknownContainers(text: string): readonly string[] {
  const conflicts = text.matchAll(/ lab-(node\d+)-container [^\n]*Conflict\. The container name/g);
  return [...new Set([...conflicts].map(([, node]) => node!))];
}

/** The group serves, a further `up` has nothing to do, and nothing half-written or running is left. */
async function healed(stack: LabStack): Promise<void> {
  await stack.complete();
  assert.match(await stack.mustUp(), /unchanged/);
  for (const { name } of stack.lab.nodes) {
    const left = await stack.lab.must(
      name,
      `find ${BASE_DIR} -name '*.tmp'; docker ps -a --format '{{.Names}}' | grep -vx ${CONTAINER} || true
       pgrep -fa '[t]imeout -k' || true`,
    );
    assert.equal(left, "", name);
  }
}

/** Hash and path of what is staged on a node. */
async function filesOf(stack: LabStack, node: string): Promise<readonly string[]> {
  const text = await stack.lab.must(node, `find ${BASE_DIR}/in -type f -exec sha256sum {} +`);
  return text.trim().split("\n");
}

interface Up {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number; text: string }>;
  /** Resolves when so many resources have begun or ended a change, or when `up` has ended. */
  readonly events: (count: number) => Promise<void>;
}

function startUp(stack: LabStack): Up {
  const args = ["up", "--yes", "--skip-preview", "--stack", "lab", "--non-interactive"];
  const { dir, env } = stack.project;
  const child = spawn("pulumi", args, {
    cwd: dir,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
    });
  }
  let isOver = false;
  const ended = new Promise<{ code: number; text: string }>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => {
      isOver = true;
      // Plugins of a killed engine hold its pipes open.
      setTimeout(() => resolve({ code: code ?? 137, text }), 300);
    });
  });
  const events = async (count: number) => {
    while (!isOver && (text.match(/ (creating|created|updating|updated) /g)?.length ?? 0) < count) {
      await sleep(50);
    }
  };
  return { child, ended, events };
}

/** Runs `up` and interrupts it after so many events, unless it ends before. */
async function interruptedUp(
  stack: LabStack,
  count: number,
  signal: "SIGINT" | "SIGKILL",
): Promise<{ code: number; text: string; interrupted: boolean }> {
  const up = startUp(stack);
  await up.events(count);
  const { pid, exitCode } = up.child;
  const interrupted = exitCode === null && pid !== undefined;
  // Ctrl-C reaches the whole foreground group, SIGKILL the engine alone.
  const plugins = interrupted ? childrenOf(pid) : [];
  if (interrupted) process.kill(signal === "SIGINT" ? -pid : pid, signal);
  const result = await up.ended;
  if (interrupted) await groupEnds(pid);
  for (const plugin of plugins) endOrphan(plugin);
  return { ...result, interrupted };
}

/** Plugins have process groups of their own, so that neither Ctrl-C nor the end of the engine's group ends them. */
function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8")
      .trim()
      .split(" ")
      .filter(Boolean)
      .map(Number),
  );
}

/** A killed engine leaves its plugins behind; this test must not. */
function endOrphan(pid: number): void {
  try {
    process.kill(pid, "SIGTERM");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** The engine's own process group ends with it. */
async function groupEnds(pid: number): Promise<void> {
  await waitFor("the plugins have ended", () => {
    try {
      process.kill(-pid, 0);
      return Promise.resolve(false);
    } catch {
      return Promise.resolve(true);
    }
  });
}

/** The next `up` tells of the lock, one command removes it. Returns how many locks there were. */
async function unlock(stack: LabStack): Promise<number> {
  const { code, text } = await stack.up();
  if (!/currently locked/.test(text)) assert.fail(`${code} ${text}`);
  assert.match(text, /pulumi cancel/);
  const cancelled = await stack.pulumi("cancel", "--yes");
  assert.equal(cancelled.code, 0, cancelled.text);
  return 1;
}

async function waitFor(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within 60 s: ${what}`);
    await sleep(250);
  }
}
