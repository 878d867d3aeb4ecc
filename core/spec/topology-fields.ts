import { type ClusterFields, type ClusterSpec, raySchema, type Topology } from "./cluster-spec.js";
import type { SpecIssue } from "./spec-issue.js";

/** Fields that only one topology reads, set in a stack of another one: they would silently do nothing. */
export function checkTopologyFields(fields: ClusterFields): readonly SpecIssue[] {
  const { topology, serve } = fields;
  const ofOthers: readonly [path: string, isSet: boolean, owner: Topology, wayOut: string][] = [
    ["ray", fields.ray !== undefined, "ray", "remove it"],
    ["image.rayVersion", fields.image.rayVersion !== undefined, "ray", "remove it"],
    ["timeouts.rayStartSec", fields.timeouts.rayStartSec !== undefined, "ray", "remove it"],
    [
      "serve.dataParallelSize",
      serve.dataParallelSize > 1,
      "data-parallel",
      "remove it, and let the other sizes cover all NPUs",
    ],
    [
      "serve.dataParallelRpcPort",
      serve.dataParallelRpcPort !== undefined,
      "data-parallel",
      "remove it",
    ],
    ["serve.apiServerCount", serve.apiServerCount !== undefined, "data-parallel", "remove it"],
    ["serve.masterPort", serve.masterPort !== undefined, "multiprocessing", "remove it"],
  ];
  return ofOthers
    .filter(([, isSet, owner]) => isSet && owner !== topology)
    .map(([path, , owner, wayOut]) => ({
      path,
      reason: `belongs to topology "${owner}", got topology "${topology}"; ${wayOut}, or set topology: ${owner}`,
    }));
}

/** The spec of the topology that the fields name, with its defaults; what belongs to another topology is left out. */
export function specOfTopology(fields: ClusterFields): ClusterSpec {
  const { topology, ray, serve: allServe, timeouts: allTimeouts, ...common } = fields;
  const { dataParallelRpcPort, masterPort, ...serve } = allServe;
  const { rayStartSec, ...timeouts } = allTimeouts;
  switch (topology) {
    case "ray":
      return {
        ...common,
        topology,
        ray: ray ?? raySchema.parse({}),
        serve,
        timeouts: { ...timeouts, rayStartSec: rayStartSec ?? 300 },
      };
    case "data-parallel":
      return {
        ...common,
        topology,
        serve: { ...serve, dataParallelRpcPort: dataParallelRpcPort ?? 13_389 },
        timeouts,
      };
    case "multiprocessing":
      return {
        ...common,
        topology,
        serve: { ...serve, masterPort: masterPort ?? 29_501 },
        timeouts,
      };
  }
}
