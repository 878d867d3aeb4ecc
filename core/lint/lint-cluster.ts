import type { ClusterSpec } from "../spec/cluster-spec.js";
import { nearestWord } from "../spec/nearest.js";
import type { LintContext, LintLevel, LintRule } from "./lint-rule.js";
import { LINT_RULES } from "./lint-rules.js";

/** A rule that fired, ready to be shown. */
export interface LintFinding {
  readonly code: string;
  readonly level: LintLevel;
  /** Field of the stack file. */
  readonly path: string;
  /** What stands there, in a few words. */
  readonly got: string;
  readonly title: string;
  readonly reason: string;
  readonly wayOut: string;
  readonly sources: readonly string[];
  /** Why the stack accepts it; then it blocks nothing. `null` = not accepted. */
  readonly accepted: string | null;
}

/**
 * What a valid spec should not have, or should know about: errors first, then warnings, then the rest; within a level in
 * the order of the rules.
 */
export function lintCluster(spec: ClusterSpec, context: LintContext): readonly LintFinding[] {
  const accepted = new Map(spec.lint.accept.map(({ code, reason }) => [code, reason]));
  const findings = [
    ...LINT_RULES.flatMap((rule) => findingsOf(rule, spec, context, accepted)),
    ...unknownAcceptances(spec),
  ];
  return LEVELS.flatMap((level) => findings.filter((finding) => finding.level === level));
}

/** Findings that must not go on: errors that nobody accepted. */
export function blockingFindings(findings: readonly LintFinding[]): readonly LintFinding[] {
  return findings.filter(({ level, accepted }) => level === "error" && accepted === null);
}

/** One finding as one line. */
export function renderFinding(finding: LintFinding): string {
  const { code, path, got, title, reason, wayOut, accepted } = finding;
  const end = accepted === null ? wayOut : `accepted: ${accepted}`;
  return `${code} ${path}: ${title}, got ${got}; ${reason}; ${end}`;
}

function findingsOf(
  rule: LintRule,
  spec: ClusterSpec,
  context: LintContext,
  accepted: ReadonlyMap<string, string>,
): readonly LintFinding[] {
  return rule.check(spec, context).map(({ path, got }) => ({
    code: rule.code,
    level: rule.level,
    path,
    got,
    title: rule.title,
    reason: rule.reason,
    wayOut: rule.wayOut,
    sources: rule.sources,
    accepted: accepted.get(rule.code) ?? null,
  }));
}

/** A misspelt code accepts nothing, and whoever wrote it believes that it does. */
function unknownAcceptances(spec: ClusterSpec): readonly LintFinding[] {
  const known = LINT_RULES.map(({ code }) => code);
  return spec.lint.accept.flatMap(({ code }, index): LintFinding[] => {
    if (known.includes(code)) return [];
    const near = nearestWord(code, known);
    return [
      {
        ...UNKNOWN_ACCEPTANCE,
        path: `lint.accept[${index}].code`,
        got: `"${code}"`,
        wayOut: near === undefined ? UNKNOWN_ACCEPTANCE.wayOut : `did you mean "${near}"?`,
        accepted: null,
      },
    ];
  });
}

/** Not one of the rules, because it cannot be accepted itself. */
export const UNKNOWN_ACCEPTANCE = {
  code: "UNKNOWN_ACCEPTANCE",
  level: "error",
  title: "an unknown code is accepted",
  reason: "it accepts nothing",
  wayOut: "take a code of docs/lint.md, or remove the entry",
  sources: ["core/lint"],
} as const satisfies Omit<LintRule, "check">;

const LEVELS: readonly LintLevel[] = ["error", "warning", "info"];
