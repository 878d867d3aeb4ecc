import type { Check, CheckContext, Finding } from "../check.js";
import { unknownFact } from "../check.js";
import { statusFile } from "../facts-request.js";
import { parseSupervisorStatus } from "../group-status.js";
import { fileText } from "../host-facts.js";

/**
 * Whether the group may be stopped. Asked here, before anything is touched, because containers are replaced before the
 * commits are reached; and on the host, because only it knows whether there is anything to lose: a group that is down, or that
 * serves what is planned already (a revert after a failed change), needs no consent.
 */
export const consentCheck: Check = { name: "consent", needs: ["root", "docker"], judge };

function judge({ plan, node, facts }: CheckContext): readonly Finding[] {
  if (node.name !== plan.nodes[0]?.name || plan.allowDowntimeFor === plan.plan) return [];
  const container = facts.containers.get(plan.containerName);
  if (container?.state !== "present" || container.status !== "running") return [];
  const fact = facts.files.get(statusFile(plan));
  if (fact === undefined || fact.state === "error") {
    return [unknownFact("what the group serves", fact?.reason)];
  }
  const status = parseSupervisorStatus(fileText(fact));
  if (status?.state !== "ready" || status.serve.hash === plan.serve) return [];
  return [
    {
      code: "DOWNTIME_CONSENT",
      result: "fail",
      detail: `the group is serving release ${status.serve.hash ?? "?"}, and this change stops it`,
      fix: `read what restarts (vllm-cluster summary), then agree to it: pulumi config set allowDowntimeFor ${plan.plan}`,
    },
  ];
}
