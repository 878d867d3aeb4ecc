import { hardwareSeries, SERIES_NAMES } from "../hardware/series.js";
import { stableJson } from "../render/stable-json.js";
import type { ClusterSpecInput } from "../spec/cluster-spec.js";
import { vllmVersion } from "../spec/image-version.js";
import { MANAGED_ENV, MANAGED_FLAGS } from "../spec/managed.js";
import { ClusterSpecError, type SpecIssue } from "../spec/spec-issue.js";
import type { FlagKind } from "../vllm-flags/flag-kind.js";
import { knownFlags } from "../vllm-flags/known-flags.js";
import type { BackendRow, DeviceRow, ModelRow, WorkerRow } from "./api.js";
import { type GpustackInput, type GpustackPlan, planGpustack } from "./cluster.js";
import { groupOfRows, inputsOfVersion, memberOfRow } from "./deployment.js";
import { backendVersionInputs, deploymentGroupInputs, type GroupMember } from "./inputs.js";
import { meaningOfParameters, type Parameters, parsedMap, readParameters } from "./parameters.js";
import { SKIP_COUNT_CHECK, workersOf } from "./rules.js";
import { isSecretVariable } from "./secret-names.js";

/** What a server holds, as far as a stack file can tell it. */
export interface AdoptFacts {
  readonly models: readonly ModelRow[];
  readonly workers: readonly WorkerRow[];
  readonly devices: readonly DeviceRow[];
  /** The row of the backend vLLM. */
  readonly backend: BackendRow | undefined;
}

export interface AdoptOptions {
  /** Name of the cluster in the stack file. @default from the deployment's name */
  readonly cluster?: string | undefined;
  /** Where the deployment leaves it to the model: the stack file needs one. */
  readonly maxModelLen?: number | undefined;
}

/** A stack file for deployments that exist. */
export interface Adoption {
  readonly cluster: ClusterSpecInput;
  readonly gpustack: GpustackInput;
  /** What the two make: no other than what exists. */
  readonly plan: GpustackPlan;
  /** For `pulumi import --file`. */
  readonly imports: ImportFile;
  /** Variables of `gpustack.secretEnv`: their values are not in the file. */
  readonly secretEnv: readonly string[];
}

/** @see Pulumi 3.259 `pkg/cmd/pulumi/operations/import.go`, type `importFile` */
export interface ImportFile {
  readonly resources: readonly {
    readonly type: string;
    readonly name: string;
    readonly id?: string;
    readonly parent?: string;
    readonly component?: true;
  }[];
}

/** Deployments that no stack file makes; carries everything that stands in the way. */
export class AdoptError extends Error {
  override readonly name = "AdoptError";

  constructor(
    deployments: string,
    readonly issues: readonly SpecIssue[],
  ) {
    const lines = issues.map(
      ({ path, reason }) => `  ${path === "" ? deployments : path}: ${reason}`,
    );
    super([`${deployments} cannot be written as a stack file:`, ...lines].join("\n"));
  }
}

/**
 * The stack file of a deployment that exists: of the head with all members of its data-parallel group, or of one by itself. The
 * result is planned and compared with what is there, so nothing in it is a guess.
 *
 * @param name of the deployment that answers requests
 * @throws AdoptError with everything that a stack file cannot say.
 */
export function adoptGroup(name: string, facts: AdoptFacts, options: AdoptOptions = {}): Adoption {
  const rows = groupRows(name, facts);
  const title = rows.map((row) => row.name).join(", ");
  const members = rows.map((row) => ({ row, member: memberOfRow(row) }));
  const unsaid = members.flatMap(({ row, member }) => [
    ...unsupportedFields(row),
    ...unreadableParameters(member),
  ]);
  const version = versionOf(rows[0]!, facts);
  const found = "reason" in version ? [{ path: "backend version", reason: version.reason }] : [];
  if ("reason" in version || unsaid.length > 0) throw new AdoptError(title, [...unsaid, ...found]);

  const draft = draftStack(rows, version, facts, options);
  if (draft.issues.length > 0) throw new AdoptError(title, draft.issues);
  const plan = planned(title, draft.cluster, draft.gpustack);
  const differences = differencesOf(plan, rows, version, draft.secretEnv);
  if (differences.length > 0) throw new AdoptError(title, differences);
  return { ...draft, plan, imports: importFile(plan) };
}

