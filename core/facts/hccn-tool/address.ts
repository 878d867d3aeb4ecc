import { ipv4Number, isIpv6, netmaskLength } from "../addresses.js";
import {
  firstMatch,
  type Reading,
  reading,
  type ToolQuery,
  unknownReading,
  wholeNumber,
} from "../reading.js";

/** Address of the NPU's NIC. */
export interface NpuAddress {
  readonly family: 4 | 6;
  readonly address: string;
  /** IPv4 only. */
  readonly netmask?: string;
  readonly prefixLength: number;
}

/** `-ip -g`, `-ip -inet6 -g`, and `-vnic -g` of A3, whose keys begin with another word. */
export const ipQuery: ToolQuery<NpuAddress> = {
  begins: /^(\w+ )?(ip|inet)\w*( addr\w*)?\s*:/i,
  parse: (lines) => {
    const address = firstMatch(lines, /^(?:\w+ )?(?:ip|inet)\w*(?: addr\w*)?\s*:\s*(\S+)$/i);
    const netmask = firstMatch(lines, /^(?:\w+ )?netmask\s*:\s*(\S+)$/i);
    const prefix = firstMatch(lines, /^(?:\w+ )?prefix\w*(?:[ _]?len\w*)?\s*:\s*(\d+)$/i);
    if (address === undefined) return unknownReading("no line with an address");
    if (isIpv6(address)) return ipv6Reading(address, wholeNumber(prefix));
    if (ipv4Number(address) === undefined) return unknownReading(`${address} is no address`);
    const prefixLength = netmask === undefined ? undefined : netmaskLength(netmask);
    if (netmask === undefined || prefixLength === undefined) {
      return unknownReading(
        `${address} without a netmask${netmask === undefined ? "" : `: ${netmask} is none`}`,
      );
    }
    const value: NpuAddress = { family: 4, address, netmask, prefixLength };
    return reading("pass", `${address}/${prefixLength}`, value);
  },
};

function ipv6Reading(address: string, prefixLength: number | undefined): Reading<NpuAddress> {
  return prefixLength === undefined || prefixLength > 128
    ? unknownReading(`${address} without a prefix length`)
    : reading("pass", `${address}/${prefixLength}`, { family: 6, address, prefixLength });
}

/** `-netdetect -g`: the address by which the driver probes the network. */
export const netdetectQuery: ToolQuery<{ readonly address: string }> = {
  begins: /^netdetect address\s*:/i,
  parse: (lines) => {
    const address = firstMatch(lines, /^netdetect address\s*:\s*(\S+)$/i);
    if (address === undefined) return unknownReading("no detect address");
    return isAddress(address)
      ? reading("pass", `detect address ${address}`, { address })
      : unknownReading(`detect address ${address} is no address`);
  },
};

export interface NpuGateway {
  readonly address: string;
  /** Number of the NPU in the name of its interface. */
  readonly interfaceId: number;
}

/** `-gateway -g`. */
export const gatewayQuery: ToolQuery<NpuGateway> = {
  begins: /^default gateway\s*:/i,
  parse: (lines) => {
    const pattern = /^default gateway\s*:\s*(\S+?)\s*,\s*Iface\s*:\s*eth(\d{1,3})$/i;
    const match = lines.map((line) => pattern.exec(line)).find((found) => found !== null);
    if (match?.[1] === undefined) return unknownReading("no gateway");
    const value = { address: match[1], interfaceId: Number(match[2]) };
    return isAddress(value.address)
      ? reading("pass", `gateway ${value.address}`, value)
      : unknownReading(`gateway ${value.address} is no address`);
  },
};

export interface NpuRoute {
  readonly destination: string;
  /** `*` for a network that is reached directly. */
  readonly gateway: string;
  readonly netmask: string;
  readonly interface: string;
}

/** `-route -g`: columns as of `route -n`. */
export const routeQuery: ToolQuery<readonly NpuRoute[]> = {
  begins: /^routing table/i,
  parse: (lines) => {
    const head = lines.findIndex((line) => /^Destination\s+Gateway\s+Genmask\s/i.test(line));
    if (head === -1) return unknownReading("no routing table");
    const rows = lines.slice(head + 1).map((line) => line.split(/\s+/));
    const bad = rows.find((row) => row.length !== 8 || netmaskText(row[2]!) === undefined);
    if (rows.length === 0 || bad !== undefined) {
      return unknownReading(`no whole row${bad === undefined ? "" : `: ${bad.join(" ")}`}`);
    }
    const routes = rows.map((row) => ({
      destination: row[0]!,
      gateway: row[1]!,
      netmask: row[2]!,
      interface: row[7]!,
    }));
    return reading("pass", `${routes.length} routes`, routes);
  },
};

function netmaskText(text: string): string | undefined {
  return text === "0.0.0.0" || netmaskLength(text) !== undefined ? text : undefined;
}

function isAddress(text: string): boolean {
  return ipv4Number(text) !== undefined || isIpv6(text);
}
