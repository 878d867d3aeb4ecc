import { type Reading, reading, type ToolQuery, unknownReading } from "../reading.js";

export interface NpuInfo {
  /** Version of the driver package; equal on all nodes. */
  readonly version?: string;
  readonly chips: readonly NpuChip[];
  /** Absent when the table is not printed, as for users other than root. */
  readonly processes?: readonly NpuProcess[];
}

export interface NpuChip {
  readonly npuId: number;
  readonly chipId: number;
  /** A3 only: the number of `/dev/davinciN`, which is the NPU id elsewhere. */
  readonly physicalId?: number;
  readonly name: string;
  readonly health: string;
  readonly busId: string;
  readonly hbmUsedMb: number;
  readonly hbmTotalMb: number;
}

export interface NpuProcess {
  readonly npuId: number;
  readonly chipId: number;
  readonly pid: number;
  /** Cut to 15 characters by the tool. */
  readonly name: string;
  readonly memory: number;
  readonly memoryUnit: "MB" | "B";
}

/** `npu-smi info`: two rows per chip, then the processes. Widths and separators differ between versions. */
export const infoQuery: ToolQuery<NpuInfo> = {
  begins: /^\|\s*npu-smi\s/i,
  parse: (lines) => {
    const rows = lines.filter((line) => line.startsWith("|")).map(cellsOf);
    const start = rows.findIndex((cells) => /^Process id$/i.test(cells[1] ?? ""));
    const table = readProcesses(rows.slice(start === -1 ? rows.length : start));
    const chips = readChips(rows.slice(0, start === -1 ? rows.length : start));
    const version = /^npu-smi\s+\S+\s+Version\s*:\s*(\S+)$/i.exec(rows[0]?.[0] ?? "")?.[1];
    const value: NpuInfo = {
      ...(version === undefined ? {} : { version }),
      chips: chips.found,
      ...(start === -1 ? {} : { processes: table.found }),
    };
    const problem =
      chips.problem ?? (start === -1 ? undefined : table.problem) ?? breakOf(lines, chips.found);
    if (problem !== undefined) return { ...unknownReading(problem), value };
    return judgeInfo(value);
  },
};

/** The process table alone, or rows of it. */
export const processesQuery: ToolQuery<readonly NpuProcess[]> = {
  begins: /^\|\s*NPU\s+Chip\s*\|\s*Process id/i,
  parse: (lines) => {
    const rows = lines.filter((line) => line.startsWith("|")).map(cellsOf);
    const { found, problem } = readProcesses(rows);
    if (problem !== undefined) return unknownReading(problem);
    const isNone = rows.some((cells) => NO_PROCESS.test(cells[0] ?? ""));
    if (found.length === 0 && !isNone) return unknownReading("no row of the process table");
    return found.length === 0
      ? reading("pass", "no processes", found)
      : reading("warn", `${found.length} processes`, found);
  },
};

function judgeInfo(value: NpuInfo): Reading<NpuInfo> {
  const ill = value.chips.filter(({ health }) => health !== "OK");
  const busy = value.processes ?? [];
  const isFault = ill.some(({ health }) => health !== "Warning");
  const problems = [
    ...ill.map(({ npuId, health }) => `NPU ${npuId} is ${health}`),
    ...(busy.length === 0 ? [] : [`${busy.length} processes`]),
  ];
  const detail = [`${value.chips.length} chips`, ...problems].join(", ");
  return reading(isFault ? "fail" : problems.length > 0 ? "warn" : "pass", detail, value);
}

interface Rows<T> {
  readonly found: readonly T[];
  /** What cannot be understood. */
  readonly problem?: string;
}

/** Row 1: id, name, health, power; row 2: chip (A3: and physical id), bus, use. Elisions and titles are passed over. */
function readChips(rows: readonly (readonly string[])[]): Rows<NpuChip> {
  const found: NpuChip[] = [];
  let first: readonly string[] | undefined;
  for (const cells of rows) {
    if (cells.length !== 3 || /^(NPU|Chip)\s/i.test(cells[0]!) || /^Chip$/i.test(cells[0]!))
      continue;
    if (!BUS_ID.test(cells[1]!)) {
      if (first !== undefined) return { found, problem: `half a chip: ${first.join(" | ")}` };
      first = cells;
      continue;
    }
    const chip = first === undefined ? undefined : chipOf(first, cells);
    if (chip === undefined) return { found, problem: `no chip: ${cells.join(" | ")}` };
    found.push(chip);
    first = undefined;
  }
  if (first !== undefined) return { found, problem: `half a chip: ${first.join(" | ")}` };
  return found.length === 0 ? { found, problem: "no chip in the table" } : { found };
}

function chipOf(one: readonly string[], two: readonly string[]): NpuChip | undefined {
  const name = /^(\d+)\s+(\S+)$/.exec(one[0]!);
  const ids = /^(\d+)(?:\s+(\d+))?$/.exec(two[0]!);
  // A used value of five digits fills its field: no blank before the slash. The last pair of the cell is the HBM.
  const hbm = [...two[2]!.matchAll(/(\d+)\s*\/\s*(\d+)/g)].at(-1);
  if (name === null || ids === null || hbm === undefined || one[1] === "") return undefined;
  return {
    npuId: Number(name[1]),
    chipId: Number(ids[1]),
    ...(ids[2] === undefined ? {} : { physicalId: Number(ids[2]) }),
    name: name[2]!,
    health: one[1]!,
    busId: two[1]!,
    hbmUsedMb: Number(hbm[1]),
    hbmTotalMb: Number(hbm[2]),
  };
}

function readProcesses(rows: readonly (readonly string[])[]): Rows<NpuProcess> {
  const found: NpuProcess[] = [];
  const unit = rows.some((cells) => /\(B\)$/.test(cells[3] ?? "")) ? "B" : "MB";
  for (const cells of rows) {
    if (/^Process id$/i.test(cells[1] ?? "") || NO_PROCESS.test(cells[0] ?? "")) continue;
    const ids = /^(\d+)\s+(\d+)$/.exec(cells[0] ?? "");
    const isRow = cells.length === 4 && /^\d+$/.test(cells[1]!) && /^\d+$/.test(cells[3]!);
    if (ids === null || !isRow) return { found, problem: `no process: ${cells.join(" | ")}` };
    found.push({
      npuId: Number(ids[1]),
      chipId: Number(ids[2]),
      pid: Number(cells[1]),
      name: cells[2]!,
      memory: Number(cells[3]),
      memoryUnit: unit,
    });
  }
  return { found };
}

/** A table that is whole ends with a border. */
function breakOf(lines: readonly string[], chips: readonly NpuChip[]): string | undefined {
  if (/^\+[-=+]+\+$/.test(lines.at(-1)!)) return undefined;
  return `the table breaks off after ${chips.length} chips`;
}

function cellsOf(row: string): readonly string[] {
  return row
    .replace(/^\|/, "")
    .replace(/\|$/, "")
    .split("|")
    .map((cell) => cell.trim());
}

const BUS_ID = /^[0-9A-F]{4,8}:[0-9A-F]{2}:[0-9A-F]{2}\.[0-9A-F]$/i;
const NO_PROCESS = /^No running processes found in NPU \d+$/i;
