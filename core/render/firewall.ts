import type { ClusterPlan, NodePlan } from "../plan/cluster-plan.js";

/** Who else than the nodes may use the API: IPv4 addresses or networks, e.g. `10.1.0.0/16`. */
export interface FirewallOptions {
  readonly clients: readonly string[];
}

/**
 * The nftables rules of one node, as a file for `nft -f`. They close what the cluster listens on to everybody but its nodes: the
 * planned ports, those of HCCL, and the kernel's range for sockets without a fixed port, because PyTorch's TCPStore listens there on all
 * interfaces (vLLM docs `usage/security.md`). The API is open to the nodes and to `clients`. All other ports stay as they are.
 */
export function renderFirewall(
  plan: ClusterPlan,
  node: NodePlan,
  { clients }: FirewallOptions,
): string {
  const table = `vllm_cluster_${plan.cluster.replaceAll("-", "_")}`;
  const api = node.ports.filter(({ path }) => path === "serve.port");
  const closed = joined([...node.ports, ...HCCL_PORTS, EPHEMERAL_PORTS]);
  const ssh = node.connection.port;
  const opened = [
    ...(closed.some((range) => ssh >= range.first && ssh <= range.last)
      ? [`tcp dport ${ssh} accept comment "sshd"`]
      : []),
    ...(clients.length === 0
      ? []
      : api.map(
          ({ first }) =>
            `ip saddr { ${clients.join(", ")} } tcp dport ${first} accept comment "clients of the API"`,
        )),
  ];
  const peers = plan.nodes.map(({ connection }) => connection.address);
  return `# Node ${node.name} of cluster ${plan.cluster}: what only the cluster's nodes may reach.
# Try it with \`nft -c -f <file>\`, load it with \`nft -f <file>\`; rules of the host that accept such a packet do not undo it.
# Remove it with \`nft delete table inet ${table}\`.
table inet ${table}
delete table inet ${table}
table inet ${table} {
  chain input {
    type filter hook input priority filter; policy accept;
    ct state established,related accept
    iif lo accept
    ip saddr { ${peers.join(", ")} } accept comment "nodes of the cluster"
${opened.map((rule) => `    ${rule}\n`).join("")}    tcp dport { ${closed.map(rangeText).join(", ")} } drop
  }
}
`;
}

interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** HCCL's own (HCCL docs `HCCL_IF_BASE_PORT.md`). */
const HCCL_PORTS: readonly PortRange[] = [
  { first: 16_666, last: 16_666 },
  { first: 60_000, last: 60_031 },
];

/** From the default of `net.ipv4.ip_local_port_range` on. */
const EPHEMERAL_PORTS: PortRange = { first: 32_768, last: 65_535 };

/** Sorted, without overlaps: nftables refuses a set in which intervals overlap. */
function joined(ranges: readonly PortRange[]): readonly PortRange[] {
  const result: PortRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = result.at(-1);
    if (before !== undefined && range.first <= before.last + 1) {
      result[result.length - 1] = {
        first: before.first,
        last: Math.max(before.last, range.last),
      };
    } else {
      result.push({ first: range.first, last: range.last });
    }
  }
  return result;
}

function rangeText({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}-${last}`;
}
