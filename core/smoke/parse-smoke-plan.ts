import { z } from "zod";
import { acceptedFinding, connection, line, npu, parseSentPlan } from "../plan/sent-plan.js";
import type { SmokePlan } from "./smoke-plan.js";

/** Reads the plan that Pulumi sends to `vllm-cluster smoke`; throws as `parseSentPlan`. */
export function parseSmokePlan(raw: unknown): SmokePlan {
  return parseSentPlan(smokePlanSchema, raw);
}

const smokePlanSchema: z.ZodType<SmokePlan> = z.object({
  plan: line,
  fingerprint: line,
  cluster: line,
  baseDir: line,
  containerName: line,
  limitSec: z.int().min(1),
  accept: z.array(acceptedFinding),
  nodes: z
    .array(
      z.object({
        name: line,
        connection,
        npus: z.array(npu).min(1),
        ranks: z.array(z.int().min(0)).min(1),
        env: z.record(z.string(), z.string()),
        container: z.array(z.string()).min(1),
      }),
    )
    .min(1),
});
