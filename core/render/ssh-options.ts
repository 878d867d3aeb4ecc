import type { BastionPlan } from "../plan/cluster-plan.js";
import { shellJoin } from "./quote.js";

/**
 * Options of OpenSSH's client for one pinned host: no file of the operator is read or written, so the same stack behaves
 * the same on every machine, and no path enters Pulumi's state.
 *
 * `KnownHostsCommand` needs OpenSSH >= 8.5. The alias makes ssh look the key up by node name, so that it does not
 * depend on how the address is written.
 */
export function pinnedSshOptions(
  alias: string,
  { hostKey, bastion }: { readonly hostKey: string; readonly bastion?: BastionPlan | undefined },
): readonly string[] {
  const [type = ""] = hostKey.split(" ");
  const option = (text: string) => ["-o", text];
  return [
    "-F",
    "none",
    ...option("BatchMode=yes"),
    // Keys of the agent only, as in Pulumi's own connections: a key file of one operator would hide that another has none.
    ...option("IdentityFile=none"),
    ...option("StrictHostKeyChecking=yes"),
    ...option("UserKnownHostsFile=none"),
    ...option("GlobalKnownHostsFile=none"),
    ...option(`HostKeyAlias=${alias}`),
    ...option(`HostKeyAlgorithms=${type}`),
    ...option(`KnownHostsCommand=/bin/echo ${alias} ${hostKey}`),
    ...(bastion === undefined ? [] : option(`ProxyCommand=${bastionCommand(bastion)}`)),
  ];
}

/**
 * Not `-J`: its hop reads the operator's files and knows no pins. The command is a line of shell, in which ssh replaces `%h` and `%p`;
 * no other word of it has a percent sign.
 */
function bastionCommand(bastion: BastionPlan): string {
  return shellJoin([
    "ssh",
    ...pinnedSshOptions("bastion", { hostKey: bastion.hostKey }),
    ...["-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"],
    ...["-l", bastion.user, "-p", String(bastion.port), "-W", "%h:%p", bastion.address],
  ]);
}
