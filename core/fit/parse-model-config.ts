import { z } from "zod";
import type {
  Attention,
  DenseMlp,
  GatedDeltaNet,
  Layer,
  ModelFacts,
  MoeMlp,
} from "./model-facts.js";

/** What a config.json says, or that nothing here knows how such a model uses memory. */
export type ParsedModelConfig =
  | { readonly kind: "known"; readonly model: ModelFacts }
  | { readonly kind: "unknown"; readonly architecture: string }
  | { readonly kind: "invalid"; readonly issues: readonly string[] };

/**
 * Reads config.json of a model. Never throws: what it does not know it says.
 *
 * Keys and defaults: transformers and vLLM 0.23 `transformers_utils/configs/`.
 */
export function parseModelConfig(raw: unknown): ParsedModelConfig {
  const head = headSchema.safeParse(raw);
  if (!head.success) return { kind: "invalid", issues: issuesOf(head.error) };
  const architecture = head.data.architectures[0]!;
  const reader = READERS[architecture];
  if (reader === undefined) return { kind: "unknown", architecture };
  try {
    const facts = reader.read(raw);
    const isVerified = reader.isVerified;
    return { kind: "known", model: { architecture, isVerified, ...facts } };
  } catch (error) {
    if (error instanceof z.ZodError) return { kind: "invalid", issues: issuesOf(error) };
    throw error;
  }
}

type Facts = Omit<ModelFacts, "architecture" | "isVerified">;

interface Reader {
  readonly isVerified: boolean;
  /** @throws ZodError with every field that is missing or of another type. */
  readonly read: (raw: unknown) => Facts;
}

const size = z.int().min(1).max(1e9);
const count = z.int().min(0).max(1e6);

const headSchema = z.looseObject({ architectures: z.array(z.string().min(1)).min(1) });

const commonShape = {
  hidden_size: size,
  vocab_size: size,
  num_hidden_layers: z.int().min(1).max(10_000),
  num_attention_heads: size,
  tie_word_embeddings: z.boolean().default(false),
};

const attentionShape = { num_key_value_heads: size.nullish(), head_dim: size.nullish() };

const denseSchema = z.looseObject({ ...commonShape, ...attentionShape, intermediate_size: size });

const qwen3MoeSchema = z.looseObject({
  ...commonShape,
  ...attentionShape,
  intermediate_size: size.optional(),
  num_experts: size,
  moe_intermediate_size: size,
  decoder_sparse_step: size.default(1),
  mlp_only_layers: z.array(count).nullish(),
});

const LINEAR = "linear_attention";

const qwen35Schema = z.looseObject({
  ...commonShape,
  num_key_value_heads: size,
  head_dim: size,
  attn_output_gate: z.boolean().default(true),
  layer_types: z.array(z.enum([LINEAR, "full_attention"])).nullish(),
  full_attention_interval: size.default(4),
  linear_num_key_heads: size,
  linear_key_head_dim: size,
  linear_num_value_heads: size,
  linear_value_head_dim: size,
  linear_conv_kernel_dim: size,
  mtp_num_hidden_layers: count.default(0),
});

const qwen35DenseSchema = z.looseObject({ intermediate_size: size });

const qwen35MoeSchema = z.looseObject({
  num_experts: size,
  moe_intermediate_size: size,
  shared_expert_intermediate_size: count.default(0),
});

const deepseekSchema = z.looseObject({
  ...commonShape,
  intermediate_size: size,
  q_lora_rank: size.nullish(),
  kv_lora_rank: size,
  qk_nope_head_dim: size,
  qk_rope_head_dim: size,
  v_head_dim: size,
  n_routed_experts: size.nullish(),
  n_shared_experts: count.nullish(),
  moe_intermediate_size: size.optional(),
  first_k_dense_replace: count.default(0),
  moe_layer_freq: size.default(1),
  num_nextn_predict_layers: count.default(0),
});

const READERS: Readonly<Record<string, Reader>> = {
  Qwen3ForCausalLM: { isVerified: true, read: readDense },
  Qwen3MoeForCausalLM: { isVerified: true, read: readQwen3Moe },
  Qwen3_5ForConditionalGeneration: { isVerified: true, read: readQwen35 },
  Qwen3_5MoeForConditionalGeneration: { isVerified: true, read: readQwen35 },
  Qwen3_5ForCausalLM: { isVerified: true, read: readQwen35 },
  Qwen3_5MoeForCausalLM: { isVerified: true, read: readQwen35 },
  LlamaForCausalLM: { isVerified: false, read: readDense },
  DeepseekV2ForCausalLM: { isVerified: false, read: readDeepseek },
  DeepseekV3ForCausalLM: { isVerified: false, read: readDeepseek },
};

/** Architectures with formulas, for messages and the documentation's test. */
export const KNOWN_ARCHITECTURES: readonly {
  readonly name: string;
  readonly isVerified: boolean;
}[] = Object.entries(READERS).map(([name, { isVerified }]) => ({ name, isVerified }));

function readDense(raw: unknown): Facts {
  const config = denseSchema.parse(raw);
  const mixer = attention(config, false);
  const mlp: DenseMlp = { kind: "dense", intermediateSize: config.intermediate_size };
  const layers = repeat(config.num_hidden_layers, (): Layer => ({ mixer, mlp }));
  return { ...common(config), layers, mtpLayers: [], hasVision: false };
}

