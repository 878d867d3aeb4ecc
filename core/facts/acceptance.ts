import type { AcceptedFinding } from "../plan/cluster-plan.js";
import type { SpecIssue } from "../spec/spec-issue.js";

/**
 * Entries of `preflight.accept` whose last day is over. They are refused rather than left out: a risk that somebody wanted to look at
 * again is not taken silently, and its failure would come as a surprise.
 *
 * @param today `YYYY-MM-DD` in UTC
 */
export function expiredAcceptances(
  accept: readonly AcceptedFinding[],
  today: string,
): readonly SpecIssue[] {
  return accept.flatMap(({ code, until, reason }, index) =>
    until >= today
      ? []
      : [
          {
            path: `preflight.accept[${index}].until`,
            reason: `is over: ${code} was accepted until ${until} (${reason}); repair it and remove the entry, or set a later date`,
          },
        ],
  );
}
