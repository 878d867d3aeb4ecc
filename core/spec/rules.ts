import { hardwareSeries } from "../hardware/series.js";
import type { FlagTable } from "../vllm-flags/flag-kind.js";
import { type FlagValue, flagValueProblem } from "../vllm-flags/flag-value.js";
import { knownFlags } from "../vllm-flags/known-flags.js";
import { checkArrival } from "./arrival-rules.js";
import { type ClusterSpec, MAX_TEXT_BYTES, type NodeSpec } from "./cluster-spec.js";
import { vllmVersion } from "./image-version.js";
import { MANAGED_ENV, MANAGED_FLAGS } from "./managed.js";
import { nearestWord } from "./nearest.js";
import { type SpecIssue, shortened } from "./spec-issue.js";

/** What no single field can show: rules between fields. Never throws; the order is that of the rules below. */
export function checkClusterRules(spec: ClusterSpec): readonly SpecIssue[] {
  return [
    ...uniqueNodes(spec),
    ...devicesOfSeries(spec),
    ...parallelSizes(spec),
    ...checkArrival(spec),
    ...distinctPorts(spec),
    ...sharedMemory(spec),
    ...becomeNeedsUser(spec),
    ...managedEnvironment(spec),
    ...acceptedFindings(spec),
    ...extraArgs(spec),
  ];
}

/** The NPUs that a node contributes: its `visibleDevices`, else all of the series. */
export function visibleDevices(spec: ClusterSpec, node: NodeSpec): readonly number[] {
  const all = Array.from({ length: hardwareSeries(spec.series).npusPerNode }, (_, id) => id);
  return node.visibleDevices ?? all;
}

function uniqueNodes(spec: ClusterSpec): SpecIssue[] {
  return [
    ...duplicates(spec.nodes.map((node) => node.name)).map(([index, value]) => ({
      path: `nodes[${index}].name`,
      reason: `must be unique, got "${value}" again; give each server a name of its own`,
    })),
    ...duplicates(spec.nodes.map((node) => node.address)).map(([index, value]) => ({
      path: `nodes[${index}].address`,
      reason: `must be unique, got ${value} again; two entries would be one machine`,
    })),
  ];
}

/** An entry for nothing would look as if it did something. */
function acceptedFindings(spec: ClusterSpec): SpecIssue[] {
  return spec.preflight.accept.flatMap(({ node, npu }, index) => {
    const path = `preflight.accept[${index}]`;
    const planned = spec.nodes.filter(({ name }) => node === undefined || name === node);
    if (planned.length === 0) {
      const known = spec.nodes.map(({ name }) => name).join(", ");
      return [
        {
          path: `${path}.node`,
          reason: `must be a node of this stack (${known}), got "${shortened(node ?? "", 80)}"`,
        },
      ];
    }
    const isPlanned =
      npu === undefined || planned.some((each) => visibleDevices(spec, each).includes(npu));
    return isPlanned
      ? []
      : [
          {
            path: `${path}.npu`,
            reason: `must be an NPU that the stack uses, got ${npu}; remove the entry`,
          },
        ];
  });
}

function duplicates(values: readonly string[]): [index: number, value: string][] {
  const seen = new Set<string>();
  return values.flatMap((value, index): [number, string][] => {
    const isNew = !seen.has(value);
    seen.add(value);
    return isNew ? [] : [[index, value]];
  });
}

function devicesOfSeries(spec: ClusterSpec): SpecIssue[] {
  const { npusPerNode } = hardwareSeries(spec.series);
  return spec.nodes.flatMap((node, index) => {
    const devices = node.visibleDevices ?? [];
    const path = `nodes[${index}].visibleDevices`;
    const issues: SpecIssue[] = [];
    const beyond = devices.filter((id) => id >= npusPerNode);
    if (beyond.length > 0) {
      issues.push({
        path,
        reason: `must be within 0-${npusPerNode - 1} for series "${spec.series}", got ${beyond.join(", ")}; remove them or set another series`,
      });
    }
    if (new Set(devices).size !== devices.length) {
      issues.push({
        path,
        reason: `must not repeat an id, got ${devices.join(", ")}; list each NPU once`,
      });
    }
    return issues;
  });
}

