/** The public surface of the package; nothing outside imports deeper. */
export type { ClusterSpec, ClusterSpecInput } from "../core/spec/cluster-spec.js";
export { parseClusterSpec } from "../core/spec/parse.js";
export { ClusterSpecError, type SpecIssue } from "../core/spec/spec-issue.js";
export { AscendNode, type AscendNodeArgs } from "./ascend-node.js";
export { ContainerRuntime, type ContainerRuntimeArgs } from "./container-runtime.js";
export {
  InferenceCluster,
  type InferenceClusterArgs,
  type NodeOutput,
} from "./inference-cluster.js";
export { RayCluster, type RayClusterArgs } from "./ray-cluster.js";
export { VllmServe, type VllmServeArgs } from "./vllm-serve.js";