/** The deployment, and those that meet at its rendezvous address, by start rank. */
function groupRows(name: string, { models }: AdoptFacts): readonly ModelRow[] {
  const head = models.find((row) => row.name === name);
  if (head === undefined) {
    const known = models.map((row) => row.name).sort();
    throw new AdoptError(name, [
      {
        path: "",
        reason: `there is no deployment ${name}; GPUStack has ${known.join(", ") || "none"}`,
      },
    ]);
  }
  const meeting = meetingPoint(head);
  if (meeting === undefined) return [head];
  const peers = models.filter((row) => row !== head && meetingPoint(row) === meeting);
  if (optionsOfRow(head).has("headless")) {
    const other = peers.find((row) => !optionsOfRow(row).has("headless"));
    throw new AdoptError(name, [
      {
        path: "",
        reason: `is headless and answers no requests; name the head of its group${other === undefined ? "" : `, ${other.name}`}`,
      },
    ]);
  }
  const rank = (row: ModelRow) => Number(optionsOfRow(row).get("data-parallel-start-rank") ?? 0);
  return [head, ...peers.sort((a, b) => rank(a) - rank(b))];
}

function meetingPoint(row: ModelRow): string | undefined {
  const options = optionsOfRow(row);
  const address = options.get("data-parallel-address");
  return typeof address === "string"
    ? `${row.cluster_id} ${address} ${String(options.get("data-parallel-rpc-port") ?? "")}`
    : undefined;
}

function optionsOfRow(row: ModelRow): Parameters {
  const read = readParameters(row.backend_parameters ?? []);
  return "options" in read ? read.options : new Map();
}

/** Settings of a deployment that no stack file has; PUT would leave them alone, but a new deployment would be without them. */
function unsupportedFields(row: ModelRow): SpecIssue[] {
  const isSet = (value: unknown) =>
    value !== null &&
    value !== undefined &&
    value !== false &&
    value !== "" &&
    !(typeof value === "object" && Object.keys(value).length === 0);
  return [
    ...UNSUPPORTED_FIELDS.filter((field) => isSet(row[field])).map((field) => ({
      path: `${row.name}.${field}`,
      reason: "is set, and a stack file has no place for it; clear it in GPUStack",
    })),
    ...(row.replicas > 1
      ? [
          {
            path: `${row.name}.replicas`,
            reason: `must be 0 or 1, got ${row.replicas}; deploy the others under names of their own`,
          },
        ]
      : []),
    ...(memberOfRow(row).gpuIds.length === 0
      ? [
          {
            path: `${row.name}.gpu_selector`,
            reason: "NPUs are chosen by GPUStack; choose them by hand (scheduling mode Manual)",
          },
        ]
      : []),
  ];
}

function unreadableParameters(member: GroupMember): SpecIssue[] {
  const read = readParameters(member.backendParameters);
  const path = `${member.name}.backend_parameters`;
  if ("unreadable" in read) {
    return [
      {
        path,
        reason: `must be long flags, each once with at most one value, got ${shownWord(read.unreadable)}; write it so in GPUStack`,
      },
    ];
  }
  return read.options.has("hf-token")
    ? [{ path, reason: "--hf-token is a secret: set the variable HF_TOKEN instead" }]
    : [];
}

/** Without a value, which may be a secret. */
function shownWord(word: string): string {
  return word.startsWith("-") ? (word.split(/[=\s]/)[0] ?? "") : "a word that belongs to no flag";
}

type Version = ReturnType<typeof inputsOfVersion> & { readonly version: string };

function versionOf(row: ModelRow, { backend }: AdoptFacts): Version | { readonly reason: string } {
  if (row.backend !== BACKEND) {
    return { reason: `the backend must be ${BACKEND}, got ${row.backend ?? "none"}` };
  }
  const version = row.backend_version ?? "";
  const config = backend?.version_configs[version];
  if (config === undefined) {
    return {
      reason: `${version === "" ? "none is chosen" : `"${version}" is one of GPUStack's own`}, and a stack file names an image; register the image as a version of ${BACKEND} and choose it`,
    };
  }
  const inputs = inputsOfVersion(config);
  if (Object.keys(inputs.env).length > 0) {
    return {
      reason: `${version} has an environment (${Object.keys(inputs.env).join(", ")}), for which a stack file has no place; move it to the deployments`,
    };
  }
  return { ...inputs, version };
}