function readQwen3Moe(raw: unknown): Facts {
  const config = qwen3MoeSchema.parse(raw);
  const mixer = attention(config, false);
  const moe: MoeMlp = {
    kind: "moe",
    experts: config.num_experts,
    intermediateSize: config.moe_intermediate_size,
    sharedIntermediateSize: 0,
    hasSharedGate: false,
  };
  const isDense = (index: number) =>
    (config.mlp_only_layers ?? []).includes(index) ||
    (index + 1) % config.decoder_sparse_step !== 0;
  const layers = repeat(config.num_hidden_layers, (index): Layer => {
    if (!isDense(index)) return { mixer, mlp: moe };
    const { intermediate_size: width } = denseSchema.parse(raw);
    return { mixer, mlp: { kind: "dense", intermediateSize: width } };
  });
  return { ...common(config), layers, mtpLayers: [], hasVision: false };
}

/** The text part lies below `text_config` when the checkpoint sees images. */
function readQwen35(raw: unknown): Facts {
  const top = z
    .looseObject({ text_config: z.unknown().optional(), vision_config: z.unknown().optional() })
    .parse(raw);
  const text = top.text_config ?? raw;
  const config = qwen35Schema.parse(text);
  const full = attention(config, config.attn_output_gate);
  const linear: GatedDeltaNet = {
    kind: "gdn",
    keyHeads: config.linear_num_key_heads,
    keyHeadDim: config.linear_key_head_dim,
    valueHeads: config.linear_num_value_heads,
    valueHeadDim: config.linear_value_head_dim,
    convKernel: config.linear_conv_kernel_dim,
  };
  const mlp = qwen35Mlp(text);
  const isLinear = (index: number) =>
    config.layer_types == null
      ? (index + 1) % config.full_attention_interval !== 0
      : config.layer_types[index] === LINEAR;
  return {
    ...common(config),
    layers: repeat(config.num_hidden_layers, (index): Layer => {
      return { mixer: isLinear(index) ? linear : full, mlp };
    }),
    mtpLayers: repeat(config.mtp_num_hidden_layers, (): Layer => ({ mixer: full, mlp })),
    hasVision: top.vision_config != null,
  };
}

function qwen35Mlp(text: unknown): DenseMlp | MoeMlp {
  const hasExperts =
    z.looseObject({ num_experts: z.unknown().optional() }).parse(text).num_experts != null;
  if (!hasExperts) {
    const { intermediate_size: width } = qwen35DenseSchema.parse(text);
    return { kind: "dense", intermediateSize: width };
  }
  const config = qwen35MoeSchema.parse(text);
  return {
    kind: "moe",
    experts: config.num_experts,
    intermediateSize: config.moe_intermediate_size,
    sharedIntermediateSize: config.shared_expert_intermediate_size,
    hasSharedGate: config.shared_expert_intermediate_size > 0,
  };
}

function readDeepseek(raw: unknown): Facts {
  const config = deepseekSchema.parse(raw);
  const mixer: Layer["mixer"] = {
    kind: "mla",
    heads: config.num_attention_heads,
    queryRank: config.q_lora_rank ?? undefined,
    kvRank: config.kv_lora_rank,
    nopeHeadDim: config.qk_nope_head_dim,
    ropeHeadDim: config.qk_rope_head_dim,
    valueHeadDim: config.v_head_dim,
  };
  const dense: DenseMlp = { kind: "dense", intermediateSize: config.intermediate_size };
  const moe = deepseekMoe(config);
  const mlpOf = (index: number) =>
    index >= config.first_k_dense_replace && index % config.moe_layer_freq === 0
      ? (moe ?? dense)
      : dense;
  return {
    ...common(config),
    layers: repeat(config.num_hidden_layers, (index): Layer => ({ mixer, mlp: mlpOf(index) })),
    mtpLayers: repeat(config.num_nextn_predict_layers, (): Layer => ({ mixer, mlp: moe ?? dense })),
    hasVision: false,
  };
}

function deepseekMoe(config: z.output<typeof deepseekSchema>): MoeMlp | undefined {
  if (config.n_routed_experts == null) return undefined;
  const { moe_intermediate_size: width } = z
    .looseObject({ moe_intermediate_size: size })
    .parse(config);
  return {
    kind: "moe",
    experts: config.n_routed_experts,
    intermediateSize: width,
    sharedIntermediateSize: (config.n_shared_experts ?? 0) * width,
    hasSharedGate: false,
  };
}

interface AttentionConfig {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads?: number | null | undefined;
  readonly head_dim?: number | null | undefined;
}

function attention(config: AttentionConfig, hasOutputGate: boolean): Attention {
  const heads = config.num_attention_heads;
  return {
    kind: "attention",
    heads,
    kvHeads: config.num_key_value_heads ?? heads,
    headDim: config.head_dim ?? Math.floor(config.hidden_size / heads),
    hasOutputGate,
  };
}

function common(config: {
  readonly hidden_size: number;
  readonly vocab_size: number;
  readonly tie_word_embeddings: boolean;
}): Pick<Facts, "hiddenSize" | "vocabSize" | "tiesEmbeddings"> {
  return {
    hiddenSize: config.hidden_size,
    vocabSize: config.vocab_size,
    tiesEmbeddings: config.tie_word_embeddings,
  };
}

function repeat<T>(times: number, item: (index: number) => T): readonly T[] {
  return Array.from({ length: times }, (_, index) => item(index));
}

function issuesOf(error: z.ZodError): readonly string[] {
  return error.issues.map(({ path, message }) => {
    const field = z.core.toDotPath(path);
    return `${field === "" ? "config.json" : field}: ${message}`;
  });
}
