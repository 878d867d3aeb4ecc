import type { Layer, ModelFacts } from "./model-facts.js";

/** Where the sizes of the weights come from: `index` = the checkpoint itself, `formula` = its config.json. */
export type WeightsBasis = "formula" | "index";

/** Weights of a whole model in bytes, sorted by how vLLM spreads them over ranks. */
export interface ModelBytes {
  /** The decoder layers in order. */
  readonly layers: readonly LayerBytes[];
  /** All layers of multi-token prediction together. */
  readonly mtp: LayerBytes;
  readonly embedding: number;
  /** 0 when the embedding serves as head. */
  readonly head: number;
  /** Tower that encodes images. */
  readonly vision: number;
}

export interface LayerBytes {
  /** Cut over the tensor-parallel ranks. */
  readonly sharded: number;
  /** Key and value projections: cut, and repeated where there are more ranks than heads. */
  readonly keyValue: number;
  /** Routed experts: spread over all tensor- and data-parallel ranks. */
  readonly experts: number;
  /** Whole on every rank. */
  readonly replicated: number;
}

/** Format of a checkpoint's weights: W8A8 and W4A8 as made for vllm-ascend. */
export type Quantization = "bf16" | "w8a8" | "w4a8";
export const QUANTIZATIONS = ["bf16", "w8a8", "w4a8"] as const satisfies readonly Quantization[];

export const NO_BYTES: LayerBytes = { sharded: 0, keyValue: 0, experts: 0, replicated: 0 };

/**
 * The bytes of a model by formula: every matrix of a layer in the checkpoint's format; router, embedding, head and
 * the projection of multi-token prediction in BF16. Norms and scales are left out (below 0.1 %).
 */
export function formulaBytes(model: ModelFacts, quantization: Quantization): ModelBytes {
  const width = BYTES_PER_WEIGHT[quantization];
  const layerBytes = (layer: Layer) => bytesOfLayer(layer, model.hiddenSize, width);
  const matrix = paddedVocabulary(model.vocabSize) * model.hiddenSize * BF16;
  return {
    layers: model.layers.map(layerBytes),
    mtp: addBytes(
      model.mtpLayers.map((layer) =>
        addBytes([
          layerBytes(layer),
          { ...NO_BYTES, replicated: 2 * model.hiddenSize * model.hiddenSize * BF16 },
        ]),
      ),
    ),
    embedding: matrix,
    head: model.tiesEmbeddings ? 0 : matrix,
    vision: model.hasVision ? VISION_BYTES : 0,
  };
}

/**
 * The same model with the total size that its checkpoint has: some layers of a W8A8 or W4A8 checkpoint are BF16, and which
 * ones the total does not tell, so they are assumed to be spread evenly. Undefined when the total cannot be this model's.
 */
export function scaledToTotal(bytes: ModelBytes, totalBytes: number): ModelBytes | undefined {
  const quantized = addBytes([...bytes.layers, bytes.mtp]);
  const scalable = quantized.sharded + quantized.keyValue + quantized.experts;
  const fixed = quantized.replicated + bytes.embedding + bytes.head + bytes.vision;
  const factor = (totalBytes - fixed) / scalable;
  if (!(factor > 0.2 && factor < 5)) return undefined;
  const scale = (layer: LayerBytes): LayerBytes => ({
    sharded: layer.sharded * factor,
    keyValue: layer.keyValue * factor,
    experts: layer.experts * factor,
    replicated: layer.replicated,
  });
  return { ...bytes, layers: bytes.layers.map(scale), mtp: scale(bytes.mtp) };
}

/** All weights together, in bytes. */
export function totalBytes({ layers, mtp, embedding, head, vision }: ModelBytes): number {
  const sum = addBytes([...layers, mtp]);
  return sum.sharded + sum.keyValue + sum.experts + sum.replicated + embedding + head + vision;
}

export function addBytes(parts: readonly LayerBytes[]): LayerBytes {
  const sum = { ...NO_BYTES };
  for (const part of parts) {
    sum.sharded += part.sharded;
    sum.keyValue += part.keyValue;
    sum.experts += part.experts;
    sum.replicated += part.replicated;
  }
  return sum;
}

interface BytesPerWeight {
  readonly matrix: number;
  readonly expert: number;
}

function bytesOfLayer({ mixer, mlp }: Layer, hidden: number, width: BytesPerWeight): LayerBytes {
  const attention = mixerWeights(mixer, hidden);
  const feedForward = mlpWeights(mlp, hidden);
  return {
    sharded: (attention.sharded + feedForward.sharded) * width.matrix,
    keyValue: attention.keyValue * width.matrix,
    experts: feedForward.experts * width.expert,
    replicated: attention.replicated * width.matrix + feedForward.router * BF16,
  };
}

interface MixerWeights {
  readonly sharded: number;
  readonly keyValue: number;
  readonly replicated: number;
}

function mixerWeights(mixer: Layer["mixer"], hidden: number): MixerWeights {
  switch (mixer.kind) {
    case "attention": {
      const query = mixer.heads * mixer.headDim;
      return {
        sharded: hidden * query * (mixer.hasOutputGate ? 2 : 1) + query * hidden,
        keyValue: 2 * hidden * mixer.kvHeads * mixer.headDim,
        replicated: 0,
      };
    }
    case "gdn": {
      const key = mixer.keyHeads * mixer.keyHeadDim;
      const value = mixer.valueHeads * mixer.valueHeadDim;
      const input = hidden * (2 * key + 2 * value) + 2 * hidden * mixer.valueHeads;
      const convolution = mixer.convKernel * (2 * key + value);
      return { sharded: input + convolution + value * hidden, keyValue: 0, replicated: 0 };
    }
    case "mla": {
      const { heads, queryRank, kvRank, nopeHeadDim, ropeHeadDim, valueHeadDim } = mixer;
      const query = heads * (nopeHeadDim + ropeHeadDim);
      return {
        sharded:
          (queryRank ?? hidden) * query +
          kvRank * heads * (nopeHeadDim + valueHeadDim) +
          heads * valueHeadDim * hidden,
        keyValue: 0,
        // The two projections down are small and whole on every rank (vLLM `deepseek_v2.py`).
        replicated: hidden * (queryRank ?? 0) + hidden * (kvRank + ropeHeadDim),
      };
    }
    default:
      return mixer satisfies never;
  }
}

function mlpWeights(
  mlp: Layer["mlp"],
  hidden: number,
): { readonly sharded: number; readonly experts: number; readonly router: number } {
  if (mlp.kind === "dense") {
    return { sharded: 3 * hidden * mlp.intermediateSize, experts: 0, router: 0 };
  }
  return {
    sharded: 3 * hidden * mlp.sharedIntermediateSize + (mlp.hasSharedGate ? hidden : 0),
    experts: mlp.experts * 3 * hidden * mlp.intermediateSize,
    router: hidden * mlp.experts,
  };
}

/** vLLM pads the vocabulary to a multiple of 64 (`vocab_parallel_embedding.py:32`). */
function paddedVocabulary(vocabSize: number): number {
  return Math.ceil(vocabSize / 64) * 64;
}

const BF16 = 2;

const BYTES_PER_WEIGHT: Readonly<Record<Quantization, BytesPerWeight>> = {
  bf16: { matrix: 2, expert: 2 },
  w8a8: { matrix: 1, expert: 1 },
  w4a8: { matrix: 1, expert: 0.5 },
};

/** The tower of Qwen3.5 has about 0.45 B weights in BF16; rounded up, because the formula does not read its config. */
const VISION_BYTES = 2 ** 30;