interface Draft {
  readonly cluster: ClusterSpecInput;
  readonly gpustack: GpustackInput;
  readonly secretEnv: readonly string[];
  readonly issues: readonly SpecIssue[];
}

function draftStack(
  rows: readonly ModelRow[],
  version: Version,
  { workers, devices }: AdoptFacts,
  options: AdoptOptions,
): Draft {
  const [head] = rows;
  const issues: SpecIssue[] = [];
  const members = rows.map(memberOfRow);
  const isSingle = members.length === 1;
  const hosts = members.flatMap((member) =>
    workersOf(member).map((name) => ({
      name,
      member,
      worker: workers.find((row) => row.name === name),
    })),
  );
  for (const { name, worker } of hosts) {
    if (worker === undefined) issues.push({ path: name, reason: "GPUStack has no such worker" });
  }
  const flags = optionsOfRow(head!);
  const topology =
    !isSingle || number(flags.get("data-parallel-size")) > 1 ? "data-parallel" : "multiprocessing";
  const series = seriesOf(
    devices,
    hosts.map(({ name }) => name),
  );
  if (series === undefined) {
    issues.push({
      path: "series",
      reason: `the NPUs must be of a known series (${SERIES_NAMES.join(", ")}), got ${[...new Set(devices.map(({ name }) => name ?? "no name"))].join(", ") || "none"}`,
    });
  }
  const image = imageOf(version.imageName);
  if (image === undefined) {
    issues.push({
      path: `version ${version.version}`,
      reason: `the image must have a tag, got "${version.imageName}"; give it one in GPUStack`,
    });
  }
  const env = draftEnv(members, isSingle);
  issues.push(...env.issues);
  const serve = draftServe(members, flags, image, options);
  issues.push(...serve.issues);
  const nodeNames = hosts.every(({ name }) => /^[a-z]([a-z0-9-]{0,22}[a-z0-9])?$/.test(name))
    ? hosts.map(({ name }) => name)
    : hosts.map((_, index) => `node${index}`);
  const all = Array.from({ length: hardwareSeries(series ?? "A2").npusPerNode }, (_, id) => id);
  const interfaces = hosts.map(
    ({ member, worker }) =>
      INTERFACE_ENV.map((name) => member.env[name]).find((name) => name !== undefined) ??
      worker?.ifname ??
      "",
  );
  const { description, categories } = head!;
  const group = groupOfRows(rows, {});
  const cluster = {
    name: options.cluster ?? clusterName(head!.name),
    topology,
    series: series ?? "A2",
    nodes: hosts.map(({ name, member, worker }, index) => {
      const ids = member.gpuIds
        .filter((id) => id.startsWith(`${name}:`))
        .map((id) => Number(id.split(":")[2]))
        .sort((a, b) => a - b);
      return {
        name: nodeNames[index]!,
        address: worker?.ip ?? "",
        ...(interfaces[index] === interfaces[0] ? {} : { socketInterface: interfaces[index]! }),
        ...(stableJson(ids) === stableJson(all) ? {} : { visibleDevices: ids }),
        ...(Object.keys(env.own[index] ?? {}).length === 0 ? {} : { env: env.own[index]! }),
      };
    }),
    socketInterface: interfaces[0] ?? "",
    image: image ?? { reference: version.imageName },
    model: { path: group.localPath ?? modelCache(group) },
    serve: { servedModelName: head!.name, ...serve.fields },
    ...(Object.keys(env.common).length === 0 ? {} : { env: env.common }),
  } as unknown as ClusterSpecInput;
  const renamed = Object.fromEntries(
    hosts.flatMap(({ name }, index) =>
      nodeNames[index] === name ? [] : [[nodeNames[index]!, name]],
    ),
  );
  const deployments = isSingle
    ? {}
    : Object.fromEntries(
        members.flatMap(({ name }, index) =>
          index === 0 || name === `${head!.name}-${index + 1}` ? [] : [[nodeNames[index]!, name]],
        ),
      );
  const gpustack: GpustackInput = {
    ...(Object.keys(renamed).length === 0 ? {} : { workers: renamed }),
    ...(Object.keys(deployments).length === 0 ? {} : { deployments }),
    backendVersion: version.version,
    ...(version.entrypoint === DEFAULT_VERSION.entrypoint
      ? {}
      : { entrypoint: version.entrypoint }),
    ...(version.runCommand === DEFAULT_VERSION.runCommand
      ? {}
      : { runCommand: version.runCommand }),
    ...(group.modelScopeModelId === undefined
      ? {}
      : { modelScopeModelId: group.modelScopeModelId }),
    ...(group.huggingfaceRepoId === undefined
      ? {}
      : { huggingfaceRepoId: group.huggingfaceRepoId }),
    ...(isSingle && topology === "data-parallel" ? { singleDeployment: true } : {}),
    ...(group.replicas === 1 ? {} : { replicas: group.replicas }),
    ...(group.restartOnError ? {} : { restartOnError: false }),
    ...(description === null || description === undefined ? {} : { description }),
    ...(stableJson(categories ?? []) === stableJson(["llm"])
      ? {}
      : { categories: categories ?? [] }),
    ...(env.secret.length === 0 ? {} : { secretEnv: [...env.secret] }),
  };
  // What the plan adds and the deployments do without is found by planning; nothing is planned from a draft with problems.
  if (issues.length > 0) return { cluster, gpustack, secretEnv: env.secret, issues };
  const left = leftOut(planned(head!.name, cluster, gpustack), members);
  return {
    cluster,
    gpustack: {
      ...gpustack,
      ...(left.flags.length + left.env.length === 0
        ? {}
        : {
            leaveOut: {
              ...(left.flags.length === 0 ? {} : { flags: left.flags }),
              ...(left.env.length === 0 ? {} : { env: left.env }),
            },
          }),
    },
    secretEnv: env.secret,
    issues,
  };
}

