import type { ClusterNames, NodeNames } from "./cluster-plan.js";

/** Names of the resources of a cluster. */
export function clusterNames(cluster: string): ClusterNames {
  return {
    cluster,
    preflight: `${cluster}-preflight`,
    smoke: `${cluster}-smoke`,
    ray: `${cluster}-ray`,
    rayCommit: `${cluster}-ray-commit`,
    serve: `${cluster}-serve`,
    serveCommit: `${cluster}-serve-commit`,
  };
}

/** Names of the resources of one node. */
export function nodeNames(cluster: string, node: string): NodeNames {
  const prefix = `${cluster}-${node}`;
  return {
    node: prefix,
    files: `${prefix}-files`,
    groupToken: `${prefix}-group-token`,
    secrets: `${prefix}-secrets`,
    runtime: `${prefix}-runtime`,
    docker: `${prefix}-docker`,
    imageLoad: `${prefix}-image-load`,
    image: `${prefix}-image`,
    model: `${prefix}-model`,
    container: `${prefix}-container`,
    boot: `${prefix}-boot`,
  };
}
