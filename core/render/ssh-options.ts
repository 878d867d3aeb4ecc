/**
 * Options of OpenSSH's client for one pinned host: no file of the operator is read or written, so the same stack behaves
 * the same on every machine, and no path enters Pulumi's state.
 *
 * `KnownHostsCommand` needs OpenSSH >= 8.5. The alias makes ssh look the key up by node name, so that it does not
 * depend on how the address is written.
 */
export function pinnedSshOptions(alias: string, hostKey: string): readonly string[] {
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
  ];
}
