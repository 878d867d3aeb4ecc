import { type DriftFinding, isDrifted } from "../core/drift/drift-finding.js";
import { wrapText } from "./text-table.js";

/** What differs, node by node, each with what `pulumi up` does about it and what puts it right; the verdict is the last line. */
export function renderDriftReport(cluster: string, findings: readonly DriftFinding[]): string {
  const lines = findings.flatMap(({ node, kind, level, planned, found, nextUp, next }) => [
    wrapText(`${node}: ${kind}, ${level}: ${planned}`, WIDTH, "    "),
    wrapText(`  found: ${found}`, WIDTH, "    "),
    ...(level === "note"
      ? []
      : [
          wrapText(`  the next pulumi up: ${nextUp}`, WIDTH, "    "),
          ...(next === "" ? [] : [wrapText(`  next: ${next}`, WIDTH, "    ")]),
        ]),
  ]);
  const count = findings.filter(({ level }) => level !== "note").length;
  const verdict = isDrifted(findings)
    ? `cluster ${cluster}: ${count} ${count === 1 ? "difference" : "differences"}`
    : `cluster ${cluster}: no drift`;
  return `${[...lines, ...(lines.length === 0 ? [] : [""]), verdict].join("\n")}\n`;
}

const WIDTH = 110;
