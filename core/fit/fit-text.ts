import type { FitRequest, MemoryFit } from "./judge-fit.js";
import type { Lever } from "./levers.js";

/** The fit in one line. */
export function fitLine(fit: MemoryFit, request: FitRequest): string {
  const { model } = request;
  const unverified = model.isVerified ? "" : `; formulas unverified for ${model.architecture}`;
  const figures = `${gib(fit.weightsGiB)} GiB of weights by ${fit.basis}, budget ${gib(fit.budgetGiB)} GiB`;
  return `memory fit: ${fit.verdict}: ${fit.reason} (per NPU: ${figures}${unverified})`;
}

/** What the cache holds while `maxNumSeqs` sequences run. */
export function cacheText({ kvTokens, maxConcurrency }: MemoryFit, request: FitRequest): string {
  const engine = request.layout.dataParallelSize > 1 ? " in each data-parallel engine" : "";
  return `${kvTokens} tokens${engine} = ${maxConcurrency.toFixed(1)} sequences of ${request.maxModelLen}`;
}

/** A lever in one line, e.g. `pipelineParallelSize 1 -> 2 (16 NPUs in place of 8): …`. */
export function leverLine(lever: Lever, npus: number): string {
  const hardware = lever.npus === npus ? "" : ` (${lever.npus} NPUs in place of ${npus})`;
  return `${lever.field} ${lever.from} -> ${lever.to}${hardware}: ${gib(lever.kvPoolGiB)} GiB, ${lever.kvTokens} tokens, ${lever.verdict}`;
}

function gib(value: number): string {
  return value.toFixed(1);
}
