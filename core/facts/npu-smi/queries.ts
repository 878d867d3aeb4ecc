import type { ToolQuery } from "../reading.js";
import { idMapQuery } from "./id-map.js";
import { infoQuery, processesQuery } from "./info.js";
import { boardQuery, commonQuery, eccQuery, healthQuery, usagesQuery } from "./listing.js";
import { topologyQuery } from "./topology.js";

/**
 * What `npu-smi info` and `npu-smi info -t <query>` answer, by query. `processes` is the lower table of `info` alone, `map` is
 * `info -m`, `chip` is `info -t board -i N -c 0`.
 */
export const NPU_SMI_QUERIES = {
  info: infoQuery,
  processes: processesQuery,
  health: healthQuery,
  board: boardQuery,
  chip: boardQuery,
  usages: usagesQuery,
  ecc: eccQuery,
  common: commonQuery,
  topo: topologyQuery,
  map: idMapQuery,
} as const satisfies Record<string, ToolQuery>;

export type NpuSmiQuery = keyof typeof NPU_SMI_QUERIES;
