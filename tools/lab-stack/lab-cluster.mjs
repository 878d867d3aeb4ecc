/**
 * @typedef {import("../../core/spec/cluster-spec.js").ClusterSpecInput} ClusterSpecInput
 * @typedef {import("../lab/lab.mjs").Lab} Lab
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
 * `vllm-ascend:cluster` for a lab: the stack `qwen3-235b-ray-tp8-pp2` with other addresses, model, image and sizes. Two NPUs of each
 * host, so that the four ranks must spread over both.
 * @param {Lab} lab with one of the images
 * @returns {ClusterSpecInput}
 */
export function labCluster(lab) {
  const { image, imageId } = lab.record;
  const workload = WORKLOADS[image];
  if (workload === undefined || imageId === null) {
    throw new Error(`lab ${lab.id} has no image to serve with: start it with image ray or vllm`);
  }
  const { tag, model } = workload;
  const sudo = lab.record.profile === "sudo-user";
  return {
    name: "lab",
    topology: "ray",
    series: "A2",
    ssh: sudo ? { user: lab.nodes[0]?.user ?? "ops", become: "sudo" } : {},
    nodes: lab.nodes.map(({ name, address, hostKey }) => ({
      name,
      address,
      hostKey,
      visibleDevices: [0, 1],
    })),
    socketInterface: lab.nodes[0]?.interface ?? "enp67s0f0",
    image: { reference: tag, id: imageId },
    model: { path: `/srv/models/${model}` },
    // The lab's two cores carry all hosts: small stores, one CPU for Ray.
    ray: { objectStoreMemoryGib: 0.1, numCpus: 1 },
    serve: {
      servedModelName: "qwen",
      tensorParallelSize: 2,
      pipelineParallelSize: lab.nodes.length,
      enableExpertParallel: true,
      seed: 1024,
      maxModelLen: 8192,
      maxNumSeqs: 25,
      trustRemoteCode: false,
      gpuMemoryUtilization: 0.9,
    },
    // Without it each rank starts a thread per core for every operator.
    env: { OMP_NUM_THREADS: "1" },
    hostPaths: sudo ? { npuSmi: "/usr/local/sbin/npu-smi" } : {},
    // The machine below the lab may not allow more open files than this.
    container: { shmSizeGib: 1, nofile: 8192 },
    timeouts: { rayStartSec: 180, serveStartSec: 420, stopSec: 20, completionSec: 120 },
  };
}
