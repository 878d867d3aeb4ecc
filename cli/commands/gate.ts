import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { gateRequest } from "../../core/facts/facts-request.js";
import { parseHostFacts } from "../../core/facts/host-facts.js";
import { type HostReport, judgeGate } from "../../core/facts/judge-gate.js";
import { parseGatePlan } from "../../core/facts/parse-gate-plan.js";
import { type GatePlan, gatePlan } from "../../core/plan/gate-plan.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { renderGateReport } from "../gate-report.js";
import { readNodeScript } from "../package-files.js";
import { type NodeRun, runOnNodes } from "../ssh.js";
import { addStackOptions, loadStackPlan, type StackOptions } from "../stack.js";

interface GateOptions extends StackOptions {
  readonly json?: true;
}

/** `vllm-cluster gate`: checks all hosts at once and touches nothing. */
export function addGateCommand(program: Command): void {
  addStackOptions(program.command("gate"))
    .summary("check all hosts before anything starts; changes nothing")
    .description(
      "Checks on all hosts at once what must be true before anything starts, and changes nothing.\n" +
        "Prints one table on standard error; exit code 1 when a host fails. Codes: docs/preflight.md",
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
      const runs = await runOnNodes(plan.nodes, (node) => ({
        text: `${readNodeScript("facts.sh")}${gateRequest(plan, node)}`,
        // The script becomes root by itself, because it also checks what the login user can do.
        as: "login",
        deadlineSec: GATE_DEADLINE_SEC,
      }));
      const result = judgeGate(plan, runs.map(hostReport));
      process.stderr.write(renderGateReport(result));
      if (options.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
      process.exitCode = result.isPassed ? EXIT_OK : EXIT_FINDING;
    });
}

async function readPlan(options: GateOptions): Promise<GatePlan> {
  if (options.stack !== undefined || options.file !== undefined) {
    return gatePlan(loadStackPlan(options));
  }
  if (process.stdin.isTTY) {
    throw new UsageError("nothing to check: add --stack <name>, or give a plan on standard input");
  }
  const input = await text(process.stdin);
  try {
    return parseGatePlan(JSON.parse(input));
  } catch (error) {
    throw new UsageError(
      `the plan on standard input cannot be used: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function hostReport({ stdout, stderr, failure }: NodeRun): HostReport {
  return {
    stderr,
    ...(failure === undefined ? { facts: parseHostFacts(stdout) } : { failure }),
  };
}

/** Connection, and every probe at its own limit: a few minutes only on a host where nearly everything hangs. */
const GATE_DEADLINE_SEC = 180;
