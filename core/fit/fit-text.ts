import type { FitRequest, MemoryFit } from "./judge-fit.js";
import type { Lever } from "./levers.js";

/** The fit in one line, e.g. for the log of a preview. */
export function fitLine(fit: MemoryFit, request: FitRequest): string {
  const { model } = request;
  const unverified = model.isVerified ? "" : `; formulas unverified for ${model.architecture}`;
  return (
    `memory fit: ${fit.verdict}: ${fit.reason}. Per NPU ${gib(fit.weightsGiB)} GiB of weights (by ${fit.basis}), ` +
    `${gib(fit.kvPoolGiB)} GiB of ${gib(fit.budgetGiB)} GiB for the cache, ` +
    `${fit.kvTokens} tokens = ${fit.maxConcurrency.toFixed(1)} sequences of ${request.maxModelLen}${unverified}`
  );
}

/** A lever in one line, e.g. `pipelineParallelSize 1 -> 2 (16 NPUs in place of 8): …`. */
export function leverLine(lever: Lever, npus: number): string {
  const hardware = lever.npus === npus ? "" : ` (${lever.npus} NPUs in place of ${npus})`;
  return `${lever.field} ${lever.from} -> ${lever.to}${hardware}: ${gib(lever.kvPoolGiB)} GiB, ${lever.kvTokens} tokens, ${lever.verdict}`;
}

function gib(value: number): string {
  return value.toFixed(1);
}
