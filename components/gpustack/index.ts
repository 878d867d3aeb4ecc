/** Resources and functions of the provider `gpustack`; its process is `provider/pulumi-resource-gpustack`. */
export type { GpustackInput } from "../../core/gpustack/cluster.js";
export { BackendVersion, type BackendVersionArgs } from "./backend-version.js";
export type { GpustackConnection } from "./connection.js";
export {
  DeploymentGroup,
  type DeploymentGroupArgs,
  type GroupInstance,
  type GroupMemberArgs,
} from "./deployment-group.js";
export { GpustackCluster, type GpustackClusterArgs } from "./gpustack-cluster.js";
export { getNpus, getWorkers, type Npu, type Worker } from "./look-ups.js";
