import { spawn, spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type AgentState, classifySshFailure, type SshFailure } from "../core/facts/ssh-failure.js";
import type { ConnectionPlan } from "../core/plan/cluster-plan.js";
import { pinnedSshOptions } from "../core/render/ssh-options.js";
import { messageOf } from "./errors.js";

/** A node by the name under which its host key is pinned. */
export interface SshTarget {
  readonly name: string;
  readonly connection: ConnectionPlan;
}

export interface NodeScript {
  /** Bash, sent on standard input; nothing of it stands in a process list. */
  readonly text: string;
  /** The login user runs it, or root. */
  readonly as: "login" | "root";
  /** Seconds for connection and script together; the client is killed then. */
  readonly deadlineSec: number;
  /** Gets output while the script runs; it is not kept then. */
  readonly onOutput?: (text: string) => void;
}

export interface NodeRun {
  readonly node: string;
  /** Exit code of the script; 255 or `null` only together with `failure`. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly failure?: SshFailure;
}

/** Runs a script on every node at once. A dead node costs its own time-out and hides nothing of the others. */
export async function runOnNodes<T extends SshTarget>(
  targets: readonly T[],
  script: (target: T) => NodeScript,
): Promise<NodeRun[]> {
  return Promise.all(targets.map((target) => runOnNode(target, script(target))));
}

/**
 * The one way in which the CLI runs something on a host: the pinned host key, keys from the agent only (like Pulumi's own
 * connections, so that what works here works there), no file of the operator, a deadline on both ends.
 */
export async function runOnNode(target: SshTarget, script: NodeScript): Promise<NodeRun> {
  for (let attempt = 1; ; attempt += 1) {
    const run = await runOnce(target, script);
    // sshd drops connections at random above MaxStartups (10:30:100): nothing has run, so another try is safe.
    if (run.failure?.kind !== "throttled" || attempt === ATTEMPTS) return run;
    await sleep(attempt * 1000 + Math.random() * 1000);
  }
}

async function runOnce(target: SshTarget, script: NodeScript): Promise<NodeRun> {
  const { connection } = target;
  const end = await spawnSsh(sshArguments(target, script), script);
  const failure = classifySshFailure({
    ...end,
    connection,
    agent: end.code === 255 ? agentState() : "ready",
  });
  const { code, stdout, stderr } = end;
  return { node: target.name, code, stdout, stderr, ...(failure === undefined ? {} : { failure }) };
}

interface ClientEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly deadlineSec?: number;
}

function sshArguments({ name, connection }: SshTarget, script: NodeScript): string[] {
  const { address, user, port, become } = connection;
  // `env` and not an assignment: the login shell may be a csh. The host's own limit is the shorter one, so that
  // its message arrives, and so that nothing goes on there after the client is gone.
  const limit = `timeout -k 5 ${Math.max(5, script.deadlineSec - 10)} bash -s`;
  const command =
    script.as === "root" && become === "sudo" ? `env LC_ALL=C sudo -n ${limit}` : limit;
  return [
    ...pinnedSshOptions(name, connection),
    ...["ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"].flatMap((option) => [
      "-o",
      option,
    ]),
    "-T",
    "-p",
    String(port),
    "-l",
    user,
    address,
    command,
  ];
}

async function spawnSsh(args: readonly string[], script: NodeScript): Promise<ClientEnd> {
  const child = spawn("ssh", args, { stdio: ["pipe", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  let isLate = false;
  const deadline = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, script.deadlineSec * 1000);

  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (script.onOutput === undefined) output.stdout += text;
    else script.onOutput(text);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  // The client may be gone before it has read the script; its exit code says why.
  child.stdin.on("error", () => undefined);
  child.stdin.end(script.text);

  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    return { code, ...output, ...(isLate ? { deadlineSec: script.deadlineSec } : {}) };
  } catch (error) {
    // No ssh on this machine: reported like a failure of the client, with the reason of the system.
    const reason = messageOf(error);
    return { code: 255, stdout: "", stderr: `Bad configuration option: ${reason}` };
  } finally {
    clearTimeout(deadline);
  }
}

/** `ssh-add -l` ends with 1 when the agent holds no key and with 2 when there is no agent. */
function agentState(): AgentState {
  const { status } = spawnSync("ssh-add", ["-l"], { stdio: "ignore", timeout: 5000 });
  if (status === 0) return "ready";
  return status === 1 ? "empty" : "missing";
}

const ATTEMPTS = 3;
