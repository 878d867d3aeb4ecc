import { z } from "zod";

/** Text without line breaks or other control characters. */
export const line = z.string().regex(/^[^\p{Cc}]+$/u, "must be one line and not empty");
export const port = z.int().min(1).max(65_535);
export const npu = z.int().min(0).max(63);

/** `AcceptedFinding` as it is sent. */
export const acceptedFinding = z.object({
  code: line,
  node: line.optional(),
  npu: npu.optional(),
  reason: line,
  until: z.iso.date(),
});

/** `ConnectionPlan` as it is sent. */
export const connection = z.object({
  address: line,
  user: line,
  port,
  hostKey: line,
  become: z.enum(["none", "sudo"]),
  bastion: z.object({ address: line, user: line, port, hostKey: line }).optional(),
});

/**
 * Reads a plan that Pulumi sends to a command on standard input.
 *
 * @throws Error with the first path that is not as expected; both sides are of one package, so that means two versions.
 */
export function parseSentPlan<T>(schema: z.ZodType<T>, raw: unknown): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(
    `not a plan of this version at ${z.core.toDotPath(issue?.path ?? []) || "the top"}: ${issue?.message ?? "unknown reason"}`,
  );
}
