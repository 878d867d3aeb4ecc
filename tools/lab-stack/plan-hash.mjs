import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { repoDir } from "../setup/paths.mjs";

/** @typedef {import("../../core/spec/cluster-spec.js").ClusterSpecInput} ClusterSpecInput */

/**
 * What `vllm-ascend:allowDowntimeFor` must be for a lab's stack with an API key. Needs `ensureDist` first.
 * @param {ClusterSpecInput} cluster
 * @param {string} stack
 * @returns {Promise<string>}
 */
export async function planHashOf(cluster, stack) {
  const dist = (/** @type {string} */ file) =>
    import(pathToFileURL(join(repoDir, "dist", "core", file)).href);
  const [{ parseClusterSpec }, { planCluster }, { planHash }] = await Promise.all([
    dist("spec/parse.js"),
    dist("plan/plan-cluster.js"),
    dist("plan/gate-plan.js"),
  ]);
  const owner = `organization/vllm-ascend/${stack}`;
  return planHash(planCluster(parseClusterSpec(cluster), { owner, hasApiKey: true }));
}
