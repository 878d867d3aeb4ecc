import type { Check, CheckContext, Finding } from "../check.js";
import { unknownFact } from "../check.js";
import { HCCN_QUERIES } from "../hccn-tool/queries.js";
import { hccnReading, readingFinding, readTool } from "../npu-readings.js";
import { plannedPings, plannedPortsOf } from "../peer-request.js";

/** Whether the NPUs of the nodes answer each other. */
export const npuPingCheck: Check = { name: "npu-ping", needs: ["peers"], judge: judgePings };

/** Whether the hosts reach each other's ports, and with whole packets. */
export const tcpCheck: Check = { name: "tcp", needs: ["peers"], judge: judgeTcp };

function judgePings(context: CheckContext): readonly Finding[] {
  const { node, hosts, peers } = context;
  if (hosts.length < 2 || peers === undefined) return [];
  const pings = plannedPings(context, hosts, context.isFull);
  const withoutAddress = hosts
    .filter((host) => host.node.name !== node.name)
    .flatMap((host) =>
      host.node.npus
        .filter((npu) => hccnReading(host.facts, npu, "ip").value === undefined)
        .map((npu) => ({ node: host.node.name, npu })),
    );
  return [
    ...withoutAddress.map(
      (peer): Finding => ({
        code: "NPU_PING",
        result: "fail",
        detail: `NPU ${peer.npu} of ${peer.node} could not be pinged: its address is not known`,
        fix: `hccn_tool -i ${peer.npu} -ip -g on ${peer.node}`,
      }),
    ),
    ...pings.flatMap(({ npu, address, peer, isRail }) => {
      const reading = readTool(HCCN_QUERIES.ping, peers.npuPings.get(`${npu} ${address}`));
      const findings = readingFinding(
        reading,
        {
          code: isRail ? "NPU_PING" : "NPU_CROSS_PING",
          what: "the ping",
          fix: `link, address, gateway and TLS of both ends; hccn_tool -i ${npu} -ping -g address ${address}`,
          npu,
        },
        { unknown: "fail" },
      );
      return findings.map((finding) => ({
        ...finding,
        result: isRail ? finding.result : ("warn" as const),
        detail: `to NPU ${peer.npu} of ${peer.node}: ${finding.detail}`,
      }));
    }),
  ];
}

function judgeTcp(context: CheckContext): readonly Finding[] {
  const { node, hosts, peers } = context;
  if (peers === undefined) return [];
  return hosts
    .filter((host) => host.node.name !== node.name)
    .flatMap((peer) => {
      const { address } = peer.node.connection;
      const answers = plannedPortsOf(peer).map((port) => ({
        port,
        ...(peers.tcp.get(`${address} ${port}`) ?? { state: "", text: "" }),
      }));
      const blocked = answers.filter(({ state }) => ["silent", "error", "skipped"].includes(state));
      const unasked = answers.filter(({ state }) => state === "");
      const words = blocked.find(({ text }) => text !== "")?.text ?? "no answer";
      const findings: Finding[] = [];
      if (blocked.length > 0) {
        const all =
          blocked.length === answers.length
            ? "any port"
            : `ports ${blocked.map(({ port }) => port).join(", ")}`;
        findings.push({
          code: "PEER_PORT_BLOCKED",
          result: "fail",
          detail: `${all} of ${peer.node.name} (${address}) cannot be reached: ${words}`,
          fix: `allow all TCP from ${node.connection.address} in the firewall of ${peer.node.name} and between (iptables -S, nft list ruleset)`,
        });
      }
      if (unasked.length > 0) {
        findings.push(
          unknownFact(
            `ports ${unasked.map(({ port }) => port).join(", ")} of ${peer.node.name}`,
            undefined,
          ),
        );
      }
      return [...findings, ...judgePathMtu(context, peer.node.name, address)];
    });
}

/** Without ping on the host, or where ICMP is dropped, nothing is known; a small packet proves nothing either. */
function judgePathMtu({ peers }: CheckContext, name: string, address: string): readonly Finding[] {
  const fact = peers?.pathMtus.get(address);
  if (fact?.state !== "broken") return [];
  return [
    {
      code: "PEER_PATH_MTU",
      result: "warn",
      detail: `a packet of ${fact.mtu} bytes does not get to ${name} (${address}) in one piece`,
      fix: "make the MTU of hosts, switch ports and tunnels between equal",
    },
  ];
}
