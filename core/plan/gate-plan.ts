import type { ClusterPlan, ConnectionPlan, ImagePlan, PortPlan } from "./cluster-plan.js";

/**
 * What must be true on the hosts before anything starts. Holds only what is checked, so that a change of anything else does
 * not run the checks again.
 */
export interface GatePlan {
  readonly cluster: string;
  readonly owner: string;
  readonly baseDir: string;
  readonly containerName: string;
  readonly nodes: readonly GateNode[];
}

export interface GateNode {
  readonly name: string;
  readonly connection: ConnectionPlan;
  /** Must own `connection.address`. */
  readonly socketInterface: string;
  /** Device nodes, e.g. `/dev/davinci0`. */
  readonly devices: readonly string[];
  /** Paths of the host that the container mounts, the cluster's own directory left out. */
  readonly mounts: readonly string[];
  /** Directory of the weights; must hold `config.json`. */
  readonly modelPath: string;
  readonly image: ImagePlan;
  /** Must be free, or held by this cluster's own container. */
  readonly ports: readonly PortPlan[];
}

export function gatePlan(plan: ClusterPlan): GatePlan {
  return {
    cluster: plan.cluster,
    owner: plan.owner,
    baseDir: plan.baseDir,
    containerName: plan.containerName,
    nodes: plan.nodes.map((node) => ({
      name: node.name,
      connection: node.connection,
      socketInterface: node.socketInterface,
      devices: node.container.devices,
      mounts: node.container.mounts
        .map((mount) => mount.source)
        .filter((source) => !source.startsWith(`${plan.baseDir}/`)),
      modelPath: plan.modelPath,
      image: node.container.image,
      ports: node.ports,
    })),
  };
}
