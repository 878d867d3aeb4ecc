import { isIP } from "node:net";
import type { Command } from "commander";
import { renderFirewall } from "../../core/render/firewall.js";
import { UsageError } from "../errors.js";
import { addStackOptions, loadStackPlan, type StackOptions, selectNodes } from "../stack.js";

interface FirewallCommandOptions extends StackOptions {
  readonly node?: string;
  readonly client: readonly string[];
}

/** `vllm-cluster firewall`: nftables rules from the plan; nothing is applied. */
export function addFirewallCommand(program: Command): void {
  addStackOptions(program.command("firewall"))
    .summary("nftables rules that close the cluster's ports to all but its nodes")
    .description(
      "Prints the rules of each node; applies nothing and asks no host. The API's port is open to the nodes and to --client.",
    )
    .option("-n, --node <name>", "this node only")
    .option(
      "--client <network>",
      "may use the API: an IPv4 address or network; may be repeated",
      (value: string, all: readonly string[]) => [...all, network(value)],
      [],
    )
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster firewall --stack prod --client 10.1.0.0/16
  vllm-cluster firewall --stack prod --node node1 --client 10.1.0.0/16 | ssh root@10.0.0.12 nft -c -f -`,
    )
    .action((options: FirewallCommandOptions) => {
      const plan = loadStackPlan(options, "GPUStack documents the ports of its workers");
      const rules = selectNodes(plan, options.node).map((node) =>
        renderFirewall(plan, node, { clients: options.client }),
      );
      process.stdout.write(rules.join("\n"));
    });
}

function network(text: string): string {
  const [address = "", prefix, ...rest] = text.split("/");
  const isPrefix = prefix === undefined || (/^\d{1,2}$/.test(prefix) && Number(prefix) <= 32);
  if (isIP(address) === 4 && isPrefix && rest.length === 0) return text;
  throw new UsageError(
    `--client must be an IPv4 address or network such as 10.1.0.0/16, got "${text}"`,
  );
}
