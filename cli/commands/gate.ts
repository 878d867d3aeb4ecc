import type { Command } from "commander";
import { parseGatePlan } from "../../core/facts/parse-gate-plan.js";
import { timeBudget } from "../../core/facts/peer-request.js";
import type { GatePlan } from "../../core/plan/gate-plan.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { refuseExpired } from "../expired.js";
import { renderGateReport, renderTimeBudget } from "../gate-report.js";
import { planFromInput } from "../plan-input.js";
import { runGate } from "../run-gate.js";
import { addStackOptions, loadGatePlan, type StackOptions } from "../stack.js";

interface GateOptions extends StackOptions {
  readonly json?: true;
  readonly full?: true;
}

/** `vllm-cluster gate`: checks all hosts at once and touches nothing. */
export function addGateCommand(program: Command): void {
  addStackOptions(program.command("gate"))
    .summary("check all hosts before anything starts; changes nothing")
    .description(
      "Checks on all hosts at once what must be true before anything starts, and changes nothing.\n" +
        "Prints one table on standard error; exit code 1 when a host fails. Codes: docs/preflight.md",
    )
    .option(
      "--full",
      "ping every NPU of every other node from every NPU, not only its counterparts",
    )
    .option("--json", "print the result as JSON on standard output")
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster gate --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster gate --stack qwen3-235b-ray-tp8-pp2 --json | jq '.findings[].code'
  vllm-cluster gate <plan.json          what \`pulumi up\` does, with the plan on standard input`,
    )
    .action(async (options: GateOptions) => {
      const plan = await readPlan(options);
      refuseExpired(plan.accept);
      const isFull = options.full === true;
      process.stderr.write(renderTimeBudget(timeBudget(plan, isFull)));
      const { result, times } = await runGate(plan, { isFull });
      process.stderr.write(renderGateReport(result));
      if (options.json)
        process.stdout.write(`${JSON.stringify({ ...result, times }, undefined, 2)}\n`);
      process.exitCode = result.isPassed ? EXIT_OK : EXIT_FINDING;
    });
}

function readPlan(options: GateOptions): Promise<GatePlan> | GatePlan {
  if (options.stack !== undefined || options.file !== undefined) {
    return loadGatePlan(options);
  }
  return planFromInput(parseGatePlan);
}
