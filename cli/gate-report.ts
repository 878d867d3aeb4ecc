import { npuRange } from "../core/facts/checks/npu-network.js";
import type { CellResult, GateFinding, GateResult, GateRow } from "../core/facts/judge-gate.js";
import type { TimeBudget } from "../core/facts/peer-request.js";
import { textTable, wrapText } from "./text-table.js";

/** The gate's result for people: verdict, one table host × check, then each finding with its fix, failures first. */
export function renderGateReport(result: GateResult): string {
  return [
    wrapText(verdict(result), WIDTH, "  "),
    "",
    ...tables(result.rows),
    // `pulumi up` finds it by its first words and shows it again.
    ...(result.memoryFit === undefined ? [] : ["", wrapText(result.memoryFit, WIDTH, "  ")]),
    ...result.findings.map(renderFinding),
    "",
  ].join("\n");
}

/** What people read before a check that may take minutes. */
export function renderTimeBudget({ nodes, pingsPerNpu, usualSec, mostSec }: TimeBudget): string {
  const pings = pingsPerNpu === 0 ? "" : `, then ${pingsPerNpu} pings per NPU`;
  return `asking ${nodes} ${nodes === 1 ? "node" : "nodes"}${pings}: usually ${usualSec} s, at most ${mostSec} s\n`;
}

/** As many columns as fit, then a further table with the rest. */
function tables(rows: readonly GateRow[]): string[] {
  const texts: string[] = [];
  let columns: string[] = [];
  const table = (names: readonly string[]) =>
    textTable([
      ["node", ...names],
      ...rows.map((row) => [
        row.node,
        ...names.map((column) => CELL_TEXT[row.cells[column] ?? "skipped"]),
      ]),
    ]);
  for (const name of Object.keys(rows[0]?.cells ?? {})) {
    const isTooWide = table([...columns, name])
      .split("\n")
      .some((line) => line.length > WIDTH);
    if (isTooWide && columns.length > 0) {
      texts.push(table(columns), "");
      columns = [];
    }
    columns.push(name);
  }
  return [...texts, table(columns)];
}

function verdict({ cluster, isPassed, rows, findings }: GateResult): string {
  const failed = rows.filter((row) => hasFailed(row)).map(({ node }) => node);
  const warnings = findings.filter(({ result }) => result !== "fail").length;
  const also = warnings === 0 ? "" : `, ${warnings} to look at`;
  if (isPassed) {
    return `preflight of cluster ${cluster}: ${rows.length} ${rows.length === 1 ? "node" : "nodes"} ready${also}`;
  }
  return `preflight of cluster ${cluster} FAILED on ${failed.join(", ")} (${failed.length} of ${rows.length} nodes)${also}; nothing was changed on any host`;
}

function hasFailed({ cells }: GateRow): boolean {
  return Object.values(cells).includes("fail");
}

function renderFinding(finding: GateFinding): string {
  const { node, code, result, detail, fix, npus, accepted, raw } = finding;
  const about = npus === undefined ? "" : ` NPU ${npuRange(npus)}`;
  const head = `${CELL_TEXT[result].padEnd(4)}  ${node}${about}  ${code}: `;
  return [
    "",
    wrapText(`${head}${detail}`, WIDTH, INDENT),
    ...(raw === undefined ? [] : rawLines(raw)),
    ...(accepted === undefined
      ? []
      : [wrapText(`${INDENT}accepted until ${accepted.until}: ${accepted.reason}`, WIDTH, INDENT)]),
    wrapText(`${INDENT}fix: ${fix}`, WIDTH, `${INDENT}     `),
  ].join("\n");
}

/** The begin of an output that nobody understood; all of it is in the JSON. */
function rawLines(raw: string): string[] {
  const lines = raw.replaceAll(/[^\P{Cc}\n]/gu, "?").split("\n");
  return lines.slice(0, 3).map((line) => `${INDENT}| ${line.slice(0, WIDTH - 8)}`);
}

const WIDTH = 100;
const INDENT = "      ";

/** How a result is written in a table. */
export const CELL_TEXT: Readonly<Record<CellResult, string>> = {
  pass: "ok",
  fail: "FAIL",
  warn: "warn",
  unknown: "?",
  skipped: "-",
};
