/** One thing that is wrong with a stack file: where, and what to do about it. */
export interface SpecIssue {
  /** Path of the field in the stack file, e.g. `nodes[1].hostKey`; empty for the whole. */
  readonly path: string;
  /** Requirement, what was got, way out; lower case, no final period. */
  readonly reason: string;
}

/**
 * A stack file that cannot be used. Carries every issue found, not only the first.
 */
export class ClusterSpecError extends Error {
  override readonly name = "ClusterSpecError";

  constructor(
    /** In the order of the stack file's schema, then of the rules between fields. */
    readonly issues: readonly SpecIssue[],
  ) {
    super(renderIssues(issues));
  }
}

/** The issues as text for people, one per line. */
export function renderIssues(issues: readonly SpecIssue[]): string {
  const count = issues.length === 1 ? "1 problem" : `${issues.length} problems`;
  const lines = issues.map(({ path, reason }) => `  ${path === "" ? "cluster" : path}: ${reason}`);
  return [`the cluster configuration has ${count}:`, ...lines].join("\n");
}

/** The beginning of a value that may be 100 KB. */
export function shortened(text: string, maxLength: number): string {
  return text.length > maxLength ? `${text.slice(0, maxLength - 3).toWellFormed()}...` : text;
}

/** A message of zod as the rest of a line. */
export function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
