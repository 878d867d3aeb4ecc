import type { Command } from "commander";
import {
  type Deployment,
  HistoryFormatError,
  parseHistory,
} from "../../core/history/deployments.js";
import { planHash } from "../../core/plan/gate-plan.js";
import { StepError } from "../errors.js";
import { pulumiOutput } from "../pulumi.js";
import { addStackOptions, type LoadedStack, loadStack, type StackOptions } from "../stack.js";
import { durationText } from "../status-report.js";
import { textTable } from "../text-table.js";

interface HistoryOptions extends StackOptions {
  readonly json?: true;
}

/** `vllm-cluster history`: what was deployed when, and how it ended. */
export function addHistoryCommand(program: Command): void {
  addStackOptions(program.command("history"))
    .summary("what was deployed when, and how it ended")
    .description(
      "Reads the engine's own history of the stack (`pulumi stack history`) and says which plan and which release each\n" +
        "update made serve; the newest first. Hashes are those that this version of the package makes of the\n" +
        "stack file as it was then. Logs in to no host.",
    )
    .option("--json", "print all of it as JSON, with the cluster of each update")
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster history --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster history --stack qwen3-235b-ray-tp8-pp2 --json | jq '.[0].cluster.serve'`,
    )
    .action(async (options: HistoryOptions) => {
      const stack = loadStack(options);
      const history = await readHistory(stack);
      process.stdout.write(
        options.json
          ? `${JSON.stringify(history, undefined, 2)}\n`
          : renderHistory(history, planHash(stack.plan)),
      );
    });
}

/** @throws StepError with what pulumi said */
export async function readHistory({ name, namespace, owner }: LoadedStack): Promise<Deployment[]> {
  const args = ["stack", "history", "--json", "--page-size", "1000", "--stack", name];
  const text = await pulumiOutput(args);
  try {
    return parseHistory(text, { namespace, owner });
  } catch (error) {
    if (!(error instanceof HistoryFormatError)) throw error;
    throw new StepError(`pulumi ${args.join(" ")} printed something else: ${error.message}`);
  }
}

/** One line per update; `*` marks the plan of the stack file as it is now. */
export function renderHistory(history: readonly Deployment[], current: string): string {
  if (history.length === 0) return "nothing was deployed yet\n";
  const rows = history.map((update) => [
    String(update.number),
    update.startedAt.replace(/\.\d+/, ""),
    update.durationSec === undefined ? "-" : durationText(update.durationSec),
    update.kind,
    update.result,
    `${update.plan ?? "-"}${update.plan === current ? " *" : ""}`,
    update.release ?? "-",
    Object.entries(update.changes)
      .map(([op, count]) => `${count} ${op}`)
      .join(", ") || "-",
    update.gitHead?.slice(0, 12) ?? "-",
  ]);
  const head = [
    "#",
    "started",
    "took",
    "kind",
    "result",
    "plan",
    "serve release",
    "resources",
    "git",
  ];
  return `${textTable([head, ...rows])}\n`;
}
