import type { BackendVersionInputs, DeploymentGroupInputs, GroupMember } from "./inputs.js";
import { optionsOf, splitWords } from "./words.js";

/** One thing that is wrong with the inputs of a resource. */
export interface InputIssue {
  /** Path of the property, e.g. `members[1].env.HCCL_IF_IP`. */
  readonly property: string;
  readonly reason: string;
}

/** What the server takes without a word and then never starts, or starts as something else. */
export function checkBackendVersion(inputs: BackendVersionInputs): readonly InputIssue[] {
  const issues: InputIssue[] = [];
  const { backend, version, runCommand, env } = inputs;
  if (!version.endsWith("-custom") && !backend.endsWith("-custom")) {
    issues.push({
      property: "version",
      reason: `must end in "-custom" on the built-in backend ${backend}, got "${version}"; use "${version}-custom" here and in backendVersion`,
    });
  }
  for (const [, name = ""] of runCommand.matchAll(/\{\{\s*([^{}]*?)\s*\}\}/g)) {
    if (PLACEHOLDERS.includes(name) || Object.hasOwn(env, name) || /^[A-Z][A-Z0-9_]*$/.test(name)) {
      continue;
    }
    issues.push({
      property: "runCommand",
      reason: `has the unknown placeholder {{${name}}}, which would stay as it is; known are ${PLACEHOLDERS.map((known) => `{{${known}}}`).join(" ")} and variables of the environment`,
    });
  }
  if (splitWords(runCommand) === undefined) {
    issues.push({ property: "runCommand", reason: "has a quote that is not closed" });
  }
  return issues;
}

/** Rules between the fields of a group, and between its members. */
export function checkDeploymentGroup(group: DeploymentGroupInputs): readonly InputIssue[] {
  return [
    ...modelSource(group),
    ...versionSuffix(group),
    ...distinctMembers(group.members),
    ...group.members.flatMap((member, index) => memberParameters(member, `members[${index}]`)),
    ...(group.members.length > 1 ? dataParallelGroup(group.members) : []),
    ...(isAcrossWorkers(group.members[0]!) ? nativeDeployment(group) : []),
  ];
}

/** Whether one deployment spans several workers, GPUStack's own form of multi-node. */
export function isAcrossWorkers(member: GroupMember): boolean {
  return workersOf(member).length > 1;
}

/** Names of the workers of a member's NPUs. */
export function workersOf(member: GroupMember): readonly string[] {
  return [...new Set(member.gpuIds.map((id) => id.split(":")[0]!))];
}

/** The options of a member's `backendParameters`. */
export function memberOptions(member: GroupMember): ReadonlyMap<string, string | true> {
  return optionsOf(member.backendParameters.flatMap((entry) => splitWords(entry) ?? []));
}

function modelSource(group: DeploymentGroupInputs): InputIssue[] {
  const given = (["modelScopeModelId", "huggingfaceRepoId", "localPath"] as const).filter(
    (key) => group[key] !== undefined,
  );
  if (given.length === 1) return [];
  return [
    {
      property: given[1] ?? "modelScopeModelId",
      reason: `exactly one of modelScopeModelId, huggingfaceRepoId and localPath must be given, got ${given.join(" and ") || "none"}`,
    },
  ];
}

function versionSuffix({ backend, backendVersion }: DeploymentGroupInputs): InputIssue[] {
  if (!/^v/.test(backendVersion)) return [];
  return [
    {
      property: "backendVersion",
      reason: `must be the name of a version of the backend ${backend}, got the image tag "${backendVersion}"; versions have no leading v`,
    },
  ];
}

function distinctMembers(members: readonly GroupMember[]): InputIssue[] {
  const issues: InputIssue[] = [];
  const names = new Map<string, number>();
  const npus = new Map<string, string>();
  members.forEach(({ name, gpuIds }, index) => {
    const other = names.get(name);
    if (other !== undefined) {
      issues.push({
        property: `members[${index}].name`,
        reason: `must be unique, members[${other}] is "${name}" too`,
      });
    }
    names.set(name, index);
    for (const id of gpuIds) {
      const holder = npus.get(id);
      if (holder !== undefined) {
        issues.push({
          property: `members[${index}].gpuIds`,
          reason: `${id} is already held by ${holder}; GPUStack would start both on it`,
        });
      }
      npus.set(id, name);
    }
  });
  return issues;
}

