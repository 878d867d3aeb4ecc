import type { TopologyPage } from "./manual-commands.js";

const HEAD = "192.0.2.11";
const MEMBER = "192.0.2.12";
const INTERFACE = "enp67s0f0";
const QWEN3 = "/data/models/Qwen3-235B-A22B";
const DEVICES = "0,1,2,3,4,5,6,7";

const ENV_OF_PLAN = "of the stack; the plan gives each node its own value";

/** Holds for every topology. */
export const COMMON_REASONS: Readonly<Record<string, string>> = {
  "env HF_HUB_OFFLINE":
    "the model is a directory of the node; a typo in its path is told at once instead of asking a hub for minutes",
  "env VLLM_NO_USAGE_STATS": "servers without a way out would wait for it",
  "env VLLM_HOST_IP":
    "the address that vLLM advertises; without it vLLM takes that of the default route",
  "env HCCL_SOCKET_IFNAME":
    "HCCL's host traffic on the planned interface, by its exact name (`enp67s0f0` alone would match `enp67s0f0np0`, too)",
  "env HCCL_IF_IP": ENV_OF_PLAN,
  "env GLOO_SOCKET_IFNAME": ENV_OF_PLAN,
  "env TP_SOCKET_IFNAME": ENV_OF_PLAN,
  "env ASCEND_RT_VISIBLE_DEVICES":
    "ranks of a node = its visible NPUs; `nodes[].visibleDevices` says which",
  "serve --host": "only the planned address of the head, not all addresses of the machine",
  "serve --port": "vLLM's default, written down: the preflight looks whether it is free",
  "serve --pipeline-parallel-size": "vLLM's default, written down",
};

