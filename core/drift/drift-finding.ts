/** One thing on a host that is not as the plan has it. */
export interface DriftFinding {
  readonly node: string;
  readonly kind:
    | "host"
    | "release"
    | "container"
    | "image"
    | "file"
    | "unit"
    | "secret"
    | "process"
    | "driver"
    | "boot";
  /**
   * - `drift`: somebody or something has changed it;
   * - `pending`: the stack file has changed since the last `up`;
   * - `unknown`: could not be asked;
   * - `note`: worth knowing, nothing to do.
   */
  readonly level: "drift" | "pending" | "unknown" | "note";
  readonly planned: string;
  readonly found: string;
  /** What a plain `pulumi up` of this stack file does about it. */
  readonly nextUp: string;
  /** What puts it right; empty where nothing must be done. */
  readonly next: string;
}

/** Puts back what is staged, without the engine: nothing in the state says that it was changed. */
export const REPAIR = "vllm-cluster drift --repair";

/** Whether something differs that must not; what could not be asked counts. */
export function isDrifted(findings: readonly DriftFinding[]): boolean {
  return findings.some(({ level }) => level !== "note");
}

/** Whether `vllm-cluster drift --repair` puts it right. */
export function isRepairable({ next }: DriftFinding): boolean {
  return next.includes(REPAIR);
}
