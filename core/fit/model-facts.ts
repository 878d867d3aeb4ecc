/**
 * What decides the memory of a model, from its config.json. Sizes are counts of elements, not bytes.
 */
export interface ModelFacts {
  /** `architectures[0]` of config.json, e.g. `Qwen3MoeForCausalLM`. */
  readonly architecture: string;
  /** Whether the formulas were held against known figures for this architecture: docs/memory-fit.md. */
  readonly isVerified: boolean;
  readonly hiddenSize: number;
  readonly vocabSize: number;
  /** One matrix serves as embedding and head. */
  readonly tiesEmbeddings: boolean;
  /** The decoder layers in order. */
  readonly layers: readonly Layer[];
  /** Layers that draft tokens (multi-token prediction), after the decoder's; empty without. */
  readonly mtpLayers: readonly Layer[];
  /** Images are encoded by a tower of its own. */
  readonly hasVision: boolean;
}

export interface Layer {
  readonly mixer: Attention | GatedDeltaNet | LatentAttention;
  readonly mlp: DenseMlp | MoeMlp;
}

/** Grouped-query attention: caches keys and values of every token. */
export interface Attention {
  readonly kind: "attention";
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** The query projection is twice as wide (`attn_output_gate`). */
  readonly hasOutputGate: boolean;
}

/** Linear attention of Qwen3.5: a state of fixed size per sequence, nothing per token. */
export interface GatedDeltaNet {
  readonly kind: "gdn";
  readonly keyHeads: number;
  readonly keyHeadDim: number;
  readonly valueHeads: number;
  readonly valueHeadDim: number;
  readonly convKernel: number;
}

/** Multi-head latent attention of DeepSeek: caches one compressed vector per token, on every rank. */
export interface LatentAttention {
  readonly kind: "mla";
  readonly heads: number;
  /** Unset: queries are not compressed. */
  readonly queryRank: number | undefined;
  readonly kvRank: number;
  readonly nopeHeadDim: number;
  readonly ropeHeadDim: number;
  readonly valueHeadDim: number;
}

export interface DenseMlp {
  readonly kind: "dense";
  readonly intermediateSize: number;
}

export interface MoeMlp {
  readonly kind: "moe";
  readonly experts: number;
  /** Width of one routed expert. */
  readonly intermediateSize: number;
  /** Width of all shared experts together; 0 without. */
  readonly sharedIntermediateSize: number;
  /** A further row weighs the shared expert. */
  readonly hasSharedGate: boolean;
}
