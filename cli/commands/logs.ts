import { type Command, Option } from "commander";
import type { ClusterPlan, NodePlan } from "../../core/plan/cluster-plan.js";
import { shellQuote } from "../../core/render/quote.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { positiveInteger } from "../numbers.js";
import { linePrinter } from "../prefixed-lines.js";
import { type NodeRun, runOnNodes } from "../ssh.js";
import { addStackOptions, loadStackPlan, type StackOptions, selectNodes } from "../stack.js";

interface LogsOptions extends StackOptions {
  readonly node?: string;
  readonly process: "ray" | "serve" | "supervisor";
  readonly lines: number;
  readonly follow?: true;
}

/** `vllm-cluster logs`: what Ray, serve or the supervisor have printed. */
export function addLogsCommand(program: Command): void {
  addStackOptions(program.command("logs"))
    .summary("what Ray, vllm serve or the supervisor have printed")
    .description(
      "Prints the last lines of a process on each node. With several nodes each line begins with the node's name.",
    )
    .option("-n, --node <name>", "this node only")
    .addOption(
      new Option("-p, --process <name>", "whose output")
        .choices(["ray", "serve", "supervisor"])
        .default("serve"),
    )
    .option("--lines <count>", "how many lines of the past", positiveInteger, 100)
    .option("-f, --follow", "go on printing until Ctrl-C")
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster logs --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster logs --stack qwen3-235b-ray-tp8-pp2 --process supervisor --node node1 --lines 500
  vllm-cluster logs --stack qwen3-235b-ray-tp8-pp2 --process ray --follow`,
    )
    .action(async (options: LogsOptions) => {
      const plan = loadStackPlan(
        options,
        "its page of the deployment shows the logs of each instance",
      );
      const nodes = selectNodes(plan, options.node).filter(
        (node) => options.node !== undefined || hasProcess(node, options.process),
      );
      const printers = nodes.map(({ name }) => linePrinter(nodes.length > 1 ? `${name} | ` : ""));
      const runs = await runOnNodes(
        nodes.map((node, index) => ({ ...node, printer: printers[index]! })),
        ({ printer }) => ({
          text: tailScript(plan, options),
          as: "root",
          deadlineSec: options.follow ? FOLLOW_DEADLINE_SEC : 60,
          onOutput: printer.write,
        }),
      );
      for (const printer of printers) printer.end();
      const troubles = runs.flatMap((run) => troubleOf(run, options.process));
      for (const trouble of troubles) process.stderr.write(`vllm-cluster: ${trouble}\n`);
      process.exitCode = troubles.length === 0 ? EXIT_OK : EXIT_FINDING;
    });
}

/** Members under Ray run no `vllm serve`, and other topologies no Ray; who names such a node is told that it has printed nothing. */
function hasProcess({ releases }: NodePlan, name: LogsOptions["process"]): boolean {
  return name === "supervisor" || (releases[name]?.command ?? null) !== null;
}

/**
 * `--follow=name` goes on over the rotation of the log; tail ends by itself when the connection is gone.
 */
function tailScript(plan: ClusterPlan, { process, lines, follow }: LogsOptions): string {
  const file = shellQuote(`${plan.baseDir}/out/log/${process}.log`);
  const tail = follow
    ? `exec tail --lines=${lines} --follow=name --retry -- "$file" 2>/dev/null`
    : `exec tail --lines=${lines} -- "$file"`;
  return `main() {
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
file=${file}
if [ ! -d ${shellQuote(plan.baseDir)} ]; then echo "the cluster was never staged on this host" >&2; exit 3; fi
if [ ! -e "$file" ]; then echo "nothing printed yet: $file is not there" >&2; exit 4; fi
${tail} </dev/null
}
main
`;
}

function troubleOf({ node, code, stderr, failure }: NodeRun, name: string): string[] {
  if (failure !== undefined) return [`${node}, logs: ${failure.cause}\nnext: ${failure.next}`];
  if (code === 0) return [];
  const reason = stderr.trim().split("\n").at(-1) ?? `exit code ${code}`;
  const next =
    code === NEVER_STAGED
      ? "run `pulumi up`, or name another stack"
      : "run `vllm-cluster status`: it tells whether the process runs on this node";
  return [`${node}, ${name}: ${reason}\nnext: ${next}`];
}

const NEVER_STAGED = 3;
/** A day: a forgotten terminal must not keep a connection for ever. */
const FOLLOW_DEADLINE_SEC = 86_400;
