import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parsePreview } from "../../core/changes/preview.js";
import { planHash } from "../../core/plan/gate-plan.js";
import { planCluster } from "../../core/plan/plan-cluster.js";
import type { ClusterSpecInput, Topology } from "../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../core/spec/parse.js";
import { ClusterSpecError } from "../../core/spec/spec-issue.js";
import { type Lab, labUp } from "../../tools/lab/lab.mjs";
import { labCluster } from "../../tools/lab-stack/lab-cluster.mjs";
import { LabProject } from "../../tools/lab-stack/project.mjs";
import { engineToolchain } from "./toolchain.js";

/** What the supervisor of a node says; see docs/architecture.md. */
export interface NodeStatus {
  readonly state: string;
  readonly reason: string;
  readonly ray: ProcessStatus;
  readonly serve: ProcessStatus;
  readonly failures: { readonly count: number; readonly last: Record<string, unknown> | null };
}

export interface ProcessStatus {
  readonly state: string;
  readonly hash: string | null;
  readonly epoch: number | null;
  readonly pid: number | null;
  readonly started: number | null;
}

/** What identifies the running processes of a cluster: equal before and after means "not restarted". */
export interface Running {
  readonly containers: Readonly<Record<string, string>>;
  readonly ray: Readonly<Record<string, string>>;
  readonly serve: string;
}

export interface CommandResult {
  readonly code: number;
  readonly text: string;
}

export const API_KEY = "canary-api-key-7f3a";
export const BASE_DIR = "/var/lib/vllm-cluster/lab";
export const CONTAINER = "vllm-cluster-lab";
const STACK = "lab";

/** A lab, and a stack on it, through the real CLI. */
export class LabStack {
  private constructor(
    readonly lab: Lab,
    readonly project: LabProject,
    private cluster: ClusterSpecInput,
  ) {}

  static async create(options: {
    image: "ray" | "vllm";
    profile?: "root-debian" | "sudo-user";
    nodes?: number;
    topology?: Topology;
    isFull?: boolean;
  }): Promise<LabStack> {
    const { env } = await engineToolchain();
    const { image, profile = "root-debian", nodes = 2 } = options;
    const lab = await labUp({ nodes, profile, image });
    const project = new LabProject({
      dir: mkdtempSync(join(tmpdir(), `stack-${lab.id}-`)),
      stack: STACK,
      env,
      agentSocket: lab.agentSocket,
    });
    const stack = new LabStack(lab, project, labCluster(lab, options));
    await project.init();
    await project.setApiKey(API_KEY);
    await stack.write(stack.cluster);
    return stack;
  }

  /** Changes the stack file for good. */
  async change(edit: (cluster: ClusterSpecInput) => void): Promise<void> {
    const cluster = structuredClone(this.cluster);
    edit(cluster);
    await this.replace(cluster);
  }

  /** Writes another cluster into the stack file. */
  async replace(cluster: ClusterSpecInput): Promise<void> {
    this.cluster = cluster;
    await this.write(cluster);
  }

  /** With the consent that a person would give after reading the preview. */
  private async write(cluster: ClusterSpecInput): Promise<void> {
    await this.project.setCluster(cluster);
    await this.project.setConfig("allowDowntimeFor", planHashOf(cluster));
  }

  /** Runs `work` with a changed stack file, then puts the file back. */
  async withChange<T>(
    edit: (cluster: ClusterSpecInput) => void,
    work: () => Promise<T>,
  ): Promise<T> {
    const before = this.cluster;
    await this.change(edit);
    try {
      return await work();
    } finally {
      this.cluster = before;
      await this.write(before);
    }
  }

  /** Until the next change of the stack file. */
  async withdrawConsent(): Promise<void> {
    await this.project.setConfig("allowDowntimeFor", undefined);
  }

  async pulumi(...args: string[]): Promise<CommandResult> {
    const { code, stdout, stderr } = await this.project.pulumi([...args, "--stack", STACK], {
      quiet: true,
      allowFailure: true,
    });
    return { code, text: stdout + stderr };
  }

  up(): Promise<CommandResult> {
    return this.pulumi("up", "--yes", "--skip-preview");
  }

  async mustUp(): Promise<string> {
    const { code, text } = await this.up();
    if (code !== 0)
      throw new Error(`pulumi up ended with ${code}:\n${text}\n${await this.report()}`);
    return text;
  }

  /** What `pulumi preview --json` prints. */
  async preview(): Promise<string> {
    const { code, text } = await this.pulumi("preview", "--json");
    if (code !== 0) throw new Error(text);
    return text;
  }

