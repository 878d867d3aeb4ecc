import { expertShare, kvHeadsPerRank, type ParallelLayout, pipelineStages } from "./layout.js";
import { addBytes, type LayerBytes, type ModelBytes } from "./model-bytes.js";
import type { Attention, GatedDeltaNet, Layer, ModelFacts, MoeMlp } from "./model-facts.js";

/** What one rank of a pipeline stage holds, in bytes. */
export interface StageMemory {
  /** Without the image tower. */
  readonly weights: number;
  /** The image tower, on the first stage. */
  readonly vision: number;
  /** Keys and values of one token. */
  readonly kvPerToken: number;
  /** State of the linear attention of one sequence, one copy. */
  readonly statePerSequence: number;
}

/** What is spread over ranks: sizes, and whether drafting layers are loaded. */
export interface SpreadModel {
  readonly model: ModelFacts;
  readonly bytes: ModelBytes;
  /** Whether the layers of multi-token prediction are loaded: with a speculative config only. */
  readonly hasMtp: boolean;
}

/** The memory of one rank of each pipeline stage; the layout must be one that `checkLayout` passes. */
export function stageMemory(
  { model, bytes, hasMtp }: SpreadModel,
  layout: ParallelLayout,
): readonly StageMemory[] {
  const tp = layout.tensorParallelSize;
  const stages = pipelineStages(model.layers.length, layout);
  return stages.map(({ first, end }, index) => {
    const isFirst = index === 0;
    const isLast = index === stages.length - 1;
    const layers = model.layers.slice(first, end);
    const parts = bytes.layers.slice(first, end);
    const drafting = hasMtp && isLast;
    const held = drafting ? [...layers, ...model.mtpLayers] : layers;
    const spread = rankBytes(addBytes(drafting ? [...parts, bytes.mtp] : parts), model, layout);
    return {
      weights: spread + vocabularyBytes(bytes, { model, isFirst, isLast, drafting }) / tp,
      vision: isFirst ? bytes.vision : 0,
      kvPerToken: sum(held.map((layer) => kvBytes(layer, tp))),
      statePerSequence: sum(held.map((layer) => stateBytes(layer, tp))),
    };
  });
}

function rankBytes(part: LayerBytes, model: ModelFacts, layout: ParallelLayout): number {
  const tp = layout.tensorParallelSize;
  // All layers of a model that have key-value heads, or experts, have as many.
  const kvHeads = attentionOf(model)?.kvHeads ?? 1;
  const experts = moeOf(model)?.experts ?? 1;
  return (
    part.sharded / tp +
    (part.keyValue * kvHeadsPerRank(kvHeads, tp)) / kvHeads +
    part.experts * expertShare(experts, layout) +
    part.replicated
  );
}

interface StagePlace {
  readonly model: ModelFacts;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly drafting: boolean;
}

/**
 * Embedding and head on a stage, before tensor parallelism. The last stage has a copy of the embedding of its own where it
 * is the head, or where it drafts tokens (vLLM `spec_decode/llm_base_proposer.py` shares it only without pipeline).
 */
function vocabularyBytes(bytes: ModelBytes, place: StagePlace): number {
  const { model, isFirst, isLast, drafting } = place;
  const needsCopy = isLast && !isFirst && (model.tiesEmbeddings || drafting);
  return (isFirst || needsCopy ? bytes.embedding : 0) + (isLast ? bytes.head : 0);
}

function kvBytes({ mixer }: Layer, tp: number): number {
  switch (mixer.kind) {
    case "attention":
      return 2 * kvHeadsPerRank(mixer.kvHeads, tp) * mixer.headDim * KV_BYTES;
    case "mla":
      // One compressed vector that every rank holds.
      return (mixer.kvRank + mixer.ropeHeadDim) * KV_BYTES;
    case "gdn":
      return 0;
    default:
      return mixer satisfies never;
  }
}

function stateBytes({ mixer }: Layer, tp: number): number {
  return mixer.kind === "gdn" ? (recurrentBytes(mixer) + convolutionBytes(mixer)) / tp : 0;
}

function recurrentBytes(mixer: GatedDeltaNet): number {
  return mixer.valueHeads * mixer.keyHeadDim * mixer.valueHeadDim * RECURRENT_STATE_BYTES;
}

function convolutionBytes(mixer: GatedDeltaNet): number {
  const channels = 2 * mixer.keyHeads * mixer.keyHeadDim + mixer.valueHeads * mixer.valueHeadDim;
  return channels * (mixer.convKernel - 1) * KV_BYTES;
}

function attentionOf({ layers, mtpLayers }: ModelFacts): Attention | undefined {
  const mixer = [layers, mtpLayers].flat().find((layer) => layer.mixer.kind === "attention")?.mixer;
  return mixer?.kind === "attention" ? mixer : undefined;
}

function moeOf({ layers, mtpLayers }: ModelFacts): MoeMlp | undefined {
  const mlp = [layers, mtpLayers].flat().find((layer) => layer.mlp.kind === "moe")?.mlp;
  return mlp?.kind === "moe" ? mlp : undefined;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** BF16, also for the convolution's window. */
const KV_BYTES = 2;
/** `mamba_ssm_dtype: float32` in the config of Qwen3.5. */
const RECURRENT_STATE_BYTES = 4;