function parallelSizes(spec: ClusterSpec): SpecIssue[] {
  const { tensorParallelSize: tp, pipelineParallelSize: pp, dataParallelSize: dp } = spec.serve;
  const counts = spec.nodes.map((node) => visibleDevices(spec, node).length);
  const npus = counts.reduce((sum, count) => sum + count, 0);
  const isDataParallel = spec.topology === "data-parallel";
  const issue = (field: string, reason: string): SpecIssue[] => [
    { path: `serve.${field}`, reason },
  ];
  if (isDataParallel && dp < 2) {
    return issue(
      "dataParallelSize",
      `must be at least 2 with topology "data-parallel", got ${dp}; set the number of engines, or set topology: multiprocessing for one engine`,
    );
  }
  const engineNpus = tp * pp;
  const size = isDataParallel ? dp * engineNpus : engineNpus;
  if (size !== npus) {
    const names = ["tensorParallelSize", "pipelineParallelSize", "dataParallelSize"];
    const sizes = [tp, pp, dp].slice(0, isDataParallel ? 3 : 2);
    return issue(
      "tensorParallelSize",
      `${names.slice(0, sizes.length).join(" x ")} must equal the NPUs of all nodes, got ${sizes.join(" x ")} = ${size} for ${npus} NPUs (${counts.join(" + ")}); change the sizes or visibleDevices`,
    );
  }
  if (isDataParallel && counts.some((count) => count % engineNpus !== 0)) {
    return issue(
      "tensorParallelSize",
      `an engine of ${tp} x ${pp} = ${engineNpus} NPUs must lie within one node, got nodes with ${counts.join(" + ")} NPUs; use smaller sizes, or topology multiprocessing or ray for an engine over several nodes`,
    );
  }
  // vLLM 0.23 `config/parallel.py`: --nnodes divides the world size, and rank // device_count tells the node of a rank.
  if (spec.topology === "multiprocessing" && counts.some((count) => count !== counts[0])) {
    return issue(
      "tensorParallelSize",
      `topology "multiprocessing" needs the same number of NPUs on every node, got ${counts.join(" + ")}; make visibleDevices equally long, or use topology ray`,
    );
  }
  if (pp > 1 && counts.some((count) => count % tp !== 0 && tp % count !== 0)) {
    return issue(
      "tensorParallelSize",
      `a pipeline stage of ${tp} NPUs must not straddle nodes unevenly, got nodes with ${counts.join(" + ")} NPUs; use equal nodes or another tensorParallelSize`,
    );
  }
  return [];
}

/** Every TCP port that the plan fixes on a node; the ranges are inclusive. */
export function plannedPorts(spec: ClusterSpec): readonly PlannedPort[] {
  const single = (path: string, value: number): PlannedPort => ({
    path,
    first: value,
    last: value,
  });
  const common = [
    single("serve.port", spec.serve.port),
    single("supervisor.port", spec.supervisor.port),
  ];
  switch (spec.topology) {
    case "ray": {
      const { ray } = spec;
      return [
        ...common,
        single("ray.port", ray.port),
        single("ray.nodeManagerPort", ray.nodeManagerPort),
        single("ray.objectManagerPort", ray.objectManagerPort),
        single("ray.runtimeEnvAgentPort", ray.runtimeEnvAgentPort),
        single("ray.dashboardAgentGrpcPort", ray.dashboardAgentGrpcPort),
        single("ray.dashboardAgentListenPort", ray.dashboardAgentListenPort),
        single("ray.metricsExportPort", ray.metricsExportPort),
        { path: "ray.minWorkerPort", first: ray.minWorkerPort, last: ray.maxWorkerPort },
      ];
    }
    case "data-parallel":
      return [...common, single("serve.dataParallelRpcPort", spec.serve.dataParallelRpcPort)];
    case "multiprocessing":
      return [
        ...common,
        // One node needs no meeting point of ranks.
        ...(spec.nodes.length > 1 ? [single("serve.masterPort", spec.serve.masterPort)] : []),
      ];
  }
}

export interface PlannedPort {
  readonly path: string;
  readonly first: number;
  readonly last: number;
}