  async vllmCluster(...args: string[]): Promise<CommandResult> {
    const { code, stdout, stderr } = await this.project.vllmCluster([...args, "--stack", STACK], {
      quiet: true,
      allowFailure: true,
    });
    return { code, text: stdout + stderr };
  }

  async status(node = this.head): Promise<NodeStatus> {
    return JSON.parse(
      await this.lab.must(node, ["cat", `${BASE_DIR}/out/status.json`]),
    ) as NodeStatus;
  }

  get head(): string {
    return this.lab.nodes[0]!.name;
  }

  get worker(): string {
    return this.lab.nodes[1]!.name;
  }

  async running(): Promise<Running> {
    const containers: Record<string, string> = {};
    const ray: Record<string, string> = {};
    for (const { name } of this.lab.nodes) {
      const format = "{{.Id}} {{.State.StartedAt}}";
      containers[name] = (
        await this.lab.must(name, ["docker", "inspect", "--format", format, CONTAINER])
      ).trim();
      ray[name] = processIdentity((await this.status(name)).ray);
    }
    return { containers, ray, serve: processIdentity((await this.status()).serve) };
  }

  /** One completion from the operator's side of the network. */
  async complete(): Promise<string> {
    const { address } = this.lab.nodes[0]!;
    const port = this.cluster.serve.port ?? 8000;
    const response = await fetch(`http://${address}:${port}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${API_KEY}` },
      body: JSON.stringify({ model: "qwen", prompt: "the quick", max_tokens: 4, temperature: 0 }),
      signal: AbortSignal.timeout(60_000),
    });
    if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
    const body = (await response.json()) as { choices: { text: string }[] };
    return body.choices[0]!.text;
  }

  /** Successful requests by engine, as the head's `/metrics` counts them. */
  async answeredByEngine(): Promise<Readonly<Record<string, number>>> {
    const { address } = this.lab.nodes[0]!;
    const port = this.cluster.serve.port ?? 8000;
    const response = await fetch(`http://${address}:${port}/metrics`, {
      signal: AbortSignal.timeout(30_000),
    });
    const counts: Record<string, number> = {};
    const lines = (await response.text()).matchAll(
      /^vllm:request_success_total\{[^}]*engine="(\d+)"[^}]*\} (\S+)$/gm,
    );
    for (const [, engine, count] of lines) counts[engine!] = (counts[engine!] ?? 0) + Number(count);
    return counts;
  }

  /** Waits until the group is ready in a later epoch than `afterEpoch` and answers. */
  async servesAgain(afterEpoch: number, timeoutSec: number): Promise<void> {
    const deadline = Date.now() + timeoutSec * 1000;
    let last = "";
    while (Date.now() < deadline) {
      try {
        const { state, reason, serve } = await this.status();
        last = `${state}: ${reason}`;
        if (state === "ready" && (serve.epoch ?? 0) > afterEpoch) {
          await this.complete();
          return;
        }
      } catch (error) {
        last = String(error);
      }
      await sleep(500);
    }
    throw new Error(`does not serve again after ${timeoutSec} s: ${last}\n${await this.report()}`);
  }

  /** What a person would look at when a test fails. */
  async report(): Promise<string> {
    const parts = [];
    for (const { name } of this.lab.nodes) {
      const { stdout, stderr } = await this.lab
        .exec(
          name,
          `docker ps -a --format '{{.Names}} {{.Status}}'; systemctl --no-pager -n 5 status ${CONTAINER}.service; cat ${BASE_DIR}/out/status.json; tail -n 25 ${BASE_DIR}/out/log/*.log`,
        )
        .catch((error: unknown) => ({ stdout: "", stderr: String(error) }));
      parts.push(`--- ${name}\n${stdout}${stderr}`);
    }
    return parts.join("\n");
  }

  async dispose(): Promise<void> {
    await this.lab.down();
    this.project.remove();
  }
}

function processIdentity({ hash, epoch, pid, started }: ProcessStatus): string {
  return `${hash} epoch ${epoch} pid ${pid} started ${started}`;
}

/** What `vllm-ascend:allowDowntimeFor` must be; empty for a cluster that has no plan because it is not valid. */
function planHashOf(cluster: ClusterSpecInput): string {
  try {
    const owner = `organization/vllm-ascend/${STACK}`;
    return planHash(planCluster(parseClusterSpec(cluster), { owner, hasApiKey: true }));
  } catch (error) {
    if (error instanceof ClusterSpecError) return "";
    throw error;
  }
}

/** The changes of a preview as `op type::name`, sorted; resources that stay are left out. */
export function previewOps(preview: string): string[] {
  return parsePreview(preview)
    .steps.filter(({ op }) => op !== "same")
    .map(({ op, type, name }) => `${op} ${type}::${name}`)
    .sort();
}
