import type { DeviceRow, InstanceRow, ModelRow, UsableBackend, WorkerRow } from "./api.js";
import type { DeploymentGroupInputs } from "./inputs.js";
import { type InputIssue, memberOptions, workersOf } from "./rules.js";

/** What the server knows before anything is created or stopped. */
export interface ServerFacts {
  readonly workers: readonly WorkerRow[];
  readonly devices: readonly DeviceRow[];
  readonly models: readonly ModelRow[];
  readonly instances: readonly InstanceRow[];
  /** Backends with the versions that the cluster of the workers can use. */
  readonly backends: readonly UsableBackend[];
}

/** The cluster of a group: the one that is asked for, else the one of its first worker. */
export function clusterOf(
  group: DeploymentGroupInputs,
  workers: readonly WorkerRow[],
): number | undefined {
  const [first] = workersOf(group.members[0]!);
  return group.clusterId ?? workers.find(({ name }) => name === first)?.cluster_id ?? undefined;
}

/**
 * Whether what the group names is there, ready and free. The server answers 200 to most of what is wrong here, and then
 * leaves the deployment pending for ever, or starts two on one NPU.
 *
 * @param own names of the deployments that are the group's already: what they hold is free for it
 */
export function checkAgainstServer(
  group: DeploymentGroupInputs,
  facts: ServerFacts,
  own: ReadonlySet<string>,
): readonly InputIssue[] {
  return [
    ...workersReady(group, facts),
    ...npusFree(group, facts, own),
    ...addressesMatch(group, facts),
    ...versionExists(group, facts),
  ];
}

function workersReady(group: DeploymentGroupInputs, { workers }: ServerFacts): InputIssue[] {
  const cluster = clusterOf(group, workers);
  return group.members.flatMap((member, index) =>
    workersOf(member).flatMap((name): InputIssue[] => {
      const property = `members[${index}].gpuIds`;
      const worker = workers.find((candidate) => candidate.name === name);
      if (worker === undefined) {
        const known = workers.map((candidate) => candidate.name).sort();
        return [
          {
            property,
            reason: `there is no worker ${name}; GPUStack has ${known.join(", ") || "none"}`,
          },
        ];
      }
      if (worker.state !== "ready") {
        const why = worker.state_message ? `: ${worker.state_message}` : "";
        return [{ property, reason: `worker ${name} is ${worker.state}${why}` }];
      }
      if (cluster !== undefined && worker.cluster_id !== cluster) {
        return [
          {
            property,
            reason: `worker ${name} is in cluster ${worker.cluster_id}, the group in ${cluster}; a group lies in one cluster`,
          },
        ];
      }
      return [];
    }),
  );
}

function npusFree(
  group: DeploymentGroupInputs,
  { workers, devices, models, instances }: ServerFacts,
  own: ReadonlySet<string>,
): InputIssue[] {
  const names = new Map(models.map(({ id, name }) => [id, name]));
  const holders = new Map<string, string>();
  for (const instance of instances) {
    const name = names.get(instance.model_id) ?? `deployment ${instance.model_id}`;
    if (own.has(name)) continue;
    for (const index of instance.gpu_indexes ?? []) {
      holders.set(`${instance.worker_name}:cann:${index}`, name);
    }
  }
  return group.members.flatMap((member, index) => {
    const property = `members[${index}].gpuIds`;
    const known = workersOf(member).filter((name) =>
      workers.some((worker) => worker.name === name),
    );
    const ids = member.gpuIds.filter((id) => known.includes(id.split(":")[0]!));
    const missing = ids.filter((id) => !devices.some((device) => device.id === id));
    const held = ids.flatMap((id) => (holders.has(id) ? [`${id} by ${holders.get(id)}`] : []));
    return [
      ...(missing.length === 0
        ? []
        : [
            {
              property,
              reason: `the worker reports no NPU ${missing.join(", ")}; it has ${range(known, devices)}`,
            },
          ]),
      ...(held.length === 0
        ? []
        : [
            {
              property,
              reason: `held by another deployment, which GPUStack does not check: ${held.join(", ")}; stop that one, or choose other NPUs`,
            },
          ]),
    ];
  });
}

/** NPUs of workers, as people write them: `node-a:cann:0-7`. */
function range(workers: readonly string[], devices: readonly DeviceRow[]): string {
  return workers
    .map((worker) => {
      const own = devices.filter(({ worker_name }) => worker_name === worker);
      const indexes = own.map(({ index }) => index).sort((a, b) => a - b);
      return own.length === 0
        ? `none on ${worker}`
        : `${worker}:${own[0]!.type}:${indexes[0]}-${indexes.at(-1)}`;
    })
    .join(" and ");
}

/** HCCL and GLOO bind to these; a wrong one ends in a timeout of minutes without a name. */
function addressesMatch(group: DeploymentGroupInputs, { workers }: ServerFacts): InputIssue[] {
  const find = (name: string | undefined) => workers.find((worker) => worker.name === name);
  const head = find(workersOf(group.members[0]!)[0]);
  return group.members.flatMap((member, index): InputIssue[] => {
    const worker = find(workersOf(member)[0]);
    if (worker === undefined) return [];
    const differ = (property: string, got: string | undefined, wanted: string, what: string) =>
      got === undefined || got === wanted
        ? []
        : [
            {
              property: `members[${index}].${property}`,
              reason: `must be ${wanted}, ${what}, got ${got}`,
            },
          ];
    const rendezvous = memberOptions(member).get("data-parallel-address");
    return [
      ...differ(
        "env.HCCL_IF_IP",
        member.env["HCCL_IF_IP"],
        worker.ip,
        `the address of ${worker.name}`,
      ),
      ...INTERFACE_ENV.flatMap((name) =>
        worker.ifname
          ? differ(
              `env.${name}`,
              member.env[name],
              worker.ifname,
              `the interface of ${worker.name}`,
            )
          : [],
      ),
      ...(typeof rendezvous === "string" && head !== undefined
        ? differ(
            "backendParameters",
            rendezvous,
            head.ip,
            `--data-parallel-address is the address of ${head.name}, where the head runs`,
          )
        : []),
    ];
  });
}

function versionExists(group: DeploymentGroupInputs, { backends }: ServerFacts): InputIssue[] {
  // Without a known worker no cluster was asked.
  if (backends.length === 0) return [];
  const backend = backends.find(({ backend_name }) => backend_name === group.backend);
  if (backend === undefined) {
    const known = backends.map(({ backend_name }) => backend_name).sort();
    return [
      {
        property: "backend",
        reason: `the cluster has no backend ${group.backend}; it has ${known.join(", ")}`,
      },
    ];
  }
  if (backend.versions.some(({ version }) => version === group.backendVersion)) return [];
  const custom = backend.versions
    .map(({ version }) => version)
    .filter((version) => version.endsWith("-custom"))
    .sort();
  return [
    {
      property: "backendVersion",
      reason: `backend ${group.backend} has no version ${group.backendVersion}; create it as a BackendVersion${custom.length === 0 ? "" : `, or use one of ${custom.join(", ")}`}`,
    },
  ];
}

const INTERFACE_ENV = ["HCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME"] as const;
