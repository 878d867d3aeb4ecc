import { catalogModel } from "../../../core/fit/catalog.js";
import type { FitRequest } from "../../../core/fit/judge-fit.js";
import type { ModelFacts } from "../../../core/fit/model-facts.js";
import { parseModelConfig } from "../../../core/fit/parse-model-config.js";

/** The facts of a config that must be a known one. */
export function modelOf(config: unknown): ModelFacts {
  const parsed = parseModelConfig(config);
  if (parsed.kind === "known") return parsed.model;
  throw new Error(`not a known config: ${JSON.stringify(parsed)}`);
}

export const QWEN3_235B = catalogModel("Qwen3-235B-A22B")!.model;
export const QWEN35_397B = catalogModel("Qwen3.5-397B-A17B")!.model;

/** config.json of public models, the keys that decide memory. */
export const QWEN3_14B = {
  architectures: ["Qwen3ForCausalLM"],
  ...{ hidden_size: 5120, intermediate_size: 17_408, vocab_size: 151_936, num_hidden_layers: 40 },
  ...{ num_attention_heads: 40, num_key_value_heads: 8, head_dim: 128 },
  tie_word_embeddings: false,
};

export const LLAMA_70B = {
  architectures: ["LlamaForCausalLM"],
  ...{ hidden_size: 8192, intermediate_size: 28_672, vocab_size: 128_256, num_hidden_layers: 80 },
  ...{ num_attention_heads: 64, num_key_value_heads: 8 },
};

export const DEEPSEEK_V3 = {
  architectures: ["DeepseekV3ForCausalLM"],
  ...{ hidden_size: 7168, intermediate_size: 18_432, vocab_size: 129_280, num_hidden_layers: 61 },
  ...{ num_attention_heads: 128, q_lora_rank: 1536, kv_lora_rank: 512 },
  ...{ qk_nope_head_dim: 128, qk_rope_head_dim: 64, v_head_dim: 128 },
  ...{ n_routed_experts: 256, n_shared_experts: 1, moe_intermediate_size: 2048 },
  ...{ first_k_dense_replace: 3, moe_layer_freq: 1, num_nextn_predict_layers: 1 },
};

/** A request on 64 GB NPUs at utilization 0.9. */
export function aRequest(changes: Partial<FitRequest> = {}, tp = 8, pp = 1, dp = 1): FitRequest {
  return {
    model: QWEN3_235B,
    quantization: "bf16",
    layout: {
      tensorParallelSize: tp,
      pipelineParallelSize: pp,
      dataParallelSize: dp,
      enableExpertParallel: true,
    },
    maxModelLen: 8192,
    maxNumSeqs: 16,
    gpuMemoryUtilization: 0.9,
    npuMemoryGib: 64,
    ...changes,
  };
}
