import { idRanges } from "../render/id-ranges.js";
import type { GpustackPlan } from "./cluster.js";
import { backendVersionInputs, deploymentGroupInputs, type GroupMember } from "./inputs.js";
import { workersOf } from "./rules.js";

/** What a person would fill into GPUStack's forms, with the names of its fields; values as they are typed there. */
export function renderGpustack(plan: GpustackPlan, nodes: ReadonlySet<string>): string {
  const { members } = deploymentGroupInputs.parse(plan.group);
  const workers = new Set(
    plan.nodes.filter(({ name }) => nodes.has(name)).map(({ worker }) => worker),
  );
  const shown = members.filter((member) => workersOf(member).some((name) => workers.has(name)));
  return [
    renderVersion(plan),
    ...shown.map((member) => renderDeployment(plan, member, member === members[0])),
    renderStart(plan),
  ].join("\n\n");
}

function renderVersion({ version }: GpustackPlan): string {
  const inputs = backendVersionInputs.parse(version);
  return [
    `# Page "Inference Backends", backend ${inputs.backend}: add a version`,
    `Version: ${inputs.version}`,
    `Image: ${inputs.imageName}`,
    "Framework: CANN",
    `Entrypoint: ${inputs.entrypoint}`,
    `Run command: ${inputs.runCommand}`,
  ].join("\n");
}

function renderDeployment(plan: GpustackPlan, member: GroupMember, isHead: boolean): string {
  const group = deploymentGroupInputs.parse(plan.group);
  const source =
    group.modelScopeModelId !== undefined
      ? `ModelScope ${group.modelScopeModelId}`
      : group.huggingfaceRepoId !== undefined
        ? `Hugging Face ${group.huggingfaceRepoId}`
        : `local path ${group.localPath ?? ""}`;
  const isAcross = workersOf(member).length > 1;
  const role =
    group.members.length === 1
      ? isAcross
        ? "one deployment across workers"
        : "one deployment"
      : isHead
        ? "the head, which answers requests"
        : "a member";
  return [
    `# Page "Deployments": ${role}`,
    `Name: ${member.name}`,
    `Source: ${source}`,
    "Replicas: 0",
    `Backend: ${group.backend}, version ${group.backendVersion}`,
    `Allow distributed inference across workers: ${isAcross ? "yes" : "no"}`,
    `Restart on error: ${group.restartOnError ? "yes" : "no"}`,
    `GPU selector: manual, ${npuList(member.gpuIds)}`,
    "Backend parameters, one a line:",
    ...member.backendParameters.map((entry) => `  ${entry}`),
    "Environment:",
    ...Object.entries(member.env).map(([name, value]) => `  ${name}=${value}`),
    ...plan.secretEnv.map((name) => `  ${name}=<the secret vllm-ascend:gpustackSecretEnv.${name}>`),
  ].join("\n");
}

function renderStart({ group }: GpustackPlan): string {
  const names = group.members.map(({ name }) => name).join(", ");
  if (group.replicas === 0) return `# Stopped: replicas of ${names} stay 0\n`;
  return `# Then replicas from 0 to 1: ${names}${group.members.length > 1 ? ", within seconds of each other" : ""}\n`;
}

/** `node-a:cann:0-7` */
function npuList(ids: readonly string[]): string {
  const byWorker = new Map<string, number[]>();
  for (const id of ids) {
    const at = id.lastIndexOf(":");
    const worker = id.slice(0, at);
    byWorker.set(worker, [...(byWorker.get(worker) ?? []), Number(id.slice(at + 1))]);
  }
  return [...byWorker]
    .map(([worker, indexes]) => `${worker}:${idRanges([...indexes].sort((a, b) => a - b))}`)
    .join(" and ");
}
