/**
 * Variables and flags that the plan owns. A stack that sets one of them by hand would silently contradict the plan on one
 * node, which is the mistake this product exists to prevent.
 */

/** Environment variable -> the field that decides it. */
export const MANAGED_ENV: Readonly<Record<string, string>> = {
  HCCL_IF_IP: "nodes[].address",
  VLLM_HOST_IP: "nodes[].address",
  GLOO_SOCKET_IFNAME: "socketInterface",
  TP_SOCKET_IFNAME: "socketInterface",
  HCCL_SOCKET_IFNAME: "socketInterface",
  ASCEND_RT_VISIBLE_DEVICES: "nodes[].visibleDevices",
  RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES: "the Ray topology",
  // ascend-docker-runtime would inject devices beside the planned ones (vllm-modes.md §8).
  ASCEND_VISIBLE_DEVICES: "nodes[].visibleDevices",
  VLLM_API_KEY: "the secret vllm-ascend:apiKey",
  VLLM_CONFIG_ROOT: "the plan (it keeps the API key off the other nodes)",
  RAY_ADDRESS: "the Ray topology",
  VLLM_CLUSTER_PROCESS: "the supervisor",
};

/** Long flag of `vllm serve` (without `--` and without `no-`) -> the field that decides it. */
export const MANAGED_FLAGS: Readonly<Record<string, string>> = {
  model: "model.path",
  host: "nodes[].address of the head",
  port: "serve.port",
  "api-key": "the secret vllm-ascend:apiKey",
  "served-model-name": "serve.servedModelName",
  "distributed-executor-backend": "topology",
  "tensor-parallel-size": "serve.tensorParallelSize",
  "pipeline-parallel-size": "serve.pipelineParallelSize",
  "enable-expert-parallel": "serve.enableExpertParallel",
  "max-model-len": "serve.maxModelLen",
  "max-num-seqs": "serve.maxNumSeqs",
  "max-num-batched-tokens": "serve.maxNumBatchedTokens",
  "gpu-memory-utilization": "serve.gpuMemoryUtilization",
  seed: "serve.seed",
  quantization: "serve.quantization",
  "trust-remote-code": "serve.trustRemoteCode",
  nnodes: "topology",
  "node-rank": "topology",
  "master-addr": "topology",
  "master-port": "topology",
  headless: "topology",
  "data-parallel-size": "topology",
  "data-parallel-size-local": "topology",
  "data-parallel-start-rank": "topology",
  "data-parallel-address": "topology",
  "data-parallel-rpc-port": "topology",
  "data-parallel-rank": "topology",
  "data-parallel-backend": "topology",
  "api-server-count": "topology",
};