export const TOPOLOGY_PAGES: readonly TopologyPage[] = [
  {
    topology: "ray",
    stack: "qwen3-235b-ray-tp8-pp2",
    title: "Topology `ray`",
    intro: `One engine whose ranks Ray places over all nodes: \`tensorParallelSize\` × \`pipelineParallelSize\` = NPUs of all nodes. The head runs
\`vllm serve\`, the others only \`ray start\`. Stacks:
[TP8 × PP2](../../stacks/Pulumi.qwen3-235b-ray-tp8-pp2.yaml), [TP16](../../stacks/Pulumi.qwen3-235b-ray-tp16.yaml).

The maintainers of vllm-ascend recommend [\`multiprocessing\`](multiprocessing.md) for the same shapes
([vllm-ascend#3529](https://github.com/vllm-project/vllm-ascend/issues/3529)).`,
    source:
      "[Multi-Node-Ray](https://github.com/vllm-project/vllm-ascend/blob/v0.23.0/docs/source/tutorials/features/ray.md) of vllm-ascend",
    manual: [
      {
        node: "node0",
        env: rayGuideEnv(HEAD),
        ray: ["ray start", "--head"],
        serve: [
          `vllm serve ${QWEN3}`,
          "--distributed-executor-backend ray",
          "--pipeline-parallel-size 2",
          "--tensor-parallel-size 8",
          "--enable-expert-parallel",
          "--seed 1024",
          "--max-model-len 8192",
          "--max-num-seqs 25",
          "--served-model-name qwen",
          "--trust-remote-code",
          "--gpu-memory-utilization 0.9",
        ],
      },
      {
        node: "node1",
        env: rayGuideEnv(MEMBER),
        ray: ["ray start", `--address=${HEAD}:6379`, `--node-ip-address=${MEMBER}`],
      },
    ],
    reasons: {
      "env VLLM_CONFIG_ROOT":
        "holds the list of variables that Ray's executor must not copy to other nodes: the API key, and what differs per node",
      "env HCCL_SOCKET_IFNAME":
        "missing in the guide; HCCL's host traffic on the planned interface, by its exact name",
      "ray --node-ip-address":
        "the guide gives it to the worker only; on a head with several addresses Ray takes another one than vLLM, and vLLM waits 1800 s for its placement group",
      "ray --port": "Ray's default, written down",
      "ray --include-dashboard": "nobody reads it, and it is one more port without authentication",
      "ray --node-manager-port": "else random: a firewall and the preflight need to know it",
      "ray --object-manager-port": "else random",
      "ray --runtime-env-agent-port": "else random",
      "ray --dashboard-agent-grpc-port": "else random",
      "ray --dashboard-agent-listen-port": "beside the others instead of 52365",
      "ray --metrics-export-port": "else random",
      "ray --min-worker-port": "Ray's default, written down",
      "ray --max-worker-port": "1000 ports instead of 10000 to keep free",
      "ray --object-store-memory":
        "below the container's `/dev/shm`; else Ray refuses, or falls back to `/tmp`",
      "ray --disable-usage-stats": "servers without a way out would wait for it",
      "ray --block":
        "makes `ray start` a process that ends with its raylet, so that it can be supervised",
    },
    notes: `## What is looked at

- Ray is ready when every planned node is alive with its own address and its NPUs, and all NPUs are free; serve, when a completion was
  answered. \`/health\` is not asked: it stays 200 while completions hang.
- A new flag of \`vllm serve\` leaves Ray running; a new environment variable restarts both.

## Known trouble

- Expert parallelism with pipeline parallelism on Ray: error 507014 on old images
  ([vllm-ascend#3529](https://github.com/vllm-project/vllm-ascend/issues/3529),
  [#4123](https://github.com/vllm-project/vllm-ascend/issues/4123)). Remedy: topology \`multiprocessing\`, or no expert parallelism.
- Pipeline parallelism over nodes with 0.18 images: [vllm#37933](https://github.com/vllm-project/vllm/issues/37933).
- Ray before 2.52 has no authentication: whoever reaches its ports runs code.`,
  },
  {
    topology: "data-parallel",
    stack: "qwen3.5-397b-w8a8-dp2-tp8",
    title: "Topology `data-parallel`",
    intro: `Engines that each hold the whole model within one node (\`tensorParallelSize\` × \`pipelineParallelSize\` NPUs), all behind one API on the
head, which balances requests between them; with expert parallelism the experts are spread over the NPUs of all nodes. A node with more
NPUs than an engine needs has several. Every node runs \`vllm serve\`, all but the head headless. Stacks:
[Qwen3.5-397B W8A8](../../stacks/Pulumi.qwen3.5-397b-w8a8-dp2-tp8.yaml),
[Qwen3-235B](../../stacks/Pulumi.qwen3-235b-dp2-tp8.yaml) (tested by vllm-ascend every night).

An engine cannot span nodes here: a model that one node cannot hold needs [\`multiprocessing\`](multiprocessing.md).`,
    source:
      "the parameters of GPUStack's article on this model, which GPUStack appends to `vllm serve <path> --host … --port … --served-model-name …`",
    manual: [
      {
        node: "node0",
        env: articleEnv(HEAD),
        serve: articleServe(`--host ${HEAD}`, ["--api-server-count=2"]),
      },
      {
        node: "node1",
        env: articleEnv(MEMBER),
        serve: articleServe(`--host ${MEMBER}`, ["--data-parallel-start-rank=1", "--headless"]),
      },
    ],
    reasons: {
      "serve --host": "a headless node has no HTTP",
      "serve --port": "a headless node has no HTTP",
    },
    notes: `## What is looked at

- All nodes start at once: an engine waits 5 minutes for the head, the head waits for its engines.
- Ready: a completion was answered, \`/metrics\` shows exactly \`dataParallelSize\` engines, and each of them has answered.
- A headless member answers no HTTP. \`vllm-cluster status\` says "headless, serving through rank 0" when the group serves.
- A headless member outlives a head that died ([vllm#32136](https://github.com/vllm-project/vllm/issues/32136)); the supervisors stop all and
  start all again.
- \`VLLM_ENGINE_READY_TIMEOUT_S\` is \`timeouts.serveStartSec\` unless the stack sets it: vLLM's own 600 s are short for large weights.

## Ports

On the head: \`serve.port\`, \`serve.dataParallelRpcPort\` (13389) and \`supervisor.port\`, which the preflight checks. vLLM takes further ones at
random (ZMQ, its coordinator, gloo in both directions), so all TCP between the nodes' addresses must be allowed.

## From the article

- \`--api-server-count\` belongs to the head and \`--data-parallel-start-rank\` to headless nodes: a start rank without \`--headless\` silently
  chooses another mode of load balancing, which the head then refuses.
- The article gives no \`--quantization\`: vllm-ascend 0.18.0rc1 and later read it from \`quant_model_description.json\` beside the weights.
- In a request, \`chat_template_kwargs\` is a key of the body itself; \`extra_body\` is a notion of the Python SDK.`,
  },
  {
    topology: "multiprocessing",
    stack: "qwen3-235b-mp-tp8-pp2",
    title: "Topology `multiprocessing`",
    intro: `One engine over all nodes, whose ranks vLLM starts by itself (\`--nnodes\`), without Ray: \`tensorParallelSize\` × \`pipelineParallelSize\` =
NPUs of all nodes, and the same number on every node. Every node runs \`vllm serve\`, all but the head headless. Stack:
[TP8 × PP2](../../stacks/Pulumi.qwen3-235b-mp-tp8-pp2.yaml); for TP16 leave out \`pipelineParallelSize\`.`,
    source:
      "[Pipeline Parallelism](https://github.com/vllm-project/vllm-ascend/blob/main/docs/source/user_guide/feature_guide/pipeline_parallel.md) of vllm-ascend, its example for two nodes",
    manual: [
      { node: "node0", env: {}, serve: pipelineGuide("--node-rank 0") },
      { node: "node1", env: {}, serve: pipelineGuide("--node-rank 1", "--headless") },
    ],
    reasons: {
      "serve --enable-expert-parallel":
        "of the stack; the guide's example is a model without experts",
      "serve --seed": "of the stack",
      "serve --max-model-len": "of the stack",
      "serve --max-num-seqs": "of the stack",
      "serve --served-model-name": "of the stack",
      "serve --gpu-memory-utilization": "of the stack",
    },
    notes: `The guide asks for "the required HCCL and communication environment variables" without naming them; the plan sets those that the
multi-node guides of vllm-ascend name.

## What is looked at

- \`--distributed-executor-backend mp\` is explicit: vLLM chooses it by itself for several nodes on CUDA only.
- vLLM tells "same node" by rank ÷ visible NPUs, hence the same number on every node; another one is refused before anything starts.
- All nodes start at once, and the ranks meet at \`serve.masterPort\` (29501) of the head. Ready: a completion was answered.
- A headless member answers no HTTP. \`vllm-cluster status\` says "headless, serving through rank 0" when the group serves.

## Known trouble

- Pipeline parallelism over nodes with 0.18 images: [vllm#37933](https://github.com/vllm-project/vllm/issues/37933).`,
  },
];

