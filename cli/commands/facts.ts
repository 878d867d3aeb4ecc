import { text } from "node:stream/consumers";
import { type Command, Option } from "commander";
import { reportTool, TOOLS, type ToolName, type ToolReport } from "../../core/facts/tools.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";

interface FactsOptions {
  readonly tool: ToolName;
  readonly query: string;
  readonly json?: true;
}

/** `vllm-cluster facts`: what one output of `hccn_tool` or `npu-smi` says, read from standard input. */
export function addFactsCommand(program: Command): void {
  program
    .command("facts")
    .summary("read an output of hccn_tool or npu-smi from standard input")
    .description(
      "Reads the output of one query of a driver tool, or of a loop over NPUs, from standard input and says what it means.\n" +
        "What cannot be understood is unknown, with the text itself, and never a pass. Exit code 1 when the verdict is unknown.",
    )
    .addOption(
      new Option("--tool <name>", "the tool").choices(Object.keys(TOOLS)).makeOptionMandatory(),
    )
    .requiredOption("--query <query>", "what it was asked, e.g. link for `hccn_tool -i 0 -link -g`")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
Queries:
${Object.entries(TOOLS)
  .map(([tool, queries]) => `  ${tool}: ${Object.keys(queries).join(" ")}`)
  .join("\n")}

Examples:
  hccn_tool -i 0 -link -g | vllm-cluster facts --tool hccn_tool --query link
  for i in {0..7}; do hccn_tool -i $i -tls -g; done | vllm-cluster facts --tool hccn_tool --query tls --json
  npu-smi info | vllm-cluster facts --tool npu-smi --query info --json | jq '.readings[0].value.chips'`,
    )
    .action(async ({ tool, query, json }: FactsOptions) => {
      const known = Object.keys(TOOLS[tool]);
      if (!known.includes(query)) {
        throw new UsageError(`${tool} has no query "${query}"; known: ${known.join(", ")}`);
      }
      if (process.stdin.isTTY) {
        throw new UsageError("nothing to read: pipe the output of the tool into this command");
      }
      const report = reportTool(tool, query, await text(process.stdin), {
        nowSec: Math.floor(Date.now() / 1000),
      });
      process.stdout.write(json ? `${JSON.stringify(report, undefined, 2)}\n` : render(report));
      process.exitCode = report.verdict === "unknown" ? EXIT_FINDING : EXIT_OK;
    });
}

function render({ verdict, detail, readings }: ToolReport): string {
  const lines = readings.map((reading) => `${reading.verdict}: ${reading.detail}`);
  return `${[...(readings.length > 1 ? lines : []), `${verdict}: ${detail}`].join("\n")}\n`;
}
