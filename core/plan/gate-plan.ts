import { GUIDE_BUFFSIZE_MB, type MemoryDemand } from "../fit/judge-fit.js";
import type { Quantization } from "../fit/model-bytes.js";
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
  readonly memory: GateMemory;
  readonly nodes: readonly GateNode[];
}

/** What decides whether the model fits; `maxNumSeqs` does not. */
export interface GateMemory {
  readonly demand: Omit<MemoryDemand, "maxNumSeqs">;
  readonly quantization: Quantization;
  /** `acceptMemoryFit.reason` of the stack. */
  readonly acceptedReason?: string | undefined;
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
    memory: gateMemory(plan),
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

function gateMemory({ memory }: ClusterPlan): GateMemory {
  const { maxNumSeqs: _, hcclBuffSizeMb, ...demand } = memory.demand;
  const { acceptedReason, quantization } = memory;
  // Buffers below the usual share change nothing, so changing them checks nothing again.
  const buffers = (hcclBuffSizeMb ?? 0) > GUIDE_BUFFSIZE_MB ? { hcclBuffSizeMb } : {};
  return {
    demand: { ...demand, ...buffers },
    quantization,
    ...(acceptedReason === undefined ? {} : { acceptedReason }),
  };
}
