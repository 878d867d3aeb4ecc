import type { Command } from "commander";
import { blockingFindings, lintCluster } from "../../core/lint/lint-cluster.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { renderLintReport } from "../lint-report.js";
import { addStackOptions, loadStack, type StackOptions } from "../stack.js";

interface LintOptions extends StackOptions {
  readonly json?: true;
}

/** `vllm-cluster lint`: what a valid stack file should not have, without engine and without SSH. */
export function addLintCommand(program: Command): void {
  addStackOptions(program.command("lint"))
    .summary("what a valid stack file should not have, with codes and sources")
    .description(
      "Checks a stack file against what is known upstream to fail, to be slow or to be open to others. Asks no host.\n" +
        "Every code is explained in docs/lint.md. Exit code 1 when an error is not accepted by the stack.",
    )
    .option("--json", "print the findings as JSON")
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster lint --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster lint --stack qwen3-235b-ray-tp8-pp2 --json | jq -r '.[] | select(.level == "error") | .code'`,
    )
    .action((options: LintOptions) => {
      const { spec, hasApiKey, gpustack } = loadStack(options);
      // GPUStack guards its API with keys of its own.
      const findings = lintCluster(spec, { hasApiKey: hasApiKey || gpustack !== undefined });
      process.stdout.write(
        options.json ? `${JSON.stringify(findings, undefined, 2)}\n` : renderLintReport(findings),
      );
      process.exitCode = blockingFindings(findings).length > 0 ? EXIT_FINDING : EXIT_OK;
    });
}
