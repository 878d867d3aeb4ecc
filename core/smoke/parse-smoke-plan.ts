import { z } from "zod";
import type { SmokePlan } from "./smoke-plan.js";

/**
 * Reads the plan that Pulumi sends to `vllm-cluster smoke`.
 *
 * @throws Error with the first path that is not as expected; both sides are of one package, so that means two versions.
 */
export function parseSmokePlan(raw: unknown): SmokePlan {
  const parsed = smokePlanSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(
    `not a plan of this version at ${z.core.toDotPath(issue?.path ?? []) || "the top"}: ${issue?.message ?? "unknown reason"}`,
  );
}

const line = z.string().regex(/^[^\p{Cc}]+$/u, "must be one line and not empty");

const smokePlanSchema: z.ZodType<SmokePlan> = z.object({
  plan: line,
  fingerprint: line,
  cluster: line,
  baseDir: line,
  containerName: line,
  limitSec: z.int().min(1),
  accept: z.array(
    z.object({
      code: line,
      node: line.optional(),
      npu: z.int().min(0).optional(),
      reason: line,
      until: z.iso.date(),
    }),
  ),
  nodes: z
    .array(
      z.object({
        name: line,
        connection: z.object({
          address: line,
          user: line,
          port: z.int().min(1).max(65_535),
          hostKey: line,
          become: z.enum(["none", "sudo"]),
          bastion: z
            .object({ address: line, user: line, port: z.int().min(1).max(65_535), hostKey: line })
            .optional(),
        }),
        npus: z.array(z.int().min(0)).min(1),
        ranks: z.array(z.int().min(0)).min(1),
        env: z.record(z.string(), z.string()),
        container: z.array(z.string()).min(1),
      }),
    )
    .min(1),
});
