import type { LintFinding } from "../core/lint/lint-cluster.js";

/** The findings for people: what and where, why, the way out, the source. */
export function renderLintReport(findings: readonly LintFinding[]): string {
  if (findings.length === 0) return "no findings\n";
  return findings.map(renderOne).join("\n");
}

function renderOne(finding: LintFinding): string {
  const { code, level, path, got, title, reason, wayOut, sources, accepted } = finding;
  return [
    `${level} ${code} at ${path}: ${title}, got ${got}`,
    `  why: ${reason}`,
    accepted === null ? `  way out: ${wayOut}` : `  accepted: ${accepted}`,
    `  source: ${sources.join(", ")}`,
    "",
  ].join("\n");
}
