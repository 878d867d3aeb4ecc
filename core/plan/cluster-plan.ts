import type { MemoryDemand } from "../fit/judge-fit.js";
import type { Quantization } from "../fit/model-bytes.js";
import type { SeriesName } from "../hardware/series.js";
import type { Topology } from "../spec/cluster-spec.js";

/** Everything decided about a cluster before anything is created: same spec, same bytes. */
export interface ClusterPlan {
  readonly cluster: string;
  readonly topology: Topology;
  readonly series: SeriesName;
  /** Findings of the preflight that the stack lowers to a warning. */
  readonly accept: readonly AcceptedFinding[];
  /** `<organization>/<project>/<stack>`: who may change this cluster on the hosts. */
  readonly owner: string;
  /** Directory of this cluster on every host. */
  readonly baseDir: string;
  readonly containerName: string;
  readonly unitName: string;
  /** The head first. */
  readonly nodes: readonly NodePlan[];
  /** `null` without Ray. */
  readonly ray: CommitPlan | null;
  readonly serve: CommitPlan;
  readonly model: ModelPlan;
  readonly memory: MemoryPlan;
  readonly endpoint: EndpointPlan;
  /** Seconds for the smoke run. */
  readonly smokeSec: number;
  readonly names: ClusterNames;
  /** The plan for which a group that serves may be stopped; see `planHash`. */
  readonly allowDowntimeFor: string | undefined;
}

/** What the NPUs' memory is asked to hold. */
export interface MemoryPlan {
  readonly demand: MemoryDemand;
  /** Of the weights, as far as the stack tells; the checkpoint itself knows better. */
  readonly quantization: Quantization;
  /** Why a model that does not fit shall be started all the same. */
  readonly acceptedReason?: string | undefined;
}

/** A finding of the preflight that somebody has looked at and takes the risk of. */
export interface AcceptedFinding {
  /** Code of the finding, as in docs/preflight.md. */
  readonly code: string;
  /** Unset = on every node. */
  readonly node?: string | undefined;
  /** Physical NPU id; unset = whatever the NPU. */
  readonly npu?: number | undefined;
  readonly reason: string;
  /** Last day on which it holds, `YYYY-MM-DD` in UTC. */
  readonly until: string;
}

export type NodeRole = "head" | "worker";

/** One node: how to reach it, what runs on it. */
export interface NodePlan {
  readonly name: string;
  readonly role: NodeRole;
  readonly connection: ConnectionPlan;
  readonly socketInterface: string;
  /** Physical NPU ids. */
  readonly visibleDevices: readonly number[];
  /** Memory of one NPU, in GiB as it is sold. */
  readonly npuMemoryGib: number;
  /**
   * Ranks in planned order: with `ray` it decides the final placement; with `data-parallel` those of one engine follow those of the
   * engine before.
   */
  readonly ranks: readonly number[];
  /** Environment of vLLM, and of Ray where there is one, on this node. */
  readonly env: Readonly<Record<string, string>>;
  readonly container: ContainerPlan;
  /** Identity of the container: a release made for another one is never started. */
  readonly runtime: string;
  readonly releases: NodeReleases;
  /** Ports that must be free before anything starts. */
  readonly ports: readonly PortPlan[];
  readonly names: NodeNames;
}

/** What SSH needs; the private key comes from the agent. */
export interface ConnectionPlan {
  readonly address: string;
  readonly user: string;
  readonly port: number;
  readonly hostKey: string;
  readonly become: "none" | "sudo";
  /** The host through which it is reached. */
  readonly bastion?: BastionPlan | undefined;
}

export interface BastionPlan {
  readonly address: string;
  readonly user: string;
  readonly port: number;
  readonly hostKey: string;
}

export interface PortPlan {
  /** Field of the spec that decides it. */
  readonly path: string;
  readonly first: number;
  readonly last: number;
}

