import type { ClusterSpec } from "../spec/cluster-spec.js";

/**
 * `error`: refused, unless the stack accepts it with a reason. `warning`: shown by preview and up. `info`: shown by
 * `vllm-cluster lint` only.
 */
export type LintLevel = "error" | "warning" | "info";

/** One thing that a valid spec may have and should not, or should know about. */
export interface LintRule {
  /** Stable: it stands in `lint.accept` of stack files. */
  readonly code: string;
  readonly level: LintLevel;
  /** What the spec has, as a clause without a period. */
  readonly title: string;
  /** What happens then. */
  readonly reason: string;
  readonly wayOut: string;
  /** Where the fact comes from: `vllm#1` and `vllm-ascend#1` are threads, the rest is text. */
  readonly sources: readonly string[];
  /** Where the spec has it; nothing when it has not. */
  readonly check: (spec: ClusterSpec, context: LintContext) => readonly LintHit[];
}

export interface LintHit {
  /** Field of the stack file. */
  readonly path: string;
  /** What stands there, in a few words. */
  readonly got: string;
}

/** What is known beside the spec. */
export interface LintContext {
  /** Whether the API is guarded by a key. */
  readonly hasApiKey: boolean;
}

/** One hit, or none: for rules that can only fire once. */
export function hitIf(condition: boolean, path: string, got: string): readonly LintHit[] {
  return condition ? [{ path, got }] : [];
}
