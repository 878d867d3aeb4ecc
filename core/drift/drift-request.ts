import { nodeFile, ownerFile, renderRequest, statusFile } from "../facts/facts-request.js";
import type { ClusterPlan, NodePlan } from "../plan/cluster-plan.js";
import { driverVersionFile, type NodeScripts, stagedFiles } from "../render/stage-script.js";

/** What `vllm-cluster drift` wants to know of a host, as the request that `node/facts.sh` reads. */
export function driftRequest(plan: ClusterPlan, node: NodePlan, scripts: NodeScripts): string {
  return renderRequest([
    ["limit", "120"],
    ["docker"],
    ["system"],
    ["container", plan.containerName],
    ["container-json", plan.containerName],
    ["unit", plan.unitName],
    ["image", node.container.image.pull, "present"],
    ["file", statusFile(plan)],
    ["file", ownerFile(plan)],
    ["file", nodeFile(plan)],
    ["file", machineFile(plan)],
    ["file", driverVersionFile(node)],
    ["sums", ...stagedFiles(node, scripts).map(({ path }) => `${plan.baseDir}/${path}`)],
    ["file", unitFile(plan)],
    ["modes", ...secretFiles(plan, node)],
    ["processes", plan.containerName, ...Object.keys(node.env).sort()],
  ]);
}

/** What the host was when it was staged last. */
export function machineFile({ baseDir }: ClusterPlan): string {
  return `${baseDir}/machine`;
}

export function unitFile({ unitName }: ClusterPlan): string {
  return `/etc/systemd/system/${unitName}`;
}

/** Secret files that this node must have. */
export function secretFiles({ baseDir }: ClusterPlan, { releases }: NodePlan): string[] {
  const names = ["group-token", ...Object.values(releases.serve.secretEnv)];
  return [...new Set(names)].sort().map((name) => `${baseDir}/in/secrets/${name}`);
}
