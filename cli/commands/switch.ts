import type { Command } from "commander";
import { shellQuote } from "../../core/render/quote.js";
import { StepError } from "../errors.js";
import { linePrinter } from "../prefixed-lines.js";
import { runOnNode } from "../ssh.js";
import { addStackOptions, loadStackPlan, type StackOptions } from "../stack.js";

/** `vllm-cluster stop` and `vllm-cluster start`: the operator's switch, which survives reboots. */
export function addSwitchCommands(program: Command): void {
  addSwitch(program, {
    name: "stop",
    state: "stopped",
    summary: "stop Ray and vllm serve on all nodes; holds over reboots",
    description:
      "Drains and stops vllm serve and Ray on all nodes. The containers stay. Holds until `vllm-cluster start`, also over\n" +
      "reboots. Pulumi's state does not change.",
  });
  addSwitch(program, {
    name: "start",
    state: "running",
    summary: "start what was stopped, or what gave up after failures",
    description:
      "Starts Ray and vllm serve again after `vllm-cluster stop`, or after the group gave up (`down`).",
  });
}

interface Switch {
  readonly name: string;
  readonly state: "running" | "stopped";
  readonly summary: string;
  readonly description: string;
}

function addSwitch(program: Command, { name, state, summary, description }: Switch): void {
  addStackOptions(program.command(name))
    .summary(summary)
    .description(description)
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster ${name} --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster status --stack qwen3-235b-ray-tp8-pp2 --watch`,
    )
    .action(async (options: StackOptions) => {
      const plan = loadStackPlan(
        options,
        `set replicas: ${state === "stopped" ? 0 : 1} below vllm-ascend:gpustack, and \`pulumi up\``,
      );
      const head = plan.nodes[0]!;
      // The supervisor gives up after twice the stop grace; what is added here only ends what hangs.
      const waitSec = 2 * head.container.stopGraceSec;
      const progress = linePrinter("");
      const { code, stderr, failure } = await runOnNode(head, {
        text: switchScript(plan.containerName, state, waitSec),
        as: "root",
        deadlineSec: waitSec + 60,
        onOutput: progress.write,
      });
      progress.end();
      if (failure !== undefined) {
        throw new StepError(`${head.name}, ${name}: ${failure.cause}\nnext: ${failure.next}`);
      }
      if (code !== 0) {
        const reason = stderr.trim().split("\n").at(-1) || `exit code ${code}, see above`;
        throw new StepError(
          `${head.name}, ${name}: ${reason}\nnext: vllm-cluster status --stack ${options.stack ?? "<name>"}`,
        );
      }
    });
}

/** The switch is on the head: its supervisor decides for the group. */
function switchScript(container: string, state: Switch["state"], waitSec: number): string {
  return `main() {
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
container=${shellQuote(container)}
running=$(timeout -k 2 20 docker container inspect --format '{{.State.Running}}' "$container" 2>&1 </dev/null) || { echo "$running" >&2; exit 1; }
if [ "$running" != true ]; then echo "container $container does not run" >&2; exit 1; fi
timeout -k 5 ${waitSec + 30} docker exec "$container" python3 /vllm-cluster/in/supervisor set ${state} 2>&1 </dev/null
}
main
`;
}
