import * as command from "@pulumi/command";
import type * as pulumi from "@pulumi/pulumi";
import type { GatePlan } from "../core/plan/gate-plan.js";
import { stableJson } from "../core/render/stable-json.js";

/**
 * Checks all hosts at once and touches nothing. Downstream resources depend on it by order only: with a property
 * dependency and delete-before-replace, the engine would stop serve before the checks have run.
 */
export function createPreflight(
  name: string,
  plan: GatePlan,
  parent: pulumi.Resource,
): command.local.Command {
  return new command.local.Command(
    name,
    {
      // The same text on every machine: a path of this machine would be a difference on the next one.
      create: "npx --no vllm-cluster gate",
      stdin: stableJson(plan, 1),
      addPreviousOutputInEnv: false,
      logging: "none",
    },
    { parent },
  );
}
