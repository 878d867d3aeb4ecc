import { hardwareSeries } from "../hardware/series.js";
import type { ClusterSpec } from "../spec/cluster-spec.js";
import type { MemoryDemand } from "./judge-fit.js";
import type { Quantization } from "./model-bytes.js";

/** What a stack asks of memory. */
export function memoryDemand(spec: ClusterSpec): MemoryDemand {
  const { serve } = spec;
  return {
    layout: {
      tensorParallelSize: serve.tensorParallelSize,
      pipelineParallelSize: serve.pipelineParallelSize,
      dataParallelSize: serve.dataParallelSize,
      enableExpertParallel: serve.enableExpertParallel,
      ...optional("pipelineLayerPartition", layerPartition(spec.env["VLLM_PP_LAYER_PARTITION"])),
    },
    maxModelLen: serve.maxModelLen,
    maxNumSeqs: serve.maxNumSeqs,
    gpuMemoryUtilization: serve.gpuMemoryUtilization,
    npuMemoryGib: smallestNpuGib(spec),
    numSpeculativeTokens: draftedTokens(serve.extraArgs["speculative-config"]),
    ...optional("hcclBuffSizeMb", wholeNumber(spec.env["HCCL_BUFFSIZE"])),
  };
}

/**
 * The format that a stack suggests, for when the checkpoint itself cannot be asked: quantized checkpoints for vllm-ascend carry
 * it in their names, and `quantization: ascend` is for them.
 */
export function suggestedQuantization({ serve, model }: ClusterSpec): Quantization {
  const named = /w[48]a8/i.exec(model.path)?.[0].toLowerCase();
  if (named === "w4a8" || named === "w8a8") return named;
  return serve.quantization === undefined ? "bf16" : "w8a8";
}

/** All ranks get as many cache blocks as the one with the least memory. */
function smallestNpuGib({ nodes, series }: ClusterSpec): number {
  return Math.min(
    ...nodes.map(({ npuMemoryGib }) => npuMemoryGib ?? hardwareSeries(series).npuMemoryGib),
  );
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}

/** Tokens that the model's own drafting layers draft; 0 when nothing or another model drafts. */
function draftedTokens(config: unknown): number {
  const { method, num_speculative_tokens: tokens } = asRecord(config);
  // `mtp`, and the older `qwen3_5_mtp`, `deepseek_mtp` (vLLM `config/speculative.py:752`).
  if (typeof method !== "string" || !method.endsWith("mtp")) return 0;
  return typeof tokens === "number" && tokens >= 1 ? Math.floor(tokens) : 1;
}

/** Given as a map, or as the JSON text of the command line; vLLM itself refuses what is neither. */
function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "string") {
    try {
      return asRecord(JSON.parse(value));
    } catch {
      return {};
    }
  }
  return value !== null && typeof value === "object" ? (value as Record<string, unknown>) : {};
}

function layerPartition(value: string | undefined): readonly number[] | undefined {
  const counts = value?.split(",").map(wholeNumber);
  return counts?.every((count) => count !== undefined) ? counts : undefined;
}

function wholeNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^\s*\d{1,6}\s*$/.test(value) ? Number(value) : undefined;
}
