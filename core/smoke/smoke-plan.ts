import { CANN_ENV_SCRIPTS } from "../hardware/series.js";
import type { AcceptedFinding, ClusterPlan, ConnectionPlan } from "../plan/cluster-plan.js";
import { planHash } from "../plan/gate-plan.js";
import { dockerOptions } from "../render/commands.js";
import { contentHash } from "../render/stable-json.js";

/** What is tried in the planned containers before any weights are loaded. */
export interface SmokePlan {
  /** Hash of everything that runs: whether a run is needed is asked before each change of it. */
  readonly plan: string;
  /** Image, NPUs, addresses and environment of all nodes: what passed once is not run again. The driver is asked on the host. */
  readonly fingerprint: string;
  readonly cluster: string;
  readonly baseDir: string;
  readonly containerName: string;
  /** Seconds for the whole run. */
  readonly limitSec: number;
  /** Findings that the stack lowers to a warning. */
  readonly accept: readonly AcceptedFinding[];
  /** The head first. */
  readonly nodes: readonly SmokeNode[];
}

export interface SmokeNode {
  readonly name: string;
  readonly connection: ConnectionPlan;
  /** Physical NPU ids, in the order of `ranks`. */
  readonly npus: readonly number[];
  readonly ranks: readonly number[];
  /** Environment of vLLM. */
  readonly env: Readonly<Record<string, string>>;
  /** Words after `docker run` for a container like the planned one, where that one does not run. */
  readonly container: readonly string[];
}

export function smokePlan(plan: ClusterPlan): SmokePlan {
  const nodes = plan.nodes.map((node) => ({
    name: node.name,
    connection: node.connection,
    npus: node.visibleDevices,
    ranks: node.ranks,
    env: node.env,
    container: [
      ...dockerOptions({
        ...node.container,
        mounts: node.container.mounts.filter(({ source }) => !isOwn(plan, source)),
      }),
      node.container.image.pull,
    ],
  }));
  return {
    plan: planHash(plan),
    fingerprint: contentHash(
      plan.nodes.map(({ connection, env, visibleDevices, container: { image, devices } }) => ({
        address: connection.address,
        image: image.pull,
        ...{ devices, env, visibleDevices },
      })),
    ),
    cluster: plan.cluster,
    baseDir: plan.baseDir,
    containerName: plan.containerName,
    limitSec: plan.smokeSec,
    accept: plan.accept.filter(({ code }) => code.startsWith("SMOKE_")),
    nodes,
  };
}

/** What the script of one node reads; `coordinator` is where the head listens, `null` on the head itself. */
export function smokeRequest(
  plan: SmokePlan,
  node: SmokeNode,
  options: { readonly coordinatorPort: number | null; readonly isForced: boolean },
): Readonly<Record<string, unknown>> {
  const { coordinatorPort, isForced } = options;
  return {
    node: node.name,
    address: node.connection.address,
    coordinator:
      coordinatorPort === null ? null : [plan.nodes[0]!.connection.address, coordinatorPort],
    env: node.env,
    engine: ["vllm"],
    limitSec: plan.limitSec,
    fingerprint: plan.fingerprint,
    isForced,
    nodes: plan.nodes.map(({ name, connection: { address }, ranks }) => ({ name, address, ranks })),
  };
}

/**
 * The command in the container: with CANN's environment, as the supervisor has it. The script is an argument, because before the first
 * staging no file of it is on the host.
 */
export function smokeCommand(script: string): readonly string[] {
  const sources = CANN_ENV_SCRIPTS.map((file) => `[ ! -r ${file} ] || . ${file}`).join("; ");
  return ["bash", "-c", `${sources}; exec "$@"`, "smoke", "python3", "-u", "-c", script, "node"];
}

/** Directories of the cluster itself are not there before the first staging. */
function isOwn(plan: ClusterPlan, source: string): boolean {
  return source.startsWith(`${plan.baseDir}/`);
}
