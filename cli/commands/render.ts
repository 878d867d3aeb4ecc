import type { Command } from "commander";
import { renderGpustack } from "../../core/gpustack/render.js";
import { clusterCommands, renderNodeCommands } from "../../core/render/commands.js";
import { addStackOptions, loadStack, type StackOptions, selectNodes } from "../stack.js";

interface RenderOptions extends StackOptions {
  readonly node?: string;
  readonly json?: true;
}

/** `vllm-cluster render`: the commands behind a stack, without engine and without SSH. */
export function addRenderCommand(program: Command): void {
  addStackOptions(program.command("render"))
    .summary("the commands behind a stack, as a person would type them")
    .description(
      "Prints what runs on each node as the commands that a person would type: ssh, docker run, the environment,\n" +
        "ray start, vllm serve. Needs no login, no host and no passphrase, and prints no secret. Of a stack that is\n" +
        "deployed through GPUStack it prints what goes into GPUStack's forms; --json prints all deployments.",
    )
    .option("-n, --node <name>", "this node only")
    .option("--json", "print argument vectors as JSON")
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster render --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster render --stack qwen3-235b-ray-tp8-pp2 --node node1
  vllm-cluster render --stack qwen3-235b-ray-tp8-pp2 --json | jq -r '.[0].serve[]'`,
    )
    .action((options: RenderOptions) => {
      const { plan, gpustack } = loadStack(options);
      const names = new Set(selectNodes(plan, options.node).map(({ name }) => name));
      if (gpustack !== undefined) {
        const { version, group, secretEnv } = gpustack.plan;
        process.stdout.write(
          options.json
            ? `${JSON.stringify({ version, group, secretEnv }, undefined, 2)}\n`
            : renderGpustack(gpustack.plan, names),
        );
        return;
      }
      const commands = clusterCommands(plan).filter(({ node }) => names.has(node));
      process.stdout.write(
        options.json
          ? `${JSON.stringify(commands, undefined, 2)}\n`
          : commands.map((node) => renderNodeCommands(plan, node)).join("\n\n"),
      );
    });
}
