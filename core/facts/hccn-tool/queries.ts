import type { ToolQuery } from "../reading.js";
import { gatewayQuery, ipQuery, netdetectQuery, routeQuery } from "./address.js";
import { bandwidthQuery, hwStatsQuery, setQuery, statQuery } from "./counters.js";
import { fecQuery, linkQuery, linkStatQuery, netHealthQuery, speedQuery } from "./link.js";
import { lldpQuery } from "./lldp.js";
import { opticalQuery } from "./optical.js";
import { pingQuery } from "./ping.js";
import { tlsQuery } from "./tls.js";

/**
 * What `hccn_tool -i N -<query> -g` answers, by query; `set` is the answer of every setter. Formats: mind-cluster
 * `hccn_tool.go` and `npu_info_parser.py`, HCCL user guide, and the recordings of the tests.
 */
export const HCCN_QUERIES = {
  ip: ipQuery,
  vnic: ipQuery,
  link: linkQuery,
  net_health: netHealthQuery,
  netdetect: netdetectQuery,
  gateway: gatewayQuery,
  lldp: lldpQuery,
  ping: pingQuery,
  hccs_ping: pingQuery,
  tls: tlsQuery,
  optical: opticalQuery,
  link_stat: linkStatQuery,
  speed: speedQuery,
  fec: fecQuery,
  stat: statQuery,
  bandwidth: bandwidthQuery,
  route: routeQuery,
  hw_stats: hwStatsQuery,
  set: setQuery,
} as const satisfies Record<string, ToolQuery>;

export type HccnQuery = keyof typeof HCCN_QUERIES;
