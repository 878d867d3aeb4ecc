import { contentHash } from "../render/stable-json.js";
import type { ClusterSpec, NodeSpec, RayClusterSpec } from "../spec/cluster-spec.js";
import { visibleDevices } from "../spec/rules.js";
import type { NodeReleases, ReadinessPlan, Release, ReleaseNode } from "./cluster-plan.js";
import { nodeEnv } from "./node-env.js";
import { releasePorts } from "./node-ports.js";
import { headNode, rayAddress, rayStartCommand } from "./ray-command.js";
import { serveCommand } from "./serve-command.js";

/** Release files of all nodes, by node name. */
export interface Releases {
  /** `null` without Ray. */
  readonly rayHash: string | null;
  readonly serveHash: string;
  readonly byNode: ReadonlyMap<string, NodeReleases>;
}

/**
 * What each node runs. The hash of a kind covers that kind's content on *all* nodes, so that one string names the same
 * state of the group everywhere; serve's covers Ray's, because serve cannot outlive its Ray.
 */
export function planReleases(
  spec: ClusterSpec,
  runtimes: ReadonlyMap<string, string>,
  hasApiKey: boolean,
): Releases {
  const runtimeOf = (node: NodeSpec): string => {
    const runtime = runtimes.get(node.name);
    if (runtime === undefined) throw new Error(`no runtime planned for node ${node.name}`);
    return runtime;
  };
  const nodes = releaseNodes(spec);
  const rayParts =
    spec.topology === "ray"
      ? spec.nodes.map((node) => rayPart(spec, node, runtimeOf(node)))
      : undefined;
  const rayHash =
    rayParts === undefined ? null : contentHash({ nodes, parts: rayParts.map(processOf) });
  const serveParts = spec.nodes.map((node) =>
    servePart(spec, node, runtimeOf(node), rayHash, hasApiKey),
  );
  const serveHash = contentHash({ nodes, parts: serveParts.map(processOf) });
  return {
    rayHash,
    serveHash,
    byNode: new Map(
      spec.nodes.map((node, index) => [
        node.name,
        {
          ray:
            rayParts === undefined || rayHash === null
              ? null
              : { ...rayParts[index]!, nodes, hash: rayHash },
          serve: { ...serveParts[index]!, nodes, hash: serveHash },
        },
      ]),
    ),
  };
}

/** What differs from node to node; the list of all nodes is not part of it, else a group's hash would read its square. */
type ReleasePart = Omit<Release, "hash" | "nodes">;

/**
 * What the process itself is made of. How long it is waited for and how often it is tried is read by the supervisor
 * whenever the file changes, and is no reason to restart what runs.
 */
function processOf(part: ReleasePart): Partial<ReleasePart> {
  const { startTimeoutSec, stopTimeoutSec, restart, readiness, ...process } = part;
  return process;
}

function rayPart(spec: RayClusterSpec, node: NodeSpec, runtime: string): ReleasePart {
  return {
    ...commonPart(spec, node, runtime),
    kind: "ray",
    secretEnv: {},
    command: rayStartCommand(spec, node),
    rayAddress: rayAddress(spec),
    ports: releasePorts(spec, node, "ray"),
    startTimeoutSec: spec.timeouts.rayStartSec,
    stopTimeoutSec: RAY_STOP_TIMEOUT_SEC,
  };
}

function servePart(
  spec: ClusterSpec,
  node: NodeSpec,
  runtime: string,
  rayHash: string | null,
  hasApiKey: boolean,
): ReleasePart {
  const isHead = node.name === headNode(spec).name;
  return {
    ...commonPart(spec, node, runtime),
    kind: "serve",
    ray: rayHash,
    secretEnv: isHead && hasApiKey ? { VLLM_API_KEY: API_KEY_FILE } : {},
    command: serveCommand(spec, node),
    ports: releasePorts(spec, node, "serve"),
    ...(isHead ? { readiness: readinessPlan(spec) } : {}),
    startTimeoutSec: spec.timeouts.serveStartSec,
    stopTimeoutSec: spec.timeouts.stopSec,
  };
}

function commonPart(spec: ClusterSpec, node: NodeSpec, runtime: string) {
  const { maxFailures, backoffSec, backoffMaxSec } = spec.supervisor;
  return {
    cluster: spec.name,
    node: node.name,
    role: node.name === headNode(spec).name ? ("head" as const) : ("member" as const),
    runtime,
    env: nodeEnv(spec, node),
    restart: { maxFailures, backoffSec, backoffMaxSec },
  };
}

function releaseNodes(spec: ClusterSpec): readonly ReleaseNode[] {
  return spec.nodes.map((node) => ({
    name: node.name,
    address: node.address,
    npus: visibleDevices(spec, node).length,
  }));
}

function readinessPlan(spec: ClusterSpec): ReadinessPlan {
  return {
    url: `http://${headNode(spec).address}:${spec.serve.port}`,
    model: spec.serve.servedModelName,
    prompt: "tell me how to sleep well",
    maxTokens: 8,
    requestTimeoutSec: spec.timeouts.completionSec,
    ...(spec.topology === "data-parallel" ? { engines: spec.serve.dataParallelSize } : {}),
  };
}

/** File below `in/secrets` that holds the API key. */
export const API_KEY_FILE = "api-key";

/** `ray start --block` ends its children in a few seconds after SIGTERM (lab.md §8). */
const RAY_STOP_TIMEOUT_SEC = 30;