function memberParameters(member: GroupMember, path: string): InputIssue[] {
  const unbalanced = member.backendParameters.flatMap((entry, index) =>
    splitWords(entry) === undefined
      ? [
          {
            property: `${path}.backendParameters[${index}]`,
            reason: "has a quote that is not closed",
          },
        ]
      : [],
  );
  const prose = member.backendParameters.flatMap((entry, index) =>
    (splitWords(entry) ?? []).includes("#")
      ? [
          {
            property: `${path}.backendParameters[${index}]`,
            reason: "has a # comment, which vLLM would get as arguments; remove it",
          },
        ]
      : [],
  );
  const reserved = [...memberOptions(member).keys()]
    .filter((name) => Object.hasOwn(RESERVED_OPTIONS, name))
    .map((name) => ({
      property: `${path}.backendParameters`,
      reason: `must not set --${name}: ${RESERVED_OPTIONS[name]}`,
    }));
  return [...unbalanced, ...prose, ...reserved];
}

/** With `GPUSTACK_SKIP_GPU_COUNT_CHECK` the server looks at none of this; vLLM hangs or fails minutes later. */
function dataParallelGroup(members: readonly GroupMember[]): InputIssue[] {
  const issues: InputIssue[] = [];
  const all = members.map(memberOptions);
  const path = (index: number) => `members[${index}].backendParameters`;
  for (const name of EQUAL_OPTIONS) {
    const head = all[0]!.get(name);
    all.forEach((options, index) => {
      const own = options.get(name);
      if (own !== head) {
        issues.push({
          property: path(index),
          reason: `--${name} must be the same on all members, got ${own ?? "none"} here and ${head ?? "none"} on ${members[0]!.name}`,
        });
      }
    });
  }
  for (const name of NEEDED_OPTIONS) {
    if (all[0]!.get(name) === undefined) {
      issues.push({
        property: path(0),
        reason: `--${name} is needed for a group of ${members.length} members`,
      });
    }
  }
  const sizes = all.map((options) => Number(options.get("data-parallel-size-local") ?? 1));
  const size = Number(all[0]!.get("data-parallel-size"));
  const total = sizes.reduce((sum, local) => sum + local, 0);
  if (Number.isFinite(size) && total !== size) {
    issues.push({
      property: path(0),
      reason: `--data-parallel-size ${size} must be the sum of the members' --data-parallel-size-local, got ${sizes.join(" + ")} = ${total}`,
    });
  }
  let rank = 0;
  all.forEach((options, index) => {
    const member = members[index]!;
    issues.push(...rankOfMember(member, options, { index, rank, path: path(index) }));
    const tensor = Number(options.get("tensor-parallel-size") ?? 1);
    const pipeline = Number(options.get("pipeline-parallel-size") ?? 1);
    const wanted = sizes[index]! * tensor * pipeline;
    if (wanted !== member.gpuIds.length) {
      issues.push({
        property: `members[${index}].gpuIds`,
        reason: `must be ${wanted} NPUs (--data-parallel-size-local ${sizes[index]} x --tensor-parallel-size ${tensor}${pipeline === 1 ? "" : ` x --pipeline-parallel-size ${pipeline}`}), got ${member.gpuIds.length}`,
      });
    }
    if (isAcrossWorkers(member)) {
      issues.push({
        property: `members[${index}].gpuIds`,
        reason: `must lie on one worker in a group, got ${workersOf(member).join(", ")}; make a member of each`,
      });
    }
    if (member.env[SKIP_COUNT_CHECK] !== "1") {
      issues.push({
        property: `members[${index}].env.${SKIP_COUNT_CHECK}`,
        reason: `must be "1": GPUStack >= 2.2 counts the NPUs of one deployment only and leaves it pending`,
      });
    }
    const twin = members.findIndex((other, at) => at < index && sharesAddress(other, member));
    if (twin >= 0) {
      issues.push({
        property: `members[${index}].env.HCCL_IF_IP`,
        reason: `must be the address of this member's own worker, got the one of ${members[twin]!.name}`,
      });
    }
    rank += sizes[index]!;
  });
  return issues;
}

