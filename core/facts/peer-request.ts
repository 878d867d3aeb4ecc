import { hardwareSeries } from "../hardware/series.js";
import type { GatePlan } from "../plan/gate-plan.js";
import type { KnownHost } from "./check.js";
import { nodeMtu } from "./checks/network.js";
import { renderRequest } from "./facts-request.js";
import { hccnReading } from "./npu-readings.js";

/** One ping from an NPU of this host. */
export interface PlannedPing {
  readonly npu: number;
  readonly address: string;
  /** Who has the address. */
  readonly peer: { readonly node: string; readonly npu: number };
  /** Between the same places of two nodes: what every layout needs. */
  readonly isRail: boolean;
}

/**
 * Which NPUs a host pings: on every other node the one in the same place of its list, and one of the next node that is one place further
 * as a sample of what all-to-all needs; with `isFull` every NPU of every other node. Both directions come from both hosts.
 */
export function plannedPings(
  host: KnownHost,
  hosts: readonly KnownHost[],
  isFull: boolean,
): readonly PlannedPing[] {
  const own = hosts.findIndex(({ node }) => node.name === host.node.name);
  return host.node.npus.flatMap((npu, place) =>
    hosts.flatMap((other, index) => {
      if (index === own) return [];
      const count = other.node.npus.length;
      const rail = place % count;
      const isNext = index === (own + 1) % hosts.length;
      return other.node.npus.flatMap((id, peerPlace): PlannedPing[] => {
        const isRail = peerPlace === rail;
        const isSample = isNext && count > 1 && peerPlace === (rail + 1) % count;
        const address = hccnReading(other.facts, id, "ip").value?.address;
        return address === undefined || !(isRail || isSample || isFull)
          ? []
          : [{ npu, address, peer: { node: other.node.name, npu: id }, isRail }];
      });
    }),
  );
}

/** Ports of another node that are tried: the planned ones, the ends of ranges, and three that the kernel may give away. */
export function plannedPortsOf(peer: KnownHost): readonly number[] {
  const { ephemeralPorts } = peer.facts;
  const planned = peer.node.ports.flatMap(({ first, last }) =>
    first === last ? [first] : [first, last],
  );
  const [from, to] = [ephemeralPorts?.first ?? 32_768, ephemeralPorts?.last ?? 60_999];
  const sample = [1, 2, 3].map((quarter) => Math.floor(from + ((to - from) * quarter) / 4));
  return [...new Set([...planned, ...sample])];
}

/** What a host is asked about the others; `undefined` when there are none. */
export function peerRequest(
  plan: GatePlan,
  host: KnownHost,
  hosts: readonly KnownHost[],
  isFull: boolean,
): { readonly request: string; readonly limitSec: number } | undefined {
  const others = hosts.filter(({ node }) => node.name !== host.node.name);
  if (others.length === 0) return undefined;
  const pings = plannedPings(host, hosts, isFull);
  const byNpu = host.node.npus
    .map((npu) => ({
      npu,
      addresses: pings.filter((ping) => ping.npu === npu).map((ping) => ping.address),
    }))
    .filter(({ addresses }) => addresses.length > 0);
  const pingSec = pingLimitSec(Math.max(0, ...byNpu.map(({ addresses }) => addresses.length)));
  const limitSec = pingSec + TCP_LIMIT_SEC + others.length * MTU_LIMIT_SEC + 20;
  const { pingVerb } = hardwareSeries(plan.series);
  const mtu = nodeMtu(host);
  const request = renderRequest([
    ["limit", String(limitSec)],
    ...(byNpu.length === 0
      ? []
      : [
          [
            ...["npu-pings", host.node.driverPaths.hccnTool, pingVerb, String(pingSec)],
            ...byNpu.map(({ npu, addresses }) => `${npu}=${addresses.join(",")}`),
          ],
        ]),
    [
      "tcp",
      ...others.map((peer) => `${peer.node.connection.address}=${plannedPortsOf(peer).join(",")}`),
    ],
    ...(mtu === undefined
      ? []
      : [["path-mtu", ...others.map(({ node }) => `${node.connection.address}=${mtu}`)]]),
  ]);
  return { request, limitSec };
}

/** What the checks take at most, from the plan alone, for people to read before they begin. */
export function timeBudget(plan: GatePlan, isFull: boolean): TimeBudget {
  const nodes = plan.nodes.length;
  const npus = Math.max(...plan.nodes.map((node) => node.npus.length));
  const pingsPerNpu = nodes < 2 ? 0 : isFull ? (nodes - 1) * npus : nodes - 1 + (npus > 1 ? 1 : 0);
  return {
    nodes,
    pingsPerNpu,
    usualSec: Math.ceil(HOST_USUAL_SEC + pingsPerNpu * PING_USUAL_SEC),
    mostSec:
      nodes < 2
        ? HOST_MOST_SEC
        : HOST_MOST_SEC +
          pingLimitSec(pingsPerNpu) +
          TCP_LIMIT_SEC +
          (nodes - 1) * MTU_LIMIT_SEC +
          30,
  };
}

export interface TimeBudget {
  readonly nodes: number;
  /** One after the other; the NPUs of all hosts at once. */
  readonly pingsPerNpu: number;
  readonly usualSec: number;
  readonly mostSec: number;
}

function pingLimitSec(pings: number): number {
  return 30 + pings * 4;
}

const TCP_LIMIT_SEC = 90;
const MTU_LIMIT_SEC = 5;
const HOST_USUAL_SEC = 10;
/** The deadline of the CLI for the first phase. */
export const HOST_MOST_SEC = 240;
const PING_USUAL_SEC = 1;
