import { reading, type ToolQuery, unknownReading, wholeNumber } from "../reading.js";

export interface NpuIds {
  readonly npuId: number;
  readonly chipId: number;
  /** Absent for a controller that is no NPU. */
  readonly logicId?: number;
  readonly name: string;
}

/** `info -m`. */
export const idMapQuery: ToolQuery<readonly NpuIds[]> = {
  begins: /^NPU ID\s+Chip ID\b/i,
  parse: (lines) => {
    const head = lines.findIndex((line) => /^NPU ID\s+Chip ID\s+Chip Logic ID\b/i.test(line));
    if (head === -1) return unknownReading("no head of the table");
    const rows = lines
      .slice(head + 1)
      .map((line) => /^(\d+)\s+(\d+)\s+(\d+|-)\s+(?:(?:\d+|-)\s+)?([A-Za-z].*)$/.exec(line));
    const bad = rows.indexOf(null);
    if (rows.length === 0 || bad !== -1) {
      return unknownReading(`no whole row${bad === -1 ? "" : `: ${lines[head + 1 + bad]}`}`);
    }
    const ids = rows.map((row) => {
      const logicId = wholeNumber(row![3]);
      return {
        npuId: Number(row![1]),
        chipId: Number(row![2]),
        ...(logicId === undefined ? {} : { logicId }),
        name: row![4]!,
      };
    });
    return reading("pass", `${ids.length} chips`, ids);
  },
};
