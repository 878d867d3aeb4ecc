import type { Command } from "commander";
import { parseSmokePlan } from "../../core/smoke/parse-smoke-plan.js";
import { type SmokePlan, smokePlan } from "../../core/smoke/smoke-plan.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { refuseExpired } from "../expired.js";
import { planFromInput } from "../plan-input.js";
import { runSmoke } from "../run-smoke.js";
import { renderSmokeReport } from "../smoke-report.js";
import { addStackOptions, loadStackPlan, type StackOptions } from "../stack.js";

interface SmokeOptions extends StackOptions {
  readonly json?: true;
}

/** `vllm-cluster smoke`: tries NPUs and network in the planned containers, without weights. */
export function addSmokeCommand(program: Command): void {
  addStackOptions(program.command("smoke"))
    .summary("try NPUs and network in the planned containers, without weights")
    .description(
      "In the planned container of every node, with the planned environment: threads, import of vLLM and its device plugin, a matrix\n" +
        "product per NPU, all-reduce and all-to-all in nodes, between nodes and over all ranks. Stops nothing: while the group serves, NPUs\n" +
        "are left out. Before the first `pulumi up` the image must be on the nodes. Exit code 1 when something fails.",
    )
    .option("--json", "print the result as JSON on standard output")
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster smoke --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster smoke <plan.json         what \`pulumi up\` does: not run when the same has passed`,
    )
    .action(async (options: SmokeOptions) => {
      const isForced = options.stack !== undefined || options.file !== undefined;
      const plan = isForced
        ? smokePlan(
            loadStackPlan(
              options,
              "the containers are GPUStack's; vllm-cluster gate checks its workers",
            ),
          )
        : await planFromInput(parseSmokePlan);
      refuseExpired(plan.accept);
      process.stderr.write(announcement(plan));
      const result = await runSmoke(plan, { isForced });
      process.stderr.write(renderSmokeReport(result));
      if (options.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
      process.exitCode = result.isPassed ? EXIT_OK : EXIT_FINDING;
    });
}

function announcement({ nodes, limitSec }: SmokePlan): string {
  const ranks = nodes.reduce((sum, node) => sum + node.ranks.length, 0);
  return `smoke run on ${nodes.length} ${nodes.length === 1 ? "node" : "nodes"}, ${ranks} ${ranks === 1 ? "rank" : "ranks"}: at most ${limitSec} s\n`;
}
