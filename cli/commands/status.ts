import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { statusRequest } from "../../core/facts/facts-request.js";
import {
  type GroupVerdict,
  judgeGroup,
  type NodeStatus,
  readNodeStatus,
} from "../../core/facts/group-status.js";
import { parseHostFacts } from "../../core/facts/host-facts.js";
import type { GpustackPlan } from "../../core/gpustack/cluster.js";
import { gpustackStatus } from "../../core/gpustack/status.js";
import type { ClusterPlan } from "../../core/plan/cluster-plan.js";
import type { GpustackApi } from "../../provider/gpustack-api.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { fromServer, gpustackOfStack } from "../gpustack-connection.js";
import { positiveInteger } from "../numbers.js";
import { readNodeScript } from "../package-files.js";
import { runOnNodes } from "../ssh.js";
import { addStackOptions, type LoadedStack, loadStack, type StackOptions } from "../stack.js";
import { renderGpustackStatus, renderStatusReport } from "../status-report.js";

interface StatusOptions extends StackOptions {
  readonly json?: true;
  readonly watch?: true;
  readonly timeout: number;
}

/** `vllm-cluster status`: what each node runs, and whether the cluster serves. */
export function addStatusCommand(program: Command): void {
  addStackOptions(program.command("status"))
    .summary("what each node runs, and whether the cluster serves")
    .description(
      "Asks every node for its container and its supervisor's status, and says whether the cluster serves.\n" +
        "Of a stack that is deployed through GPUStack it asks the server. Exit code 0 only when it serves.",
    )
    .option("--json", "print the result as JSON")
    .option("-w, --watch", "ask every 2 s until the cluster serves; prints what changes")
    .option("--timeout <seconds>", "how long to watch", positiveInteger, 7200)
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster status --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster status --stack qwen3-235b-ray-tp8-pp2 --watch --timeout 1800
  vllm-cluster status --stack qwen3-235b-ray-tp8-pp2 --json | jq -r .verdict.state`,
    )
    .action(async (options: StatusOptions) => {
      const ask = statusQuestion(loadStack(options));
      const isServing = options.watch ? await watch(ask, options) : await printOnce(ask, options);
      process.exitCode = isServing ? EXIT_OK : EXIT_FINDING;
    });
}

/** What is known of a group, in the form in which it is deployed. */
interface Answer {
  readonly isServing: boolean;
  readonly json: object;
  readonly report: string;
  /** Without durations: another one is worth printing again. */
  readonly still: string;
}

type Question = () => Promise<Answer>;

function statusQuestion(stack: LoadedStack): Question {
  const { plan, gpustack } = stack;
  if (gpustack === undefined) return () => askNodes(plan);
  const api = gpustackOfStack(stack);
  return () => askGpustack(gpustack.plan, api);
}

async function printOnce(ask: Question, { json }: StatusOptions): Promise<boolean> {
  const answer = await ask();
  print(answer, json === true);
  return answer.isServing;
}

/** Prints when something else than a duration has changed, so that a log of it is readable. */
async function watch(ask: Question, { json, timeout }: StatusOptions): Promise<boolean> {
  const end = Date.now() + timeout * 1000;
  let before = "";
  while (true) {
    const answer = await ask();
    if (answer.still !== before) print(answer, json === true);
    before = answer.still;
    if (answer.isServing) return true;
    if (Date.now() + WATCH_INTERVAL_MS > end) {
      process.stderr.write(`vllm-cluster: not serving after ${timeout} s\n`);
      return false;
    }
    await sleep(WATCH_INTERVAL_MS);
  }
}

async function askGpustack(plan: GpustackPlan, api: GpustackApi): Promise<Answer> {
  const [models, instances, workers] = await fromServer(() =>
    Promise.all([api.models(), api.instances(), api.workers()]),
  );
  const status = gpustackStatus(plan, { models, instances, workers });
  return {
    isServing: status.verdict.state === "serving",
    json: { cluster: plan.cluster, ...status },
    report: renderGpustackStatus(status.deployments, status.verdict),
    still: JSON.stringify(status),
  };
}

async function askNodes(plan: ClusterPlan): Promise<Answer> {
  const targets = plan.nodes.map((node) => ({ ...node, text: statusScript(plan) }));
  const runs = await runOnNodes(targets, ({ text }) => ({
    text,
    as: "login",
    deadlineSec: STATUS_DEADLINE_SEC,
  }));
  const nodes = plan.nodes.map((node, index) => {
    const { stdout, failure } = runs[index]!;
    return readNodeStatus(
      plan,
      node,
      failure === undefined ? { facts: parseHostFacts(stdout) } : { failure },
    );
  });
  const verdict = judgeGroup(plan, nodes);
  return {
    isServing: verdict.state === "serving",
    json: { cluster: plan.cluster, verdict, nodes },
    report: renderStatusReport(nodes, verdict),
    still: withoutTimes(nodes, verdict),
  };
}

function statusScript(plan: ClusterPlan): string {
  return `${readNodeScript("facts.sh")}${statusRequest(plan)}`;
}

function print({ json, report }: Answer, asJson: boolean): void {
  process.stdout.write(asJson ? `${JSON.stringify(json, undefined, 2)}\n` : report);
}

/** The text of a status with the durations taken out. */
function withoutTimes(nodes: readonly NodeStatus[], verdict: GroupVerdict): string {
  const still = nodes.map(({ clockSec: _, supervisor, ...node }) => ({
    ...node,
    state: supervisor?.state,
    reason: supervisor?.reason,
    ray: supervisor?.ray.state,
    serve: supervisor?.serve.state,
  }));
  return JSON.stringify([still, verdict]).replaceAll(/\d+(\.\d+)? s\b/g, "");
}

const STATUS_DEADLINE_SEC = 60;
const WATCH_INTERVAL_MS = 2000;