interface DraftEnv {
  readonly common: Readonly<Record<string, string>>;
  /** By member. */
  readonly own: readonly Readonly<Record<string, string>>[];
  readonly secret: readonly string[];
  readonly issues: readonly SpecIssue[];
}

/** Variables with one value for all members belong to the cluster, others to their node; what the plan sets is checked later. */
function draftEnv(members: readonly GroupMember[], isSingle: boolean): DraftEnv {
  const common: Record<string, string> = {};
  const own = members.map((): Record<string, string> => ({}));
  const secret: string[] = [];
  const issues: SpecIssue[] = [];
  const names = [...new Set(members.flatMap(({ env }) => Object.keys(env)))].sort();
  for (const name of names) {
    const values = members.map(({ env }) => env[name]);
    const [first] = values;
    const isCommon = values.every((value) => value === first);
    if (name === SKIP_COUNT_CHECK || SET_BY_PLAN.has(name)) continue;
    if (Object.hasOwn(MANAGED_ENV, name)) {
      const path = `${members[values.findIndex((value) => value !== undefined)]!.name}.env.${name}`;
      issues.push({ path, reason: `is decided by ${MANAGED_ENV[name]}; remove it in GPUStack` });
    } else if (members.some(({ env }) => isSecretVariable(name, env[name] ?? ""))) {
      secret.push(name);
      if (!isCommon) {
        issues.push({
          path: `env.${name}`,
          reason: `is a secret, and must be the same on all of ${members.map((member) => member.name).join(", ")}`,
        });
      }
    } else if (isCommon || isSingle) {
      common[name] = first!;
    } else {
      values.forEach((value, index) => {
        if (value !== undefined) own[index]![name] = value;
      });
    }
  }
  return { common, own, secret, issues };
}

function draftServe(
  members: readonly GroupMember[],
  head: Parameters,
  image: ClusterSpecInput["image"] | undefined,
  { maxModelLen }: AdoptOptions,
): { readonly fields: object; readonly issues: readonly SpecIssue[] } {
  const fields: Record<string, unknown> = {};
  const extraArgs: Record<string, unknown> = {};
  const issues: SpecIssue[] = [];
  const known = knownFlags(image === undefined ? undefined : vllmVersion(image));
  for (const [flag, value] of head) {
    const field = SERVE_FIELDS[flag];
    if (field !== undefined) fields[field] = fieldValue(value);
    else if (!Object.hasOwn(MANAGED_FLAGS, flag))
      extraArgs[flag] = extraValue(value, known?.[flag]);
    else if (!PLANNED_FLAGS.has(flag)) {
      issues.push({
        path: `${members[0]!.name}.backend_parameters`,
        reason: `--${flag} has no place in a stack file (${MANAGED_FLAGS[flag]} decides it); remove it in GPUStack`,
      });
    }
  }
  if (fields["maxModelLen"] === undefined) {
    if (maxModelLen !== undefined) fields["maxModelLen"] = maxModelLen;
    else {
      issues.push({
        path: "serve.maxModelLen",
        reason:
          "the deployment leaves it to the model, and a stack file needs it; add --max-model-len with the model's own",
      });
    }
  }
  fields["maxNumSeqs"] ??= DEFAULT_MAX_NUM_SEQS;
  fields["tensorParallelSize"] ??= 1;
  return {
    fields: { ...fields, ...(Object.keys(extraArgs).length === 0 ? {} : { extraArgs }) },
    issues,
  };
}

