/** The public surface of the package; nothing outside imports deeper. docs/api.md is written from its docstrings. */
export type { MeasuredOutage, MeasuredTimes } from "../core/changes/measured.js";
export type { ClusterSpec, ClusterSpecInput } from "../core/spec/cluster-spec.js";
export { parseClusterSpec } from "../core/spec/parse.js";
export { ClusterSpecError, type SpecIssue } from "../core/spec/spec-issue.js";
export {
  InferenceCluster,
  type InferenceClusterArgs,
  type NodeOutput,
} from "./inference-cluster.js";
export { secretConfig, secretConfigObject } from "./secret-config.js";
