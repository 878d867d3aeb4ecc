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
  RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES: "topology",
  // ascend-docker-runtime would inject devices beside the planned ones (vllm-modes.md §8).
  ASCEND_VISIBLE_DEVICES: "nodes[].visibleDevices",
  VLLM_API_KEY: "the secret vllm-ascend:apiKey",
  VLLM_CONFIG_ROOT: "the plan (it keeps the API key off the other nodes)",
  RAY_ADDRESS: "topology",
  RAY_AUTH_MODE: "image.rayVersion",
  RAY_AUTH_TOKEN: "image.rayVersion (the token is a file of the nodes)",
  RAY_AUTH_TOKEN_PATH: "image.rayVersion (the token is a file of the nodes)",
  // vLLM takes these for engines of its own (vllm/config/parallel.py).
  VLLM_DP_SIZE: "serve.dataParallelSize",
  VLLM_DP_RANK: "topology",
  VLLM_DP_RANK_LOCAL: "topology",
  VLLM_DP_MASTER_IP: "nodes[].address of the head",
  VLLM_DP_MASTER_PORT: "serve.dataParallelRpcPort",
  // Ray would believe it more than the devices that are there.
  RAY_OVERRIDE_RESOURCES: "nodes[].visibleDevices",
  VLLM_CLUSTER_PROCESS: "the supervisor",
};

/** Long flag of `vllm serve` (without `--` and without `no-`) -> the field that decides it. */
export const MANAGED_FLAGS: Readonly<Record<string, string>> = {
  model: "model.path",
  // A file of flags would go past every check.
  config: "the stack file: write its flags under serve",
  host: "nodes[].address of the head",
  port: "serve.port",
  "api-key": "the secret vllm-ascend:apiKey",
  "served-model-name": "serve.servedModelName",
  "distributed-executor-backend": "topology",
  "tensor-parallel-size": "serve.tensorParallelSize",
  "pipeline-parallel-size": "serve.pipelineParallelSize",
  // It multiplies the NPUs of an engine, which the plan counts.
  "prefill-context-parallel-size": "the other parallel sizes",
  "enable-expert-parallel": "serve.enableExpertParallel",
  "max-model-len": "serve.maxModelLen",
  "max-num-seqs": "serve.maxNumSeqs",
  "max-num-batched-tokens": "serve.maxNumBatchedTokens",
  "gpu-memory-utilization": "serve.gpuMemoryUtilization",
  seed: "serve.seed",
  quantization: "serve.quantization",
  "trust-remote-code": "serve.trustRemoteCode",
  nnodes: "nodes",
  "node-rank": "the order of nodes",
  "master-addr": "nodes[].address of the head",
  "master-port": "serve.masterPort",
  headless: "topology",
  "data-parallel-size": "serve.dataParallelSize",
  "data-parallel-size-local": "nodes[].visibleDevices",
  "data-parallel-start-rank": "the order of nodes",
  "data-parallel-address": "nodes[].address of the head",
  "data-parallel-rpc-port": "serve.dataParallelRpcPort",
  "data-parallel-rank": "topology",
  "data-parallel-backend": "topology",
  "data-parallel-external-lb": "topology",
  "data-parallel-hybrid-lb": "topology",
  "data-parallel-multi-port-external-lb": "topology",
  "data-parallel-supervisor-port": "topology",
  "api-server-count": "serve.apiServerCount",
};
