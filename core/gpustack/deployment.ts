import { contentHash } from "../render/stable-json.js";
import type { ModelRow, VersionConfig } from "./api.js";
import type { BackendVersionInputs, DeploymentGroupInputs, GroupMember } from "./inputs.js";
import { meaningOfParameters } from "./parameters.js";
import { isAcrossWorkers } from "./rules.js";

/** The body of a deployment as `POST` and `PUT /v2/models` take it, without what each of them adds. */
export type ModelBody = Readonly<Record<string, unknown>>;

/**
 * A whole deployment. PUT merges, but turns `distributed_inference_across_workers` on when it is left out, so it is
 * always there; `null` clears.
 */
export function modelBody(
  group: DeploymentGroupInputs,
  member: GroupMember,
  { clusterId, replicas }: { readonly clusterId: number; readonly replicas: number },
): ModelBody {
  return {
    name: member.name,
    ...sourceBody(group),
    description: group.description ?? null,
    cluster_id: clusterId,
    replicas,
    backend: group.backend,
    backend_version: group.backendVersion,
    backend_parameters: member.backendParameters,
    env: member.env,
    gpu_selector: { gpu_ids: member.gpuIds, gpus_per_replica: member.gpuIds.length },
    placement_strategy: "spread",
    distributed_inference_across_workers: isAcrossWorkers(member),
    categories: group.categories,
    restart_on_error: group.restartOnError,
  };
}

/** The least that changes only the replicas of a deployment, whatever else it holds. */
export function scaleBody(row: ModelRow, replicas: number): ModelBody {
  return {
    name: row.name,
    source: row.source,
    model_scope_model_id: row.model_scope_model_id ?? null,
    huggingface_repo_id: row.huggingface_repo_id ?? null,
    local_path: row.local_path ?? null,
    distributed_inference_across_workers: row.distributed_inference_across_workers ?? false,
    replicas,
  };
}

/** What a row of the server says about a member: the inputs that would make it. */
export function memberOfRow(row: ModelRow): GroupMember {
  return {
    name: row.name,
    gpuIds: row.gpu_selector?.gpu_ids ?? [],
    backendParameters: row.backend_parameters ?? [],
    env: row.env ?? {},
  };
}

/** What the rows of a group say about the group; where the members disagree, the one that is not as expected counts. */
export function groupOfRows(
  rows: readonly ModelRow[],
  expected: Partial<DeploymentGroupInputs>,
): Omit<DeploymentGroupInputs, "readyTimeoutSec" | "maxRestarts"> {
  const pick = <T>(value: (row: ModelRow) => T, wanted: T): T => {
    const values = rows.map(value);
    return (
      values.find((one) => contentHash({ one }) !== contentHash({ one: wanted })) ?? values[0]!
    );
  };
  const optional = <K extends string>(key: K, value: string | null | undefined) =>
    value === null || value === undefined ? {} : { [key]: value };
  return {
    members: rows.map(memberOfRow),
    ...optional(
      "modelScopeModelId",
      pick((row) => row.model_scope_model_id ?? undefined, expected.modelScopeModelId),
    ),
    ...optional(
      "huggingfaceRepoId",
      pick((row) => row.huggingface_repo_id ?? undefined, expected.huggingfaceRepoId),
    ),
    ...optional(
      "localPath",
      pick((row) => row.local_path ?? undefined, expected.localPath),
    ),
    backend: pick((row) => row.backend ?? "", expected.backend ?? ""),
    backendVersion: pick((row) => row.backend_version ?? "", expected.backendVersion ?? ""),
    replicas: pick((row) => (row.replicas === 0 ? 0 : 1), expected.replicas ?? 1),
    ...optional(
      "description",
      pick((row) => row.description ?? undefined, expected.description),
    ),
    categories: pick((row) => row.categories ?? [], expected.categories ?? ["llm"]) as string[],
    restartOnError: pick((row) => row.restart_on_error ?? true, expected.restartOnError ?? true),
  };
}

/**
 * Identity of what the instances of a group run: another one needs a restart of all members. How parameters are written is no
 * part of it: a group that was typed in GPUStack's form is the one that the plan would have made.
 */
export function groupHash(
  group: Omit<DeploymentGroupInputs, "readyTimeoutSec" | "maxRestarts">,
): string {
  const { members, modelScopeModelId, huggingfaceRepoId, localPath } = group;
  const { backend, backendVersion, restartOnError } = group;
  return contentHash({
    members: members.map(meaningOfMember),
    ...{ modelScopeModelId, huggingfaceRepoId, localPath },
    ...{ backend, backendVersion, restartOnError },
  });
}

function meaningOfMember({ name, gpuIds, backendParameters, env }: GroupMember): unknown {
  return {
    ...{ name, env },
    gpuIds: [...gpuIds].sort(),
    backendParameters: meaningOfParameters(backendParameters),
  };
}

/** The entry of `version_configs` for a version. */
export function versionConfigOf(inputs: BackendVersionInputs): Readonly<Record<string, unknown>> {
  return {
    image_name: inputs.imageName,
    entrypoint: inputs.entrypoint,
    run_command: inputs.runCommand,
    custom_framework: inputs.customFramework,
    env: Object.keys(inputs.env).length === 0 ? null : inputs.env,
  };
}

/** What an entry of `version_configs` says: the inputs that would make it. */
export function inputsOfVersion(config: VersionConfig) {
  return {
    imageName: config.image_name ?? "",
    entrypoint: config.entrypoint ?? "",
    runCommand: config.run_command ?? "",
    customFramework: config.custom_framework ?? "",
    env: config.env ?? {},
  };
}

/** Identity of what a version runs; the input `backendVersionHash` of groups that use it. */
export function backendVersionHash(inputs: ReturnType<typeof inputsOfVersion>): string {
  const { imageName, entrypoint, runCommand, customFramework, env } = inputs;
  return contentHash({ imageName, entrypoint, runCommand, customFramework, env });
}

function sourceBody(group: DeploymentGroupInputs): ModelBody {
  if (group.huggingfaceRepoId !== undefined) {
    return { source: "huggingface", huggingface_repo_id: group.huggingfaceRepoId };
  }
  if (group.localPath !== undefined) return { source: "local_path", local_path: group.localPath };
  return { source: "model_scope", model_scope_model_id: group.modelScopeModelId };
}
