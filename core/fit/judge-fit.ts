import { layoutNpus, type ParallelLayout } from "./layout.js";
import {
  formulaBytes,
  type ModelBytes,
  type Quantization,
  type WeightsBasis,
} from "./model-bytes.js";
import type { ModelFacts } from "./model-facts.js";
import { type StageMemory, stageMemory } from "./rank-memory.js";

/** What is served and how, as far as memory goes: flags of `vllm serve` and the NPUs' size. */
export interface MemoryDemand {
  readonly layout: ParallelLayout;
  /** Tokens. */
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  /** Fraction of an NPU's memory that vLLM may use, 0-1. */
  readonly gpuMemoryUtilization: number;
  /** Memory of the smallest NPU as it is sold, in GiB: 64 or 32. */
  readonly npuMemoryGib: number;
  /** Drafted tokens per step. Unset = drafting layers are counted where the model has some, with one state a sequence. */
  readonly numSpeculativeTokens?: number | undefined;
  /** `HCCL_BUFFSIZE` in MB. Unset = what the default of the non-torch share covers. */
  readonly hcclBuffSizeMb?: number | undefined;
}

/** A demand together with the model that it is for. */
export interface FitRequest extends MemoryDemand {
  readonly model: ModelFacts;
  readonly quantization: Quantization;
  /** Sizes from the checkpoint; unset = by formula. */
  readonly checkpoint?: ModelBytes | undefined;
}

/** `tight`: may start, with little room; try it. `no`: vLLM will refuse to start. */
export type FitVerdict = "fits" | "tight" | "no";

/** Whether it fits, with the memory of one NPU of the fullest pipeline stage. GiB = 2^30 bytes. */
export interface MemoryFit {
  readonly verdict: FitVerdict;
  /** Why, in one line. */
  readonly reason: string;
  readonly basis: WeightsBasis;
  readonly npus: number;
  /** The stage with the smallest pool, from 0; budget, weights and pool are those of its ranks. */
  readonly pipelineStage: number;
  /** What vLLM may use. */
  readonly budgetGiB: number;
  /** Without the image tower. */
  readonly weightsGiB: number;
  readonly visionGiB: number;
  readonly side: SideTerms;
  /** For keys, values and states, with the default of the side terms; negative = this much is missing. */
  readonly kvPoolGiB: number;
  /** The same with the smallest side terms that were seen. */
  readonly kvPoolAtMostGiB: number;
  /** The most of any stage. */
  readonly kvBytesPerToken: number;
  /** One copy of the linear attention's state; a sequence holds `statesPerSequence` of them. The most of any stage. */
  readonly stateMiBPerSequence: number;
  readonly statesPerSequence: number;
  /** Tokens of one data-parallel engine while `maxNumSeqs` sequences run. */
  readonly kvTokens: number;
  /** Sequences of `maxModelLen` tokens that one data-parallel engine holds at a time. */
  readonly maxConcurrency: number;
}

/** What an NPU holds beside weights and cache, in GiB. */
export interface SideTerms {
  readonly peakActivation: number;
  /** HCCL buffers and runtime. */
  readonly nonTorch: number;
  /** Captured graphs. */
  readonly graph: number;
}

/** Judges whether a model fits. The layout must be one that `checkLayout` passes. */
export function judgeFit(request: FitRequest): MemoryFit {
  const { model, layout } = request;
  const bytes = request.checkpoint ?? formulaBytes(model, request.quantization);
  const hasMtp = model.mtpLayers.length > 0 && (request.numSpeculativeTokens ?? 1) > 0;
  const side = sideTerms(request);
  const budgetGiB = request.gpuMemoryUtilization * request.npuMemoryGib * USABLE_FRACTION;
  const spread = { model, bytes, hasMtp };
  const statesPerSequence = 1 + (request.numSpeculativeTokens ?? 0);
  const stages = stageMemory(spread, layout).map(judgeStage);
  const fullest = stages.reduce((a, b) => (b.kvPoolGiB < a.kvPoolGiB ? b : a));
  const worst = stages.reduce((a, b) => (compareFits(b, a) < 0 ? b : a));
  const largest = (field: "kvBytesPerToken" | "stateMiBPerSequence") =>
    Math.max(...stages.map((stage) => stage[field]));
  // All stages get as many cache blocks as the one with the fewest.
  const kvTokens = Math.min(...stages.map((stage) => stage.kvTokens));
  return {
    ...fullest,
    verdict: worst.verdict,
    reason: worst.reason,
    kvBytesPerToken: largest("kvBytesPerToken"),
    stateMiBPerSequence: largest("stateMiBPerSequence"),
    kvTokens,
    maxConcurrency: kvTokens / request.maxModelLen,
  };

  function judgeStage(stage: StageMemory, pipelineStage: number): MemoryFit {
    const room = budgetGiB - (stage.weights + stage.vision) / GIB;
    const kvPoolGiB = room - sideTotal(side);
    const kvPoolAtMostGiB = room - smallestSide(side);
    const statesGiB = (stage.statePerSequence * statesPerSequence) / GIB;
    const tokensIn = (poolGiB: number, sequences: number) =>
      Math.max(0, ((poolGiB - sequences * statesGiB) * GIB) / stage.kvPerToken);
    const kvTokens = Math.floor(tokensIn(kvPoolGiB, request.maxNumSeqs));
    return {
      ...verdictOf(request, { kvPoolGiB, kvPoolAtMostGiB, tokensIn }),
      basis: request.checkpoint === undefined ? "formula" : "index",
      npus: layoutNpus(layout),
      pipelineStage,
      budgetGiB,
      weightsGiB: stage.weights / GIB,
      visionGiB: stage.vision / GIB,
      side,
      kvPoolGiB,
      kvPoolAtMostGiB,
      kvBytesPerToken: stage.kvPerToken,
      stateMiBPerSequence: stage.statePerSequence / MIB,
      statesPerSequence,
      kvTokens,
      maxConcurrency: kvTokens / request.maxModelLen,
    };
  }
}

