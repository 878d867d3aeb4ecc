import { expiredAcceptances } from "../core/facts/acceptance.js";
import type { AcceptedFinding } from "../core/plan/cluster-plan.js";
import { UsageError } from "./errors.js";

/** @throws UsageError with every entry of `preflight.accept` whose last day is over. */
export function refuseExpired(accept: readonly AcceptedFinding[]): void {
  const issues = expiredAcceptances(accept, new Date().toISOString().slice(0, 10));
  if (issues.length === 0) return;
  throw new UsageError(issues.map(({ path, reason }) => `${path} ${reason}`).join("\n"));
}
