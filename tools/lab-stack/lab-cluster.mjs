/**
 * @typedef {import("../../core/spec/cluster-spec.js").ClusterSpecInput} ClusterSpecInput
 * @typedef {import("../../core/spec/cluster-spec.js").Topology} Topology
 * @typedef {import("../lab/lab.mjs").Lab} Lab
 *
 * @typedef {object} LabShape
 * @property {Topology} [topology] default ray
 * @property {boolean} [isFull] all 8 NPUs of each host instead of two
 */

/**
 * What the two lab images serve.
 * @type {Readonly<Record<string, {tag: string, model: string}>>}
 */
const WORKLOADS = {
  vllm: { tag: "lab/vllm:0.23.0", model: "tiny-moe" },
  ray: { tag: "lab/ray:2.48.0", model: "tiny-standin" },
};

/**
 * `vllm-ascend:cluster` for a lab: the stack of the topology (`qwen3-235b-ray-tp8-pp2`, `qwen3.5-397b-w8a8-dp2-tp8`,
 * `qwen3-235b-mp-tp8-pp2`) with other addresses, model, image and sizes. Two NPUs of each host, so that the ranks must spread over all.
 * @param {Lab} lab with one of the images
 * @param {LabShape} [shape]
 * @returns {ClusterSpecInput}
 */
export function labCluster(lab, { topology = "ray", isFull = false } = {}) {
  const { image, imageId } = lab.record;
  const workload = WORKLOADS[image];
  if (workload === undefined || imageId === null) {
    throw new Error(`lab ${lab.id} has no image to serve with: start it with image ray or vllm`);
  }
  const { tag, model } = workload;
  const npus = isFull ? 8 : 2;
  const sudo = lab.record.profile === "sudo-user";
  return {
    name: "lab",
    topology,
    series: "A2",
    ssh: sudo ? { user: lab.nodes[0]?.user ?? "ops", become: "sudo" } : {},
    nodes: lab.nodes.map(({ name, address, hostKey }) => ({
      name,
      address,
      hostKey,
      visibleDevices: Array.from({ length: npus }, (_, id) => id),
    })),
    socketInterface: lab.nodes[0]?.interface ?? "enp67s0f0",
    // The tag of the Ray image is the version of Ray; its stand-in has the flags of this vLLM.
    image: { reference: tag, id: imageId, vllmVersion: "0.23.0" },
    model: { path: `/srv/models/${model}` },
    // The lab's two cores carry all hosts: small stores, one CPU for Ray.
    ...(topology === "ray" ? { ray: { objectStoreMemoryGib: 0.1, numCpus: 1 } } : {}),
    serve: {
      servedModelName: "qwen",
      tensorParallelSize: npus,
      enableExpertParallel: true,
      seed: 1024,
      maxModelLen: 8192,
      gpuMemoryUtilization: 0.9,
      ...(topology === "data-parallel"
        ? dataParallelDocument(lab.nodes.length)
        : { pipelineParallelSize: lab.nodes.length, maxNumSeqs: 25 }),
    },
    lint: {
      accept: [{ code: "TRUST_REMOTE_CODE_UNPINNED", reason: "the lab's weights have no code" }],
    },
    // Without it each rank starts a thread per core for every operator.
    env: { OMP_NUM_THREADS: "1" },
    hostPaths: sudo ? { npuSmi: "/usr/local/sbin/npu-smi" } : {},
    // The machine below the lab may not allow more open files than this.
    container: { shmSizeGib: 1, nofile: 8192 },
    timeouts: {
      ...(topology === "ray" ? { rayStartSec: 180 } : {}),
      // Two cores start all ranks; 16 take minutes, and answer a token a second.
      serveStartSec: isFull ? 1200 : 420,
      stopSec: 20,
      completionSec: isFull ? 300 : 120,
    },
  };
}

/**
 * The flags of the stack `qwen3.5-397b-w8a8-dp2-tp8`, but for speculative decoding: the tiny model has no layers for it.
 * @param {number} engines
 */
function dataParallelDocument(engines) {
  return {
    dataParallelSize: engines,
    apiServerCount: 2,
    maxNumSeqs: 16,
    maxNumBatchedTokens: 8192,
    trustRemoteCode: true,
    extraArgs: {
      "async-scheduling": true,
      "no-enable-prefix-caching": true,
      "compilation-config": { cudagraph_mode: "FULL_DECODE_ONLY" },
      "additional-config": { enable_cpu_binding: true, multistream_overlap_shared_expert: true },
      "disable-access-log-for-endpoints": "/health,/metrics,/ping",
    },
  };
}
