import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { clusterChanges } from "../../core/changes/cluster-change.js";
import { PreviewFormatError, parsePreview } from "../../core/changes/preview.js";
import { renderMarkdown, renderText, type Summary } from "../../core/changes/render-summary.js";
import { messageOf, UsageError } from "../errors.js";
import { pulumiOutput } from "../pulumi.js";

interface SummaryOptions {
  readonly stack?: string;
  readonly preview?: string;
  readonly format: "text" | "markdown" | "json";
}

/** `vllm-cluster summary`: what a preview means for those who use the cluster. */
export function addSummaryCommand(program: Command): void {
  program
    .command("summary")
    .summary("what a change restarts, for how long, and what clients see")
    .description(
      "Reads `pulumi preview --json`, or runs it, and says in three sentences what restarts in which order, how long\n" +
        "the API is out (from the last measured start), and how to get back; then the fields that differ.\n" +
        "Changes nothing and logs in to no host.",
    )
    .option("-s, --stack <name>", "the stack; without --preview its preview is run")
    .option("--preview <file>", "output of `pulumi preview --json`, or - for standard input")
    .addOption(
      new Option("--format <format>", "markdown is made for one comment that is updated in place")
        .choices(["text", "markdown", "json"])
        .default("text"),
    )
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster summary --stack qwen3-235b-ray-tp8-pp2
  pulumi preview --json > preview.json; vllm-cluster summary --preview preview.json --format markdown`,
    )
    .action(async ({ stack, preview: file, format }: SummaryOptions) => {
      const summary = summarize(
        file === undefined ? await runPreview(stackArguments(stack)) : readPreview(file),
        stack,
      );
      process.stdout.write(render(summary, format));
    });
}

function render(summary: Summary, format: SummaryOptions["format"]): string {
  switch (format) {
    case "json":
      return `${JSON.stringify(summary, undefined, 2)}\n`;
    case "markdown":
      return renderMarkdown(summary);
    case "text":
      return renderText(summary);
  }
}

/** `--stack` for pulumi, which has a default of its own. */
function stackArguments(stack: string | undefined): readonly string[] {
  return stack === undefined ? [] : ["--stack", stack];
}

/** Runs the preview of a stack; logs in to no host. */
export function runPreview(args: readonly string[]): Promise<string> {
  return pulumiOutput(["preview", "--json", ...args]);
}

/** What a preview means. @throws UsageError when the text is none */
export function summarize(text: string, stack: string | undefined): Summary {
  try {
    const preview = parsePreview(text);
    const [urn = ""] = preview.steps.map((step) => step.urn);
    return {
      stack: stack ?? /^urn:pulumi:([^:]+)::/.exec(urn)?.[1] ?? "stack",
      clusters: clusterChanges(preview),
      warnings: preview.warnings,
    };
  } catch (error) {
    if (!(error instanceof PreviewFormatError)) throw error;
    throw new UsageError(
      `this is not the output of \`pulumi preview --json\` (${error.message}); errors of a preview go to standard error, look there`,
    );
  }
}

function readPreview(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${messageOf(error)}`);
  }
}
