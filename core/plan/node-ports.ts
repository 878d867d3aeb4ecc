import type { ClusterSpec, NodeSpec } from "../spec/cluster-spec.js";
import { plannedPorts } from "../spec/rules.js";
import type { PortPlan } from "./cluster-plan.js";
import { headNode } from "./ray-command.js";

/** Ports that only the head listens on. */
const HEAD_ONLY: ReadonlySet<string> = new Set([
  "serve.port",
  "serve.dataParallelRpcPort",
  "serve.masterPort",
  "supervisor.port",
  "ray.port",
]);

/** Every port or port range that a node listens on. */
export function nodePorts(spec: ClusterSpec, node: NodeSpec): readonly PortPlan[] {
  const isHead = node.name === headNode(spec).name;
  return plannedPorts(spec).filter(({ path }) => isHead || !HEAD_ONLY.has(path));
}

/** The single ports of Ray or of serve on a node; Ray's worker processes take any free one of their range. */
export function releasePorts(
  spec: ClusterSpec,
  node: NodeSpec,
  kind: "ray" | "serve",
): readonly number[] {
  return nodePorts(spec, node)
    .filter(({ path }) => path.startsWith(`${kind}.`) && path !== "ray.minWorkerPort")
    .map(({ first }) => first);
}