export interface ContainerPlan {
  readonly image: ImagePlan;
  readonly devices: readonly string[];
  readonly mounts: readonly MountPlan[];
  readonly shmSizeMib: number;
  readonly ulimits: readonly UlimitPlan[];
  /** `runc`: ascend-docker-runtime as the daemon's default would inject devices beside the planned ones. */
  readonly runtime: string;
  readonly securityOptions: readonly string[];
  /** Options of the `json-file` log driver: docker's own log holds the supervisor's events only. */
  readonly logOptions: Readonly<Record<string, string>>;
  /** By which the preflight knows that a container is ours. */
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds between SIGTERM and SIGKILL; longer than serve's own drain. */
  readonly stopGraceSec: number;
  readonly command: readonly string[];
}

export interface ImagePlan {
  /** `repository/name:tag`, for people. */
  readonly reference: string;
  /** What docker is asked for: `repository/name@sha256:…`, or the image id. */
  readonly pull: string;
  /** `registry`: may be pulled; `archive`: may be loaded; `present`: must be on the node already. */
  readonly source: "registry" | "archive" | "present";
  /** File of `docker save` on the node; with source `archive`. */
  readonly archive?: string;
}

/** Where the weights are on every node, and where they come from. */
export interface ModelPlan {
  readonly path: string;
  /** Absent: they are there already. */
  readonly hub?: HubPlan;
  /** Seconds for a node to download or to look through them. */
  readonly timeoutSec: number;
}

export interface HubPlan {
  readonly source: "modelscope" | "huggingface";
  readonly repository: string;
  /** Commit id. */
  readonly revision: string;
  /** Base URL. */
  readonly endpoint: string;
}

export interface UlimitPlan {
  readonly name: string;
  /** Soft and hard limit. */
  readonly limit: number;
}

export interface MountPlan {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** What one node runs. */
export interface NodeReleases {
  /** `null` without Ray. */
  readonly ray: Release | null;
  readonly serve: Release;
}

/** A file below `in/releases` of a node; see docs/architecture.md. */
export interface Release {
  readonly kind: "ray" | "serve";
  readonly hash: string;
  readonly runtime: string;
  readonly cluster: string;
  readonly node: string;
  readonly role: "head" | "member";
  readonly nodes: readonly ReleaseNode[];
  readonly env: Readonly<Record<string, string>>;
  readonly secretEnv: Readonly<Record<string, string>>;
  readonly command: readonly string[] | null;
  readonly ports: readonly number[];
  readonly startTimeoutSec: number;
  readonly stopTimeoutSec: number;
  readonly restart: {
    readonly maxFailures: number;
    readonly backoffSec: number;
    readonly backoffMaxSec: number;
  };
  /** `ray` only: address of the global control store. */
  readonly rayAddress?: string;
  /** `serve` only: the Ray release that it needs, `null` without Ray. */
  readonly ray?: string | null;
  /** `serve` on the head only. */
  readonly readiness?: ReadinessPlan;
}

export interface ReleaseNode {
  readonly name: string;
  readonly address: string;
  readonly npus: number;
}

export interface ReadinessPlan {
  readonly url: string;
  readonly model: string;
  readonly prompt: string;
  readonly maxTokens: number;
  readonly requestTimeoutSec: number;
  /** Topology `data-parallel` only: engines that `/metrics` must show and that must each have answered. */
  readonly engines?: number;
}

/** What a commit sends to the head, without what only the engine knows (container ids, secret versions). */
export interface CommitPlan {
  readonly release: string;
  readonly manifest: Readonly<Record<string, unknown>>;
}

export interface EndpointPlan {
  /** Base URL of the OpenAI-compatible API, with `/v1`. */
  readonly url: string;
  readonly model: string;
  /** Ready to paste; with an API key it reads `$VLLM_API_KEY`. */
  readonly curl: string;
}

/** Logical names are identity in Pulumi: a rename replaces. Decided here, listed by a golden test. */
export interface ClusterNames {
  readonly cluster: string;
  readonly preflight: string;
  readonly smoke: string;
  readonly ray: string;
  readonly rayCommit: string;
  readonly serve: string;
  readonly serveCommit: string;
}

export interface NodeNames {
  readonly node: string;
  readonly files: string;
  readonly groupToken: string;
  readonly secrets: string;
  readonly runtime: string;
  readonly docker: string;
  readonly imageLoad: string;
  readonly image: string;
  readonly model: string;
  readonly container: string;
  readonly boot: string;
}