/** Below 0 when `a` has less room than `b`: by verdict, then by tokens, then by pool. */
export function compareFits(a: FitOutcome, b: FitOutcome): number {
  if (a.verdict !== b.verdict) {
    return VERDICT_ORDER.indexOf(a.verdict) - VERDICT_ORDER.indexOf(b.verdict);
  }
  // Two stages without cache have infinitely many tokens both.
  return a.kvTokens === b.kvTokens ? a.kvPoolGiB - b.kvPoolGiB : a.kvTokens - b.kvTokens;
}

export type FitOutcome = Pick<MemoryFit, "verdict" | "kvPoolGiB" | "kvTokens">;

const VERDICT_ORDER: readonly FitVerdict[] = ["no", "tight", "fits"];

/** All side terms together, in GiB. */
export function sideTotal({ peakActivation, nonTorch, graph }: SideTerms): number {
  return peakActivation + nonTorch + graph;
}

/** `HCCL_BUFFSIZE` of the model guides in MB: what the usual non-torch share covers. */
export const GUIDE_BUFFSIZE_MB = 1024;

export const GIB = 2 ** 30;
const MIB = 2 ** 20;

interface Pools {
  readonly kvPoolGiB: number;
  readonly kvPoolAtMostGiB: number;
  /** Tokens that a pool holds beside the states of so many sequences. */
  readonly tokensIn: (poolGiB: number, sequences: number) => number;
}

/**
 * Our rule: 6 GiB of pool with the default side terms are enough; none with the smallest ones is not. And vLLM's own: the
 * pool must hold one sequence of `maxModelLen` (`v1/core/kv_cache_utils.py`, `check_enough_kv_cache_memory`).
 */
function verdictOf(
  { maxModelLen }: FitRequest,
  { kvPoolGiB, kvPoolAtMostGiB, tokensIn }: Pools,
): { readonly verdict: FitVerdict; readonly reason: string } {
  if (kvPoolAtMostGiB <= 0) {
    return {
      verdict: "no",
      reason: `${gib(-kvPoolAtMostGiB)} GiB are missing on each NPU even with the smallest side terms seen`,
    };
  }
  const atMost = tokensIn(kvPoolAtMostGiB, 1);
  if (atMost < maxModelLen) {
    return {
      verdict: "no",
      reason: `the cache holds at most ${Math.floor(atMost)} tokens, and vLLM refuses to start below maxModelLen ${maxModelLen}`,
    };
  }
  if (kvPoolGiB < ENOUGH_POOL_GIB) {
    return {
      verdict: "tight",
      reason: `${gib(kvPoolGiB)} GiB are left for the cache with the usual side terms; below ${ENOUGH_POOL_GIB} GiB it may not start`,
    };
  }
  if (tokensIn(kvPoolGiB, 1) < maxModelLen) {
    return {
      verdict: "tight",
      reason: `with the usual side terms the cache holds ${Math.floor(tokensIn(kvPoolGiB, 1))} tokens, below maxModelLen ${maxModelLen}`,
    };
  }
  return { verdict: "fits", reason: `${gib(kvPoolGiB)} GiB are left for the cache` };
}

/** With expert parallelism the group of MC2 takes 2 × HCCL_BUFFSIZE (vllm-ascend `utils.py:968`). */
function sideTerms({ hcclBuffSizeMb, layout, model }: FitRequest): SideTerms {
  const hasMc2 = layout.enableExpertParallel && model.layers.some(({ mlp }) => mlp.kind === "moe");
  const buffers = hasMc2 ? (2 * (hcclBuffSizeMb ?? 0)) / 1024 : 0;
  return { ...DEFAULT_SIDE, nonTorch: Math.max(DEFAULT_SIDE.nonTorch, buffers) };
}

/** Buffers beyond the default are certain, so the smallest case has them too. */
function smallestSide({ nonTorch }: SideTerms): number {
  return SMALLEST_SIDE_GIB + nonTorch - DEFAULT_SIDE.nonTorch;
}

function gib(value: number): string {
  return value.toFixed(1);
}

/** Seen: activation 0.29-2.0, non-torch 0.5-2.1, graphs 0.23-0.44 GiB (vllm-ascend#10700, #11514). */
const DEFAULT_SIDE: SideTerms = { peakActivation: 1.5, nonTorch: 2.0, graph: 0.4 };
const SMALLEST_SIDE_GIB = 1.0;
const ENOUGH_POOL_GIB = 6;

/** A 64 GB A2 shows 60.96 GiB to vLLM (vllm-ascend#10700); the same share is taken for 32 GB. */
const USABLE_FRACTION = 60.96 / 64;