function fieldValue(value: string | true): unknown {
  return value !== true && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

/** As a person would write it, where that becomes the same text again. */
function extraValue(value: string | true, kind: FlagKind | undefined): unknown {
  if (value === true) return true;
  const map = parsedMap(value);
  if (map !== undefined) return map;
  const isNumber = kind === "integer" || kind === "float" || kind === "size";
  return isNumber && String(Number(value)) === value ? Number(value) : value;
}

/** Flags and variables that the plan sets on members that do without. */
function leftOut(plan: GpustackPlan, members: readonly GroupMember[]) {
  const flags = new Set<string>();
  const env = new Set<string>();
  plan.group.members.forEach((planned, index) => {
    const member = members[index];
    if (member === undefined) return;
    const own = optionsOfEntries(member.backendParameters);
    for (const name of optionsOfEntries(planned.backendParameters ?? []).keys()) {
      if (!own.has(name)) flags.add(name);
    }
    for (const name of Object.keys(planned.env ?? {})) {
      if (!Object.hasOwn(member.env, name) && name !== SKIP_COUNT_CHECK) env.add(name);
    }
  });
  return { flags: [...flags].sort(), env: [...env].sort() };
}

function planned(title: string, cluster: ClusterSpecInput, gpustack: GpustackInput): GpustackPlan {
  try {
    return planGpustack(cluster, gpustack);
  } catch (error) {
    if (error instanceof ClusterSpecError) throw new AdoptError(title, error.issues);
    throw error;
  }
}

/** What the plan would make other than it is. Never shows a value of a secret. */
function differencesOf(
  plan: GpustackPlan,
  rows: readonly ModelRow[],
  version: Version,
  secretEnv: readonly string[],
): SpecIssue[] {
  const wanted = deploymentGroupInputs.parse(plan.group);
  const found = groupOfRows(rows, wanted);
  const wantedVersion = backendVersionInputs.parse(plan.version);
  const differ = (path: string, is: unknown, would: unknown): SpecIssue[] =>
    stableJson([is]) === stableJson([would])
      ? []
      : [{ path, reason: `is ${show(is)}, and a stack file would make it ${show(would)}` }];
  const fields = [
    ...([
      "modelScopeModelId",
      "huggingfaceRepoId",
      "localPath",
      "backend",
      "backendVersion",
    ] as const),
    ...(["replicas", "description", "categories", "restartOnError"] as const),
  ];
  return [
    ...(["imageName", "entrypoint", "runCommand", "customFramework"] as const).flatMap((key) =>
      differ(`version ${version.version}.${key}`, version[key], wantedVersion[key]),
    ),
    ...fields.flatMap((key) => differ(key, found[key], wanted[key])),
    ...found.members.flatMap((member, index) => {
      const other = wanted.members[index];
      if (other === undefined) return [{ path: member.name, reason: "is no member of the plan" }];
      const flags = meaningOfParameters(member.backendParameters) as Record<string, unknown>;
      const otherFlags = meaningOfParameters(other.backendParameters) as Record<string, unknown>;
      const both = (one: object, two: object) => [
        ...new Set([...Object.keys(one), ...Object.keys(two)]),
      ];
      return [
        ...differ(`${member.name}.name`, member.name, other.name),
        ...differ(`${member.name}.gpu_ids`, [...member.gpuIds].sort(), [...other.gpuIds].sort()),
        ...both(flags, otherFlags).flatMap((name) =>
          differ(`${member.name} --${name}`, flags[name], otherFlags[name]),
        ),
        ...both(member.env, other.env)
          .filter((name) => !secretEnv.includes(name))
          .flatMap((name) =>
            differ(`${member.name}.env.${name}`, member.env[name], other.env[name]),
          ),
      ];
    }),
  ];
}

function show(value: unknown): string {
  return value === undefined ? "not set" : JSON.stringify(value);
}

/** The version, then the group that uses it, both below the component that the program makes. */
function importFile({ cluster, version, group, names }: GpustackPlan): ImportFile {
  const { backend } = backendVersionInputs.parse(version);
  return {
    resources: [
      { type: "vllm-ascend:index:GpustackCluster", name: cluster, component: true },
      {
        type: "gpustack:index:BackendVersion",
        name: names.version,
        id: `${backend}/${version.version}`,
        parent: cluster,
      },
      {
        type: "gpustack:index:DeploymentGroup",
        name: names.group,
        id: group.members.map(({ name }) => name).join(","),
        parent: cluster,
      },
    ],
  };
}

function seriesOf(devices: readonly DeviceRow[], workers: readonly string[]) {
  const own = devices.filter(({ worker_name }) => workers.includes(worker_name));
  return SERIES_NAMES.find(
    (series) =>
      own.length > 0 &&
      own.every(({ name }) => (name ?? "").startsWith(hardwareSeries(series).chipName)),
  );
}

function imageOf(imageName: string): ClusterSpecInput["image"] | undefined {
  const [, reference, digest] = /^([^@]+)(?:@(sha256:[0-9a-f]{64}))?$/.exec(imageName) ?? [];
  if (reference === undefined || !/:[^/]+$/.test(reference)) return undefined;
  return { reference, ...(digest === undefined ? {} : { digest }) };
}

/** Where a worker keeps what it downloads; nothing reads it through GPUStack. */
function modelCache(group: {
  readonly modelScopeModelId?: string | undefined;
  readonly huggingfaceRepoId?: string | undefined;
}): string {
  const { modelScopeModelId, huggingfaceRepoId } = group;
  const id = modelScopeModelId ?? huggingfaceRepoId ?? "";
  return `/var/lib/gpustack/cache/${modelScopeModelId === undefined ? "huggingface" : "model_scope"}/${id}`;
}

function clusterName(deployment: string): string {
  return deployment
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, "-")
    .slice(0, 32)
    .replace(/-+$/, "");
}