function rayGuideEnv(address: string): Readonly<Record<string, string>> {
  return {
    HCCL_IF_IP: address,
    GLOO_SOCKET_IFNAME: INTERFACE,
    TP_SOCKET_IFNAME: INTERFACE,
    RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES: "1",
    ASCEND_RT_VISIBLE_DEVICES: DEVICES,
  };
}

function articleEnv(address: string): Readonly<Record<string, string>> {
  return {
    PYTORCH_NPU_ALLOC_CONF: "expandable_segments:True",
    HCCL_IF_IP: address,
    GLOO_SOCKET_IFNAME: INTERFACE,
    TP_SOCKET_IFNAME: INTERFACE,
    HCCL_SOCKET_IFNAME: INTERFACE,
    OMP_PROC_BIND: "false",
    OMP_NUM_THREADS: "1",
    HCCL_BUFFSIZE: "1024",
    TASK_QUEUE_ENABLE: "1",
    VLLM_ENGINE_READY_TIMEOUT_S: "1500",
  };
}

function articleServe(host: string, own: readonly string[]): readonly string[] {
  return [
    "vllm serve /data/models/Qwen3.5-397B-A17B-w8a8-mtp",
    host,
    "--port 8000",
    "--served-model-name qwen3.5-397b",
    "--data-parallel-size 2",
    "--tensor-parallel-size 8",
    "--data-parallel-size-local=1",
    ...own,
    `--data-parallel-address=${HEAD}`,
    "--data-parallel-rpc-port=13389",
    "--seed=1024",
    "--enable-expert-parallel",
    "--max-num-seqs=16",
    "--max-model-len=32768",
    "--max-num-batched-tokens=8192",
    "--gpu-memory-utilization=0.90",
    "--trust-remote-code",
    "--async-scheduling",
    "--no-enable-prefix-caching",
    `--speculative_config '{"method":"qwen3_5_mtp","num_speculative_tokens":3,"enforce_eager":true}'`,
    `--compilation-config '{"cudagraph_mode":"FULL_DECODE_ONLY"}'`,
    `--additional-config '{"enable_cpu_binding":true,"multistream_overlap_shared_expert":true}'`,
    "--disable-access-log-for-endpoints /health,/metrics,/ping",
  ];
}

function pipelineGuide(...own: readonly string[]): readonly string[] {
  return [
    `vllm serve ${QWEN3}`,
    "--distributed-executor-backend mp",
    "--tensor-parallel-size 8",
    "--pipeline-parallel-size 2",
    "--nnodes 2",
    own[0]!,
    `--master-addr ${HEAD}`,
    "--master-port 29501",
    ...own.slice(1),
    "--trust-remote-code",
  ];
}
