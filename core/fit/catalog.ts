import type { ModelFacts } from "./model-facts.js";
import { parseModelConfig } from "./parse-model-config.js";

/**
 * Facts of public checkpoints, for a look at a stack from a machine that has no weights. The config of the weights on the hosts
 * wins wherever it can be read.
 */
export interface CatalogModel {
  /** Name of the checkpoint in its model repository. */
  readonly name: string;
  readonly model: ModelFacts;
}

/** The checkpoint whose name is in the last part of a path: `…/Qwen3-235B-A22B-w8a8` is a Qwen3-235B-A22B. */
export function catalogModel(modelPath: string): CatalogModel | undefined {
  const folder = modelPath.replace(/\/+$/, "").split("/").at(-1)!.toLowerCase();
  const name = Object.keys(CONFIGS).find((known) => {
    const rest = folder.split(known.toLowerCase());
    return rest.length > 1 && !/^[a-z0-9]/.test(rest[1]!);
  });
  if (name === undefined) return undefined;
  const parsed = parseModelConfig(CONFIGS[name]);
  return parsed.kind === "known" ? { name, model: parsed.model } : undefined;
}

/** Names of all checkpoints of the catalog. */
export function catalogNames(): readonly string[] {
  return Object.keys(CONFIGS);
}

/** The keys of the public config.json files that decide memory. */
const CONFIGS: Readonly<Record<string, unknown>> = {
  "Qwen3-235B-A22B": {
    architectures: ["Qwen3MoeForCausalLM"],
    hidden_size: 4096,
    vocab_size: 151_936,
    num_hidden_layers: 94,
    num_attention_heads: 64,
    num_key_value_heads: 4,
    head_dim: 128,
    num_experts: 128,
    moe_intermediate_size: 1536,
    tie_word_embeddings: false,
  },
  "Qwen3.5-397B-A17B": {
    architectures: ["Qwen3_5MoeForConditionalGeneration"],
    text_config: {
      hidden_size: 4096,
      vocab_size: 248_320,
      num_hidden_layers: 60,
      num_attention_heads: 32,
      num_key_value_heads: 2,
      head_dim: 256,
      attn_output_gate: true,
      full_attention_interval: 4,
      linear_num_key_heads: 16,
      linear_key_head_dim: 128,
      linear_num_value_heads: 64,
      linear_value_head_dim: 128,
      linear_conv_kernel_dim: 4,
      num_experts: 512,
      moe_intermediate_size: 1024,
      shared_expert_intermediate_size: 1024,
      mtp_num_hidden_layers: 1,
      tie_word_embeddings: false,
    },
    vision_config: {},
  },
};
