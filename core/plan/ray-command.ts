import type { ClusterSpec, NodeSpec, RayClusterSpec } from "../spec/cluster-spec.js";

/**
 * `ray start` of one node. `--block` makes it a process that ends with its raylet; all ports are fixed so that a
 * firewall can be written and a busy port is known before the start. Source: Ray 2.48 `doc/source/ray-core/configure.rst`.
 */
export function rayStartCommand(spec: RayClusterSpec, node: NodeSpec): readonly string[] {
  const { ray } = spec;
  const head = headNode(spec);
  const where =
    node.name === head.name
      ? ["--head", `--port=${ray.port}`, "--include-dashboard=false"]
      : [`--address=${rayAddress(spec)}`];
  return [
    "ray",
    "start",
    ...where,
    `--node-ip-address=${node.address}`,
    `--node-manager-port=${ray.nodeManagerPort}`,
    `--object-manager-port=${ray.objectManagerPort}`,
    `--runtime-env-agent-port=${ray.runtimeEnvAgentPort}`,
    `--dashboard-agent-grpc-port=${ray.dashboardAgentGrpcPort}`,
    `--dashboard-agent-listen-port=${ray.dashboardAgentListenPort}`,
    `--metrics-export-port=${ray.metricsExportPort}`,
    `--min-worker-port=${ray.minWorkerPort}`,
    `--max-worker-port=${ray.maxWorkerPort}`,
    `--object-store-memory=${Math.round(ray.objectStoreMemoryGib * 2 ** 30)}`,
    ...(ray.numCpus === undefined ? [] : [`--num-cpus=${ray.numCpus}`]),
    "--disable-usage-stats",
    "--block",
  ];
}

/** Where the global control store listens. */
export function rayAddress(spec: RayClusterSpec): string {
  return `${headNode(spec).address}:${spec.ray.port}`;
}

/** The first node of the spec is the head. */
export function headNode(spec: ClusterSpec): NodeSpec {
  const head = spec.nodes[0];
  if (head === undefined) throw new Error("a parsed spec has at least one node");
  return head;
}
