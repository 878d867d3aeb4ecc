import {
  type CellResult,
  GATE_CHECKS,
  type GateFinding,
  type GateResult,
  type GateRow,
  SSH_COLUMN,
} from "../core/facts/judge-gate.js";
import { textTable, wrapText } from "./text-table.js";

/** The gate's result for people: verdict, one table host × check, then each finding with its fix, failures first. */
export function renderGateReport(result: GateResult): string {
  const columns = [SSH_COLUMN, ...GATE_CHECKS.map(({ name }) => name)];
  const table = textTable([
    ["node", ...columns],
    ...result.rows.map((row) => [
      row.node,
      ...columns.map((column) => CELL_TEXT[row.cells[column] ?? "skipped"]),
    ]),
  ]);
  return [
    wrapText(verdict(result), WIDTH, "  "),
    "",
    table,
    // `pulumi up` finds it by its first words and shows it again.
    ...(result.memoryFit === undefined ? [] : ["", wrapText(result.memoryFit, WIDTH, "  ")]),
    ...result.findings.map(renderFinding),
    "",
  ].join("\n");
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

function renderFinding({ node, code, result, detail, fix }: GateFinding): string {
  const head = `${CELL_TEXT[result].padEnd(4)}  ${node}  ${code}: `;
  return [
    "",
    wrapText(`${head}${detail}`, WIDTH, INDENT),
    wrapText(`${INDENT}fix: ${fix}`, WIDTH, `${INDENT}     `),
  ].join("\n");
}

const WIDTH = 100;
const INDENT = "      ";

const CELL_TEXT: Readonly<Record<CellResult, string>> = {
  pass: "ok",
  fail: "FAIL",
  warn: "warn",
  unknown: "?",
  skipped: "-",
};
