import type { ClusterPlan } from "../plan/cluster-plan.js";
import type { GateNode, GatePlan } from "../plan/gate-plan.js";

/** What the gate wants to know of a host, as the request that `node/facts.sh` reads. */
export function gateRequest(plan: GatePlan, node: GateNode): string {
  if (plan.through === "gpustack") return npuRequest(plan, node);
  return renderRequest([
    ["limit", String(HOST_LIMIT_SEC)],
    ["clock"],
    ...REQUIRED_TOOLS.map((tool) => ["tool", tool]),
    ["path", SYSTEMD_DIR],
    ["tool", "docker"],
    ["docker"],
    ["docker-details"],
    ["system"],
    ...[...node.devices, ...node.mounts, node.modelPath, modelConfig(node)].map((path) => [
      "path",
      path,
    ]),
    ["file", modelConfig(node)],
    ["image", node.image.pull, node.image.source],
    ...(node.image.archive === undefined ? [] : [["path", node.image.archive]]),
    ["model", node.modelPath],
    ["disk", plan.baseDir],
    ["addresses"],
    ["names", ...plan.nodes.map(({ connection }) => connection.address)],
    ["ports", ...node.ports.map(({ first, last }) => `${first}-${last}`)],
    ["file", ownerFile(plan)],
    ["file", nodeFile(plan)],
    ["file", stagedFile(plan)],
    ...(node.name === plan.nodes[0]?.name ? [["file", statusFile(plan)]] : []),
    ["container", plan.containerName],
    ["containers"],
    ["file", node.driverPaths.hccnConf],
    ["file", node.driverPaths.driverVersionInfo],
    ["file", firmwareVersionInfo(node)],
    ...(node.isModelPresent ? [["storage", node.modelPath]] : []),
    ["npus", node.driverPaths.hccnTool, node.driverPaths.npuSmi, ...node.npus.map(String)],
    ["holders", ...node.npus.map(String)],
  ]);
}

/** Nothing about docker or the files of this product: GPUStack runs the containers. */
function npuRequest(plan: GatePlan, node: GateNode): string {
  return renderRequest([
    ["limit", String(HOST_LIMIT_SEC)],
    ["clock"],
    ...REQUIRED_TOOLS.map((tool) => ["tool", tool]),
    ["path", SYSTEMD_DIR],
    ["system"],
    ["addresses"],
    ["names", ...plan.nodes.map(({ connection }) => connection.address)],
    ["ports", ...node.ports.map(({ first, last }) => `${first}-${last}`)],
    ["file", node.driverPaths.hccnConf],
    ["file", node.driverPaths.driverVersionInfo],
    ["file", firmwareVersionInfo(node)],
    ["npus", node.driverPaths.hccnTool, node.driverPaths.npuSmi, ...node.npus.map(String)],
  ]);
}

/** Seconds that root's part of the look at a host may take; every probe has a limit of its own below it. */
export const HOST_LIMIT_SEC = 220;

/** The driver's installer puts firmware beside driver. */
export function firmwareVersionInfo({ driverPaths }: GateNode): string {
  return driverPaths.driverVersionInfo.replace(/\/driver\/(?=[^/]*$)/, "/firmware/");
}

/** What `vllm-cluster doctor` wants to know of a host: whether the login, root and docker work. */
export function loginRequest(): string {
  return renderRequest([
    ...[...REQUIRED_TOOLS, "docker"].map((tool) => ["tool", tool]),
    ["path", SYSTEMD_DIR],
    ["docker"],
    ["docker-details"],
  ]);
}

/** What `vllm-cluster status` wants to know of a host. */
export function statusRequest(plan: ClusterPlan): string {
  return renderRequest([
    ["clock"],
    ["docker"],
    ["container", plan.containerName],
    ["unit", plan.unitName],
    ["file", statusFile(plan)],
  ]);
}

/** Tools that the scripts of this product call on a host. */
export const REQUIRED_TOOLS = [
  "bash",
  "timeout",
  "base64",
  "flock",
  "ip",
  "ss",
  "systemctl",
] as const;

/** Exists exactly when systemd is the init of the host: `sd_booted(3)`. */
export const SYSTEMD_DIR = "/run/systemd/system";

export function modelConfig({ modelPath }: GateNode): string {
  return `${modelPath}/config.json`;
}

export function ownerFile({ baseDir }: { readonly baseDir: string }): string {
  return `${baseDir}/owner`;
}

export function nodeFile({ baseDir }: { readonly baseDir: string }): string {
  return `${baseDir}/node`;
}

/** Which releases were staged together, and where the nodes were. */
export function stagedFile({ baseDir }: { readonly baseDir: string }): string {
  return `${baseDir}/in/staged.json`;
}

export function statusFile({ baseDir }: { readonly baseDir: string }): string {
  return `${baseDir}/out/status.json`;
}

export function renderRequest(probes: readonly (readonly string[])[]): string {
  for (const field of probes.flat()) {
    if (field === "" || /\p{Cc}/u.test(field)) {
      throw new Error(
        `a field of a request must be one line and not empty: ${JSON.stringify(field)}`,
      );
    }
  }
  return [...probes.map((probe) => probe.join("\t")), "end", ""].join("\n");
}
