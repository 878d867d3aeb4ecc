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
import type { ClusterPlan } from "../../core/plan/cluster-plan.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { positiveInteger } from "../numbers.js";
import { readNodeScript } from "../package-files.js";
import { runOnNodes } from "../ssh.js";
import { addStackOptions, loadStackPlan, type StackOptions } from "../stack.js";
import { renderStatusReport } from "../status-report.js";

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
        "Exit code 0 only when it serves.",
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
      const plan = loadStackPlan(options);
      const isServing = options.watch ? await watch(plan, options) : await printOnce(plan, options);
      process.exitCode = isServing ? EXIT_OK : EXIT_FINDING;
    });
}

interface GroupStatus {
  readonly cluster: string;
  readonly verdict: GroupVerdict;
  readonly nodes: readonly NodeStatus[];
}

async function printOnce(plan: ClusterPlan, { json }: StatusOptions): Promise<boolean> {
  const status = await askNodes(plan);
  print(status, json === true);
  return status.verdict.state === "serving";
}

/** Prints when something else than a duration has changed, so that a log of it is readable. */
async function watch(plan: ClusterPlan, { json, timeout }: StatusOptions): Promise<boolean> {
  const end = Date.now() + timeout * 1000;
  let before = "";
  while (true) {
    const status = await askNodes(plan);
    const text = withoutTimes(status);
    if (text !== before) print(status, json === true);
    before = text;
    if (status.verdict.state === "serving") return true;
    if (Date.now() + WATCH_INTERVAL_MS > end) {
      process.stderr.write(`vllm-cluster: not serving after ${timeout} s\n`);
      return false;
    }
    await sleep(WATCH_INTERVAL_MS);
  }
}

async function askNodes(plan: ClusterPlan): Promise<GroupStatus> {
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
  return { cluster: plan.cluster, verdict: judgeGroup(plan, nodes), nodes };
}

function statusScript(plan: ClusterPlan): string {
  return `${readNodeScript("facts.sh")}${statusRequest(plan)}`;
}

function print(status: GroupStatus, asJson: boolean): void {
  process.stdout.write(
    asJson
      ? `${JSON.stringify(status, undefined, 2)}\n`
      : renderStatusReport(status.nodes, status.verdict),
  );
}

/** The text of a status with the durations taken out. */
function withoutTimes({ nodes, verdict }: GroupStatus): string {
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
