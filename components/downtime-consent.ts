import * as pulumi from "@pulumi/pulumi";
import { stopsGroup } from "../core/changes/manifest.js";
import type { ClusterPlan } from "../core/plan/cluster-plan.js";
import { planHash } from "../core/plan/gate-plan.js";

/**
 * Refuses to commit something that stops what runs, unless the stack says that it may be: in a preview it only warns. The
 * preflight refuses earlier, and by what the hosts say; this one also sees what no host shows, such as a new API key.
 */
export function downtimeConsent(plan: ClusterPlan): pulumi.ResourceHook {
  const hash = planHash(plan);
  return new pulumi.ResourceHook(
    `${plan.names.cluster}-downtime-consent`,
    ({ oldInputs, newInputs }) => {
      if (plan.allowDowntimeFor === hash || !stopsGroup(stdin(oldInputs), stdin(newInputs))) return;
      const text = `${plan.cluster}: this change stops a group that may be serving. Read what restarts (vllm-cluster summary), then agree to it: pulumi config set allowDowntimeFor ${hash}`;
      if (!pulumi.runtime.isDryRun()) throw new Error(text);
      void pulumi.log.warn(text);
    },
    { onDryRun: true },
  );
}

function stdin(inputs: unknown): unknown {
  return (inputs as { readonly stdin?: unknown } | undefined)?.stdin;
}
