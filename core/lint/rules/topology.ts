import type { ClusterSpec } from "../../spec/cluster-spec.js";
import { hasRayToken, isOlder, vllmVersion } from "../../spec/image-version.js";
import { visibleDevices } from "../../spec/rules.js";
import { hitIf, type LintRule } from "../lint-rule.js";

export const TOPOLOGY_RULES: readonly LintRule[] = [
  {
    code: "RAY_PIPELINE_EXPERT_PARALLEL",
    level: "warning",
    title: "expert parallelism together with pipeline parallelism under Ray",
    reason:
      "the start was reported to end with `ACL stream synchronize failed, error code:507014`, and to work without expert parallelism",
    wayOut:
      "try it on your image first; else leave out enableExpertParallel, or use topology multiprocessing",
    sources: ["vllm-ascend#3529", "vllm-ascend#4123"],
    check: (spec) =>
      hitIf(
        spec.topology === "ray" && hasStagesOverNodes(spec) && spec.serve.enableExpertParallel,
        "serve.enableExpertParallel",
        `pipelineParallelSize ${spec.serve.pipelineParallelSize} with topology ray`,
      ),
  },
  {
    code: "RAY_PIPELINE_OLD_IMAGE",
    level: "warning",
    title: "pipeline parallelism under Ray on an image before 0.23",
    reason:
      "Ray's compiled graphs were reported to time out or to fail in HCCL there, with graph mode above all",
    wayOut: "use an image with vLLM 0.23, or topology multiprocessing",
    sources: [
      "vllm-ascend#1704",
      "vllm-ascend#1751",
      "vllm-ascend#901",
      "vllm-ascend#1238",
      "vllm-ascend#10910",
    ],
    check: (spec) =>
      hitIf(
        spec.topology === "ray" && hasStagesOverNodes(spec) && isImageOlder(spec, "0.23.0"),
        "image",
        versionText(spec),
      ),
  },
  {
    code: "PIPELINE_ON_0_18",
    level: "warning",
    title: "pipeline parallelism over nodes on vLLM 0.18",
    reason: "vLLM 0.18.0 fails to run pipeline stages across nodes (crash at the start)",
    wayOut: "use an image with vLLM 0.23, or tensor parallelism over all NPUs",
    sources: ["vllm#37933", "vllm#37102", "vllm#37001", "vllm#41864", "vllm#40150"],
    check: (spec) =>
      hitIf(
        hasStagesOverNodes(spec) && /^0\.18\./.test(vllmVersion(spec.image) ?? ""),
        "serve.pipelineParallelSize",
        `${spec.serve.pipelineParallelSize} stages on ${versionText(spec)}`,
      ),
  },
  {
    code: "DATA_PARALLEL_WITHOUT_EXPERT_PARALLEL",
    level: "info",
    title: "data parallelism without expert parallelism",
    reason:
      "a mixture-of-experts model then splits every expert over the NPUs of all engines; the guides of vllm-ascend use expert parallelism",
    wayOut: "set enableExpertParallel for a mixture-of-experts model; leave it for a dense one",
    sources: ["vllm docs `serving/data_parallel_deployment.md`"],
    check: (spec) =>
      hitIf(
        spec.topology === "data-parallel" && !spec.serve.enableExpertParallel,
        "serve.enableExpertParallel",
        "false",
      ),
  },
  {
    code: "TENSOR_PARALLEL_OVER_NODES",
    level: "info",
    title: "tensor parallelism reaches over nodes",
    reason: "every layer waits for an all-reduce over the network between the servers",
    wayOut:
      "where the model allows it, tensor parallelism inside a node and pipeline or data parallelism between nodes",
    sources: ["vllm docs `serving/parallelism_scaling.md`"],
    check: (spec) => {
      const npus = Math.min(...spec.nodes.map((node) => visibleDevices(spec, node).length));
      const { tensorParallelSize } = spec.serve;
      return hitIf(
        tensorParallelSize > npus,
        "serve.tensorParallelSize",
        `${tensorParallelSize} with ${npus} NPUs a node`,
      );
    },
  },
  {
    code: "RAY_WITHOUT_AUTHENTICATION",
    level: "warning",
    title: "Ray before 2.52 has no authentication",
    reason: "whoever reaches its ports runs code on the servers",
    wayOut:
      "let only the nodes reach each other's ports (`vllm-cluster firewall` prints rules), and accept it; with Ray 2.52 or later in the image set image.rayVersion",
    sources: ["CVE-2023-48022", "Ray docs `ray-security/token-auth`"],
    check: ({ topology, image }) =>
      hitIf(
        topology === "ray" && !hasRayToken(image),
        "image.rayVersion",
        image.rayVersion ?? "unset",
      ),
  },
  {
    code: "RAY_OBJECT_STORE",
    level: "info",
    title: "Ray's object store is smaller than Ray wants",
    reason: "below 10 GB Ray says so in its log and is tuned for more",
    wayOut: "raise ray.objectStoreMemoryGib to 10, with container.shmSizeGib above it",
    sources: ["Ray 2.48 `resource_and_label_spec.py`", "gpustack#5014"],
    check: (spec) =>
      spec.topology === "ray"
        ? hitIf(
            spec.ray.objectStoreMemoryGib * 2 ** 30 < 10e9,
            "ray.objectStoreMemoryGib",
            String(spec.ray.objectStoreMemoryGib),
          )
        : [],
  },
];

function hasStagesOverNodes({ serve, nodes }: ClusterSpec): boolean {
  return serve.pipelineParallelSize > 1 && nodes.length > 1;
}

function isImageOlder({ image }: ClusterSpec, than: string): boolean {
  const version = vllmVersion(image);
  return version !== undefined && isOlder(version, than);
}

function versionText({ image }: ClusterSpec): string {
  return `vLLM ${vllmVersion(image) ?? "of an unknown version"}`;
}
