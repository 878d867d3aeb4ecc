import { stableJson } from "../render/stable-json.js";
import type { ClusterSpec } from "../spec/cluster-spec.js";
import { headNode } from "./ray-command.js";

export type ServeArgs = Readonly<Record<string, string | true>>;

/**
 * The flags of `vllm serve` by long name; `true` is a bare flag. Kept as a record so that a preview shows one changed
 * flag, not a changed command line.
 */
export function serveArgs(spec: ClusterSpec): ServeArgs {
  const { serve } = spec;
  const flags: Record<string, string | number | boolean | undefined | object> = {
    host: headNode(spec).address,
    port: serve.port,
    "distributed-executor-backend": spec.topology,
    "pipeline-parallel-size": serve.pipelineParallelSize,
    "tensor-parallel-size": serve.tensorParallelSize,
    "enable-expert-parallel": serve.enableExpertParallel,
    seed: serve.seed,
    "max-model-len": serve.maxModelLen,
    "max-num-seqs": serve.maxNumSeqs,
    "max-num-batched-tokens": serve.maxNumBatchedTokens,
    "served-model-name": serve.servedModelName,
    "trust-remote-code": serve.trustRemoteCode,
    "gpu-memory-utilization": serve.gpuMemoryUtilization,
    quantization: serve.quantization,
    ...serve.extraArgs,
  };
  return Object.fromEntries(
    Object.entries(flags).flatMap(([flag, value]): [string, string | true][] => {
      if (value === undefined || value === false) return [];
      if (value === true) return [[flag, true]];
      return [[flag, typeof value === "object" ? stableJson(value) : String(value)]];
    }),
  );
}

/**
 * The argument vector of `vllm serve`. `--flag=value` in one word, because a value may begin with a hyphen and argparse
 * would take it for a flag.
 */
export function serveCommand(spec: ClusterSpec): readonly string[] {
  const flags = Object.entries(serveArgs(spec)).map(([flag, value]) =>
    value === true ? `--${flag}` : `--${flag}=${value}`,
  );
  return ["vllm", "serve", spec.model.path, ...flags];
}