function optionsOfEntries(entries: readonly string[]): Parameters {
  const read = readParameters(entries);
  return "options" in read ? read.options : new Map();
}

function number(value: string | true | undefined): number {
  return typeof value === "string" ? Number(value) : 1;
}

const BACKEND = "vLLM";
const DEFAULT_VERSION = backendVersionInputs.parse({ version: "0-custom", imageName: "a/b:c" });

/** vLLM's own default for a server; the flag itself is left out again. */
const DEFAULT_MAX_NUM_SEQS = 256;

const INTERFACE_ENV = ["HCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME"] as const;
/** From addresses and interfaces of the nodes; whether they are the same is found by comparing. */
const SET_BY_PLAN: ReadonlySet<string> = new Set([
  ...INTERFACE_ENV,
  ...["HCCL_IF_IP", "VLLM_HOST_IP"],
]);

/** Flags that have a field below `serve`. */
const SERVE_FIELDS: Readonly<Record<string, string>> = {
  "data-parallel-size": "dataParallelSize",
  "tensor-parallel-size": "tensorParallelSize",
  "pipeline-parallel-size": "pipelineParallelSize",
  "data-parallel-rpc-port": "dataParallelRpcPort",
  "api-server-count": "apiServerCount",
  "enable-expert-parallel": "enableExpertParallel",
  "max-model-len": "maxModelLen",
  "max-num-seqs": "maxNumSeqs",
  "max-num-batched-tokens": "maxNumBatchedTokens",
  "gpu-memory-utilization": "gpuMemoryUtilization",
  "trust-remote-code": "trustRemoteCode",
  quantization: "quantization",
  seed: "seed",
};

/** And those that the plan makes from the nodes. */
const PLANNED_FLAGS: ReadonlySet<string> = new Set([
  "data-parallel-size-local",
  "data-parallel-start-rank",
  "data-parallel-address",
  "distributed-executor-backend",
  "headless",
]);

const UNSUPPORTED_FIELDS = [
  ...["huggingface_filename", "model_scope_file_path", "cpu_offloading", "worker_selector"],
  ...["gpu_type_selector", "image_name", "run_command", "extended_kv_cache", "speculative_config"],
  ...["scaling_schedule", "generic_proxy", "lora_list", "roles", "disaggregation"],
] as const;
