import { stableJson } from "../render/stable-json.js";
import type {
  ClusterSpec,
  DataParallelClusterSpec,
  MultiprocessingClusterSpec,
  NodeSpec,
} from "../spec/cluster-spec.js";
import { visibleDevices } from "../spec/rules.js";
import { nodePlace } from "./ranks.js";
import { headNode } from "./ray-command.js";

export type ServeArgs = Readonly<Record<string, string | true>>;

/**
 * The flags of `vllm serve` that are the same on all nodes that run it, by long name; `true` is a bare flag. Kept as a record so
 * that a preview shows one changed flag, not a changed command line.
 */
export function commonServeArgs(spec: ClusterSpec): ServeArgs {
  const { serve } = spec;
  return toArgs({
    ...topologyArgs(spec),
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
    // Pulumi hands objects on with sorted keys, a stack file is read in its own order: both must give the same release.
    ...Object.fromEntries(Object.entries(serve.extraArgs).sort(([a], [b]) => (a < b ? -1 : 1))),
  });
}

/** The flags of `vllm serve` that only this node has; `null` on a node that runs no `vllm serve` (a member under Ray). */
export function nodeServeArgs(spec: ClusterSpec, node: NodeSpec): ServeArgs | null {
  const isHead = node.name === headNode(spec).name;
  const http = isHead ? { host: node.address, port: spec.serve.port } : { headless: true };
  switch (spec.topology) {
    case "ray":
      return isHead ? toArgs(http) : null;
    case "data-parallel":
      return toArgs({ ...http, ...engineArgs(spec, node) });
    case "multiprocessing":
      return toArgs({ ...http, ...nodeRankArgs(spec, node) });
  }
}

/**
 * The argument vector of `vllm serve` on a node, or `null` where none runs. `--flag=value` in one word, because a value may begin
 * with a hyphen and argparse would take it for a flag.
 */
export function serveCommand(spec: ClusterSpec, node: NodeSpec): readonly string[] | null {
  const own = nodeServeArgs(spec, node);
  if (own === null) return null;
  const flags = Object.entries({ ...own, ...commonServeArgs(spec) }).map(([flag, value]) =>
    value === true ? `--${flag}` : `--${flag}=${value}`,
  );
  return ["vllm", "serve", spec.model.path, ...flags];
}

/** Engines of data parallelism that lie on a node. */
export function localEngines(spec: DataParallelClusterSpec, node: NodeSpec): number {
  return visibleDevices(spec, node).length / engineNpus(spec);
}

function engineNpus({ serve }: DataParallelClusterSpec): number {
  return serve.tensorParallelSize * serve.pipelineParallelSize;
}

type Flags = Readonly<Record<string, string | number | boolean | undefined | object>>;

/** How the ranks find each other. */
function topologyArgs(spec: ClusterSpec): Flags {
  const { address } = headNode(spec);
  switch (spec.topology) {
    case "ray":
      return { "distributed-executor-backend": "ray" };
    case "data-parallel":
      return {
        "data-parallel-size": spec.serve.dataParallelSize,
        "data-parallel-address": address,
        "data-parallel-rpc-port": spec.serve.dataParallelRpcPort,
      };
    case "multiprocessing":
      return {
        // vLLM 0.23 `config/parallel.py` chooses it by itself for several nodes on CUDA only.
        "distributed-executor-backend": "mp",
        ...(spec.nodes.length === 1
          ? {}
          : {
              nnodes: spec.nodes.length,
              "master-addr": address,
              "master-port": spec.serve.masterPort,
            }),
      };
  }
}

/**
 * Internal load balancing: only the head has API servers, and the start rank belongs to headless members. On a node with HTTP it
 * would turn on another mode of load balancing, which the head then refuses (vLLM 0.23 `engine/arg_utils.py`).
 */
function engineArgs(spec: DataParallelClusterSpec, node: NodeSpec): Flags {
  const { index, firstRank } = nodePlace(spec, node);
  return {
    "data-parallel-size-local": localEngines(spec, node),
    ...(index === 0
      ? { "api-server-count": spec.serve.apiServerCount }
      : { "data-parallel-start-rank": firstRank / engineNpus(spec) }),
  };
}

function nodeRankArgs(spec: MultiprocessingClusterSpec, node: NodeSpec): Flags {
  return spec.nodes.length === 1 ? {} : { "node-rank": nodePlace(spec, node).index };
}

function toArgs(flags: Flags): ServeArgs {
  return Object.fromEntries(
    Object.entries(flags).flatMap(([flag, value]): [string, string | true][] => {
      if (value === undefined || value === false) return [];
      if (value === true) return [[flag, true]];
      return [[flag, typeof value === "object" ? stableJson(value) : String(value)]];
    }),
  );
}
