import { GUIDE_BUFFSIZE_MB, type MemoryDemand } from "../fit/judge-fit.js";
import type { Quantization } from "../fit/model-bytes.js";
import { type HostPathKey, hardwareSeries, type SeriesName } from "../hardware/series.js";
import { contentHash } from "../render/stable-json.js";
import type {
  AcceptedFinding,
  ClusterPlan,
  ConnectionPlan,
  ImagePlan,
  NodePlan,
  PortPlan,
} from "./cluster-plan.js";

/** What must be true on the hosts before anything starts. */
export interface GatePlan {
  /**
   * Hash of everything that runs, so that the checks run before each change of it. Also what
   * `vllm-ascend:allowDowntimeFor` must be to stop a group that serves something else.
   */
  readonly plan: string;
  /** Release that is going to serve. */
  readonly serve: string;
  /** The plan for which a group that serves may be stopped. */
  readonly allowDowntimeFor?: string | undefined;
  /** Set when GPUStack runs the containers: only NPUs, driver and networks are checked. */
  readonly through?: "gpustack" | undefined;
  readonly cluster: string;
  readonly owner: string;
  readonly baseDir: string;
  readonly containerName: string;
  readonly memory: GateMemory;
  readonly series: SeriesName;
  /** From `vllm serve` to the first completion, as the stack allows, in seconds. */
  readonly serveStartSec: number;
  /** Findings that the stack lowers to a warning. */
  readonly accept: readonly AcceptedFinding[];
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
  /** Directory of the weights. */
  readonly modelPath: string;
  /** Whether it must hold a model already; else a hub's is downloaded into it. */
  readonly isModelPresent: boolean;
  readonly image: ImagePlan;
  /** Must be free, or held by this cluster's own container. */
  readonly ports: readonly PortPlan[];
  /** Physical NPU ids. */
  readonly npus: readonly number[];
  /** Memory that each must have, in GiB as it is sold. */
  readonly npuMemoryGib: number;
  /** Where this host keeps the tools and files of the NPU driver. */
  readonly driverPaths: Readonly<Record<HostPathKey, string>>;
  /** `/dev/shm` of the container, in MiB; counts as memory of the host. */
  readonly shmSizeMib: number;
}

export function gatePlan(plan: ClusterPlan): GatePlan {
  return {
    plan: planHash(plan),
    serve: plan.serve.release,
    ...(plan.allowDowntimeFor === undefined ? {} : { allowDowntimeFor: plan.allowDowntimeFor }),
    cluster: plan.cluster,
    owner: plan.owner,
    baseDir: plan.baseDir,
    containerName: plan.containerName,
    memory: gateMemory(plan),
    series: plan.series,
    serveStartSec: plan.nodes[0]!.releases.serve.startTimeoutSec,
    accept: plan.accept,
    nodes: plan.nodes.map((node) => ({
      name: node.name,
      connection: node.connection,
      socketInterface: node.socketInterface,
      devices: node.container.devices,
      mounts: node.container.mounts
        .map((mount) => mount.source)
        .filter((source) => !source.startsWith(`${plan.baseDir}/`)),
      modelPath: plan.model.path,
      isModelPresent: plan.model.hub === undefined,
      image: node.container.image,
      ports: [...node.ports, ...hcclPorts(node)],
      npus: node.visibleDevices,
      npuMemoryGib: node.npuMemoryGib,
      driverPaths: driverPaths(plan, node),
      shmSizeMib: node.container.shmSizeMib,
    })),
  };
}

/** Identity of what a plan makes run, on all nodes. */
export function planHash(plan: ClusterPlan): string {
  return contentHash({
    ray: plan.ray?.release ?? null,
    serve: plan.serve.release,
    runtimes: plan.nodes.map(({ name, runtime }) => [name, runtime]),
  });
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

/**
 * Ports on which HCCL's host side listens: 32 from `HCCL_IF_BASE_PORT`, unless the stack gives them by `HCCL_HOST_SOCKET_PORT_RANGE`.
 *
 * @see hicann/hccl `docs/zh/user_guide/hccl_env/HCCL_IF_BASE_PORT.md`
 */
function hcclPorts({ env }: NodePlan): readonly PortPlan[] {
  if (env["HCCL_HOST_SOCKET_PORT_RANGE"] !== undefined) return [];
  const first = Number(env["HCCL_IF_BASE_PORT"] ?? 60_000);
  // What is no port is refused by HCCL; here it would only be a second message.
  if (!Number.isInteger(first) || first < 1024 || first > 65_504) return [];
  return [{ path: "env.HCCL_IF_BASE_PORT", first, last: first + 31 }];
}

function driverPaths(plan: ClusterPlan, node: NodePlan): Readonly<Record<HostPathKey, string>> {
  const { driverMounts } = hardwareSeries(plan.series);
  const source = (path: string) =>
    node.container.mounts.find((mount) => mount.target === path)?.source ?? path;
  return Object.fromEntries(driverMounts.map(({ key, path }) => [key, source(path)])) as Record<
    HostPathKey,
    string
  >;
}