function distinctPorts(spec: ClusterSpec): SpecIssue[] {
  const issues: SpecIssue[] = [];
  if (spec.topology === "ray" && spec.ray.maxWorkerPort < spec.ray.minWorkerPort) {
    issues.push({
      path: "ray.maxWorkerPort",
      reason: `must not be below minWorkerPort, got ${spec.ray.maxWorkerPort} < ${spec.ray.minWorkerPort}; swap them`,
    });
  }
  const ports = plannedPorts(spec);
  ports.forEach((port, index) => {
    const clash = ports
      .slice(0, index)
      .find((other) => port.first <= other.last && other.first <= port.last);
    if (clash !== undefined) {
      const value = port.first === port.last ? `${port.first}` : `${port.first}-${port.last}`;
      issues.push({
        path: port.path,
        reason: `must not collide with ${clash.path}, got ${value}; choose a free port`,
      });
    }
  });
  return issues;
}

function sharedMemory(spec: ClusterSpec): SpecIssue[] {
  if (spec.topology !== "ray") return [];
  const { objectStoreMemoryGib } = spec.ray;
  const { shmSizeGib } = spec.container;
  return objectStoreMemoryGib < shmSizeGib
    ? []
    : [
        {
          path: "ray.objectStoreMemoryGib",
          reason: `must be below container.shmSizeGib, got ${objectStoreMemoryGib} >= ${shmSizeGib}; raise shmSizeGib (Ray's object store lies in /dev/shm)`,
        },
      ];
}

function becomeNeedsUser(spec: ClusterSpec): SpecIssue[] {
  const { user, become } = spec.ssh;
  return user !== "root" && become === "none"
    ? [
        {
          path: "ssh.become",
          reason: `must be "sudo" for a user other than root, got user "${user}" with "none"; files below /var/lib and units need root`,
        },
      ]
    : [];
}

function managedEnvironment(spec: ClusterSpec): SpecIssue[] {
  const check = (path: string, env: Readonly<Record<string, string>>): SpecIssue[] =>
    Object.keys(env).flatMap((name) =>
      Object.hasOwn(MANAGED_ENV, name)
        ? [{ path: `${path}.${name}`, reason: `is set from ${MANAGED_ENV[name]}; remove it here` }]
        : [],
    );
  return [
    ...check("env", spec.env),
    ...spec.nodes.flatMap((node, index) => check(`nodes[${index}].env`, node.env)),
  ];
}

function extraArgs(spec: ClusterSpec): SpecIssue[] {
  const version = vllmVersion(spec.image);
  const known = knownFlags(version);
  return Object.entries(spec.serve.extraArgs).flatMap(([flag, value]) => {
    const path = `serve.extraArgs.${shortened(flag, 100)}`;
    const issue = (reason: string): SpecIssue[] => [{ path, reason }];
    const positive = flag.replace(/^no-/, "");
    if (Object.hasOwn(MANAGED_FLAGS, positive)) {
      return issue(`is a flag that the plan sets from ${MANAGED_FLAGS[positive]}; remove it here`);
    }
    const text = unsendable(value);
    if (text !== undefined) return issue(text);
    if (known === undefined) return [];
    if (!Object.hasOwn(known, flag)) return issue(unknownFlagReason(flag, version, known));
    const problem = flagValueProblem(known[flag]!, value);
    return problem === undefined
      ? []
      : issue(`${problem}, got ${shortened(JSON.stringify(value), 80)}`);
  });
}

function unknownFlagReason(flag: string, version: string | undefined, known: FlagTable): string {
  const near = nearestWord(flag, Object.keys(known));
  const hint = near === undefined ? "remove it" : `did you mean "${near}"?`;
  return `is no flag of \`vllm serve\` ${version}; ${hint}`;
}

/** Why a value cannot reach the engine as it is written. */
function unsendable(value: FlagValue): string | undefined {
  if (unsafeIntegers(value)) {
    return "must not have whole numbers beyond 9007199254740991: they were rounded when the file was read; write them as text";
  }
  if (typeof value !== "object") return undefined;
  const text = JSON.stringify(value);
  // JSON writes half characters and NUL as escapes, so its length is all that can be wrong.
  return new TextEncoder().encode(text).length > MAX_TEXT_BYTES
    ? `must be at most ${MAX_TEXT_BYTES} bytes as JSON; put it into a file of a mount`
    : undefined;
}

function unsafeIntegers(value: unknown): boolean {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value);
  return value !== null && typeof value === "object" && Object.values(value).some(unsafeIntegers);
}
