import { reading, type ToolQuery, unknownReading } from "../reading.js";

/** How each NPU of a node reaches each other: `HCCS` on A2. By NPU number, then by NPU number. */
export type NpuTopology = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** `info -t topo`. */
export const topologyQuery: ToolQuery<NpuTopology> = {
  begins: /^NPU0\s+NPU1\b/i,
  parse: (lines) => {
    const head = lines.findIndex((line) => /^NPU\d+\s+.*\bCPU Affinity$/i.test(line));
    const names = lines[head]?.split(/\s+/).filter((word) => /^NPU\d+$/i.test(word)) ?? [];
    if (names.length === 0) return unknownReading("no head of the table");
    const rows = lines.slice(head + 1, head + 1 + names.length).map((line) => line.split(/\s+/));
    const isWhole =
      rows.length === names.length &&
      rows.every(
        (row, index) => row[0] === names[index] && row.length === names.length + 2 && isKnown(row),
      );
    if (!isWhole) return unknownReading("the table is not whole");
    const value = Object.fromEntries(
      rows.map((row) => [
        row[0]!,
        Object.fromEntries(names.map((name, index) => [name, row[index + 1]!])),
      ]),
    );
    const others = rows.flatMap((row, index) =>
      names.flatMap((name, column) =>
        index !== column && row[column + 1] !== "HCCS"
          ? [`${row[0]}-${name} ${row[column + 1]}`]
          : [],
      ),
    );
    return others.length === 0
      ? reading("pass", `${names.length} NPUs over HCCS`, value)
      : reading("warn", `not over HCCS: ${others.join(", ")}`, value);
  },
};

function isKnown(row: readonly string[]): boolean {
  return row.slice(1, -1).every((word) => /^(X|SYS|PHB|PIX|PXB|HCCS|HCCS_SW|SIO|NA)$/.test(word));
}
