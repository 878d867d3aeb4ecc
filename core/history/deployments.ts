import { z } from "zod";
import { planHash } from "../plan/gate-plan.js";
import { planCluster } from "../plan/plan-cluster.js";
import { parseClusterSpec } from "../spec/parse.js";
import { ClusterSpecError } from "../spec/spec-issue.js";

/** One update of the engine's own history of a stack. */
export interface Deployment {
  /** Counted from the oldest that the backend still knows, which is 1. */
  readonly number: number;
  /** `update`, `refresh`, `destroy`, … */
  readonly kind: string;
  /** `succeeded`, `failed`, or the engine's word for one that still runs. */
  readonly result: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Absent while it runs. */
  readonly durationSec?: number;
  /** Resources by what was done to them, without those that stayed. */
  readonly changes: Readonly<Record<string, number>>;
  /** Commit of the program's repository, where the engine has seen one. */
  readonly gitHead?: string;
  readonly message: string;
  /** `vllm-ascend:cluster` as it was; absent when the stack file had none. */
  readonly cluster?: unknown;
  /** Hash of the plan that today's code makes of it; absent when it makes none. */
  readonly plan?: string;
  /** Release that it made serve. */
  readonly release?: string;
}

/** How today's code plans what a stack file has said earlier. */
export interface HistoryContext {
  /** Namespace of the configuration. */
  readonly namespace: string;
  /** `<organization>/<project>/<stack>` */
  readonly owner: string;
}

/** The text is not what `pulumi stack history --json` prints. */
export class HistoryFormatError extends Error {}

/**
 * Reads `pulumi stack history --json`.
 *
 * @returns the newest first
 * @throws HistoryFormatError
 * @see Pulumi 3.259 `pkg/cmd/pulumi/stack/stack_history.go`, type `updateInfoJSON`; secrets have no value in it
 */
export function parseHistory(text: string, context: HistoryContext): Deployment[] {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new HistoryFormatError(error instanceof Error ? error.message : "no JSON");
  }
  const parsed = z.array(updateSchema).safeParse(raw);
  if (!parsed.success) throw new HistoryFormatError(z.prettifyError(parsed.error));
  return parsed.data.map((update, index) =>
    deployment(update, parsed.data.length - index, context),
  );
}

/**
 * What a rollback goes back to: the newest update that succeeded with another plan than `current`.
 *
 * @param number of the update that is meant instead
 * @returns the update, or why there is none
 */
export function rollbackTarget(
  history: readonly Deployment[],
  current: string | undefined,
  number?: number,
): Deployment | string {
  if (number !== undefined) {
    const chosen = history.find((deployment) => deployment.number === number);
    if (chosen === undefined) return `the history has no update ${number}`;
    if (chosen.plan === undefined) {
      return `update ${number} has no cluster that this version of pulumi-vllm-ascend can plan`;
    }
    if (chosen.plan === current)
      return `update ${number} has the plan of the stack file: ${current}`;
    return chosen;
  }
  const found = history.find(
    ({ kind, result, plan }) =>
      kind === "update" && result === "succeeded" && plan !== undefined && plan !== current,
  );
  return found ?? "no update of the history has succeeded with another plan than the stack file's";
}

const updateSchema = z.object({
  kind: z.string(),
  startTime: z.string(),
  endTime: z.string().optional(),
  message: z.string().default(""),
  environment: z.record(z.string(), z.string()).nullish(),
  config: z.record(z.string(), z.object({ value: z.string().optional() })).nullish(),
  result: z.string().default("in-progress"),
  resourceChanges: z.record(z.string(), z.number()).nullish(),
});

function deployment(
  update: z.output<typeof updateSchema>,
  number: number,
  { namespace, owner }: HistoryContext,
): Deployment {
  const { kind, result, startTime, endTime, message, environment, config } = update;
  const cluster = jsonOf(config?.[`${namespace}:cluster`]?.value);
  const hasApiKey = config?.[`${namespace}:apiKey`] !== undefined;
  const durationSec =
    endTime === undefined ? Number.NaN : (Date.parse(endTime) - Date.parse(startTime)) / 1000;
  const gitHead = environment?.["git.head"];
  return {
    number,
    kind,
    result,
    startedAt: startTime,
    ...(durationSec >= 0 ? { durationSec } : {}),
    changes: Object.fromEntries(
      Object.entries(update.resourceChanges ?? {}).filter(([op]) => op !== "same"),
    ),
    ...(gitHead === undefined ? {} : { gitHead }),
    message: message.split("\n")[0] ?? "",
    ...(cluster === undefined ? {} : { cluster }),
    ...planned(cluster, owner, hasApiKey),
  };
}

function planned(cluster: unknown, owner: string, hasApiKey: boolean) {
  if (cluster === undefined) return {};
  try {
    const plan = planCluster(parseClusterSpec(cluster), { owner, hasApiKey });
    return { plan: planHash(plan), release: plan.serve.release };
  } catch (error) {
    // What an older version has accepted may be refused today.
    if (error instanceof ClusterSpecError) return {};
    throw error;
  }
}

function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