function rankOfMember(
  member: GroupMember,
  options: ReadonlyMap<string, string | true>,
  { index, rank, path }: { index: number; rank: number; path: string },
): InputIssue[] {
  const issues: InputIssue[] = [];
  const start = options.get("data-parallel-start-rank");
  if (index === 0) {
    if (options.has("headless")) {
      issues.push({
        property: path,
        reason: `${member.name} is the head and serves the API: it must not be --headless; put the head first`,
      });
    }
    if (start !== undefined && start !== "0") {
      issues.push({
        property: path,
        reason: `the head has rank 0, got --data-parallel-start-rank ${start}`,
      });
    }
    return issues;
  }
  if (!options.has("headless")) {
    issues.push({
      property: path,
      reason: "must have --headless: with a start rank alone vLLM takes an external load balancer",
    });
  }
  if (start !== String(rank)) {
    issues.push({
      property: path,
      reason: `must have --data-parallel-start-rank ${rank}, got ${start ?? "none"}`,
    });
  }
  if (options.has("api-server-count")) {
    issues.push({
      property: path,
      reason: "a headless member has no API server: remove --api-server-count",
    });
  }
  return issues;
}

function sharesAddress(one: GroupMember, other: GroupMember): boolean {
  const address = one.env["HCCL_IF_IP"];
  return address !== undefined && address === other.env["HCCL_IF_IP"];
}

/** GPUStack >= 2.2 fills in ranks, ports and addresses itself, and the environment is one for all workers. */
function nativeDeployment({ members }: DeploymentGroupInputs): InputIssue[] {
  if (members.length > 1) return []; // told per member already
  const member = members[0]!;
  const options = memberOptions(member);
  const flags = NATIVE_FORBIDDEN_OPTIONS.filter((name) => options.has(name)).map((name) => ({
    property: "members[0].backendParameters",
    reason: `must not set --${name} for one deployment across workers: GPUStack adds what each worker needs`,
  }));
  const variables = NATIVE_FORBIDDEN_ENV.filter((name) => Object.hasOwn(member.env, name)).map(
    (name) => ({
      property: `members[0].env.${name}`,
      reason:
        "must not be set for one deployment across workers: all of them would get the same value",
    }),
  );
  const size = (name: string) => Number(options.get(name) ?? 1);
  const world =
    size("data-parallel-size") * size("tensor-parallel-size") * size("pipeline-parallel-size");
  const worldSize =
    world === member.gpuIds.length
      ? []
      : [
          {
            property: "members[0].gpuIds",
            reason: `must be as many NPUs as data x tensor x pipeline parallel size = ${world}, got ${member.gpuIds.length}`,
          },
        ];
  return [...flags, ...variables, ...worldSize];
}

/** What GPUStack puts in place of `{{…}}`. */
const PLACEHOLDERS: readonly string[] = [
  "model_path",
  "worker_ip",
  "port",
  "model_name",
  "gpu_count",
  "gpu_ids",
];

const RESERVED_OPTIONS: Readonly<Record<string, string>> = {
  host: "it belongs into the version's run command, as {{worker_ip}}",
  port: "GPUStack allocates it; the run command has {{port}}",
  "served-model-name": "it is the name of the deployment; the run command has {{model_name}}",
  "api-key": "keys are GPUStack's",
};

/** Variable that lets a deployment hold fewer NPUs than the world size of its group. */
export const SKIP_COUNT_CHECK = "GPUSTACK_SKIP_GPU_COUNT_CHECK";

const NEEDED_OPTIONS = [
  "data-parallel-size",
  "data-parallel-size-local",
  "data-parallel-address",
  "data-parallel-rpc-port",
] as const;

/** Ranks that differ in one of these wait for each other, or compute nonsense. */
const EQUAL_OPTIONS = [
  "data-parallel-size",
  "data-parallel-address",
  "data-parallel-rpc-port",
  "tensor-parallel-size",
  "pipeline-parallel-size",
  "seed",
  "quantization",
  "max-model-len",
] as const;

const NATIVE_FORBIDDEN_OPTIONS = [
  "data-parallel-size-local",
  "data-parallel-start-rank",
  "data-parallel-address",
  "data-parallel-rpc-port",
  "headless",
  "api-server-count",
] as const;

const NATIVE_FORBIDDEN_ENV = [
  SKIP_COUNT_CHECK,
  "HCCL_IF_IP",
  "HCCL_SOCKET_IFNAME",
  "GLOO_SOCKET_IFNAME",
  "TP_SOCKET_IFNAME",
] as const;
