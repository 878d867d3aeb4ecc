import type { DiffResult } from "@pulumi/pulumi/provider/index.js";
import type { InstanceRow, ModelRow } from "../core/gpustack/api.js";
import {
  backendVersionHash,
  groupHash,
  groupOfRows,
  inputsOfVersion,
  type ModelBody,
  modelBody,
  scaleBody,
} from "../core/gpustack/deployment.js";
import { type DeploymentGroupInputs, deploymentGroupInputs } from "../core/gpustack/inputs.js";
import { checkAgainstServer, clusterOf } from "../core/gpustack/preflight.js";
import { faultOfGroup, judgeGroup } from "../core/gpustack/readiness.js";
import { checkDeploymentGroup } from "../core/gpustack/rules.js";
import { stableJson } from "../core/render/stable-json.js";
import { untilAnswered } from "./completion-probe.js";
import { GpustackError } from "./http.js";
import type { PropertyMap } from "./property-values.js";
import {
  type CheckedInputs,
  type Context,
  checkInputs,
  PartialFailure,
  type ReadState,
  RefusedError,
  type ResourceKind,
} from "./resource.js";

/** What the state holds of a group: its inputs, and what only the server knows. */
interface GroupState extends DeploymentGroupInputs {
  /** Id of each member's deployment, by name. */
  readonly modelIds: Readonly<Record<string, number>>;
  /** Name of the model in the API. */
  readonly route: string;
  /** Cluster of GPUStack that the group runs in. */
  readonly cluster: number;
  readonly instances: readonly GroupInstance[];
  /** What the running instances were started with: the server cannot tell that they are older than their deployment. */
  readonly appliedHash: string;
  /** One line when the group is not as it should be; empty otherwise. */
  readonly problem: string;
}

interface GroupInstance {
  readonly member: string;
  readonly name: string;
  readonly worker: string;
  readonly restartCount: number;
}

/**
 * Deployments of GPUStack that run as one: they start together, stop together, and are ready or failed together. GPUStack
 * itself knows no such group, and a headless member outlives its head (vllm#32136).
 */
export const deploymentGroup: ResourceKind = {
  check(inputs: unknown): CheckedInputs {
    return checkInputs(deploymentGroupInputs, inputs, checkDeploymentGroup);
  },

  diff(id: string, olds: PropertyMap, news: PropertyMap): DiffResult {
    const [old, wanted] = [olds as unknown as GroupState, news as unknown as DeploymentGroupInputs];
    const replaces = replacedKeys(id, old, wanted);
    return {
      replaces,
      // Names are unique on the server, and the old group holds the NPUs.
      deleteBeforeReplace: true,
      changes:
        replaces.length > 0 ||
        needsRestart(old, wanted) ||
        UNRESTARTED_KEYS.some((key) => differs(old[key], wanted[key])) ||
        // A program that does not watch the version has nothing to say about it.
        (wanted.backendVersionHash !== undefined &&
          wanted.backendVersionHash !== old.backendVersionHash),
    };
  },

  async create(context: Context, props: PropertyMap) {
    const inputs = props as unknown as DeploymentGroupInputs;
    const cluster = await preflight(context, inputs, "create");
    const id = idOf(inputs);
    const rows = new Map<string, ModelRow>();
    try {
      await applyBodies(context, inputs, cluster, rows);
      return { id, outs: await start(context, inputs, cluster, rows) };
    } catch (error) {
      if (rows.size === 0) throw error;
      throw await partialFailure(context, id, inputs, cluster, rows, error);
    }
  },

  async read(context: Context, id: string, props: PropertyMap): Promise<ReadState | undefined> {
    const known = props as unknown as Partial<GroupState>;
    const names = known.members?.map(({ name }) => name) ?? namesOf(id);
    const rows = await findRows(context, names, known.modelIds ?? {});
    if (rows.size === 0) return undefined;
    const isImport = known.members === undefined;
    if (isImport && rows.size < names.length) {
      const missing = names.filter((name) => !rows.has(name));
      throw new Error(
        `there is no deployment ${missing.join(", ")}: the id of a DeploymentGroup is the names of its deployments, the head first, with commas between`,
      );
    }
    const version = isImport ? await versionHash(context, [...rows.values()][0]!) : {};
    return {
      id: names.join(","),
      ...(await observe(context, names, { ...known, ...version }, rows)),
    };
  },

  async update(context: Context, olds: PropertyMap, news: PropertyMap): Promise<PropertyMap> {
    const [old, wanted] = [olds as unknown as GroupState, news as unknown as DeploymentGroupInputs];
    const names = wanted.members.map(({ name }) => name);
    if (!needsRestart(old, wanted)) return updateInPlace(context, old, wanted);
    const cluster = await preflight(context, wanted, "update");
    const rows = await findRows(context, names, old.modelIds);
    try {
      await stop(context, [...rows.values()]);
      await applyBodies(context, wanted, cluster, rows);
      return await start(context, wanted, cluster, rows);
    } catch (error) {
      throw await partialFailure(context, idOf(wanted), wanted, cluster, rows, error);
    }
  },

  async delete(context: Context, props: PropertyMap): Promise<void> {
    const { members, modelIds } = props as unknown as GroupState;
    const names = members.map(({ name }) => name);
    // By id only: a deployment of the same name that somebody else has made since is not ours.
    const rows = await findRows(context, names, modelIds, { byName: false });
    await stop(context, [...rows.values()]);
    for (const row of rows.values()) await deleteRow(context, row);
    await noInstances(context, [...rows.values()]);
  },
};

/** Everything that can be known before anything is created or stopped; a finding leaves a running group alone. */
async function preflight(
  { api }: Context,
  inputs: DeploymentGroupInputs,
  operation: "create" | "update",
): Promise<number> {
  const [workers, devices, models, instances] = await Promise.all([
    api.workers(),
    api.devices(),
    api.models(),
    api.instances(),
  ]);
  const cluster = clusterOf(inputs, workers);
  const backends = cluster === undefined ? [] : await api.usableBackends(cluster);
  const names = new Set(inputs.members.map(({ name }) => name));
  const own = operation === "update" ? names : new Set<string>();
  const facts = { workers, devices, models, instances, backends };
  const taken = models.filter(({ name }) => names.has(name) && !own.has(name));
  const issues = [
    // What does not start needs no NPU.
    ...(inputs.replicas === 0 && cluster !== undefined
      ? []
      : checkAgainstServer(inputs, facts, own)),
    ...taken.map(({ name }) => ({
      property: `members[${inputs.members.findIndex((member) => member.name === name)}].name`,
      reason: `there is a deployment ${name} already: import the group (resource option import: "${[...names].join(",")}"), or choose another name`,
    })),
  ];
  if (issues.length > 0) throw new RefusedError(issues);
  return cluster!;
}

/** Creates what is missing and writes what is there, all at 0 replicas; `rows` tells how far it came. */
async function applyBodies(
  context: Context,
  inputs: DeploymentGroupInputs,
  clusterId: number,
  rows: Map<string, ModelRow>,
): Promise<void> {
  for (const [index, member] of inputs.members.entries()) {
    const body = modelBody(inputs, member, { clusterId, replicas: 0 });
    const row = rows.get(member.name);
    rows.set(
      member.name,
      row === undefined
        ? await createRow(context, { ...body, enable_model_route: index === 0 }, inputs)
        : await putRow(context, row, body, inputs),
    );
  }
}

/** All members to their replicas at once, then until the group serves: the head waits for its peers, so one by one would hang. */
async function start(
  context: Context,
  inputs: DeploymentGroupInputs,
  cluster: number,
  rows: Map<string, ModelRow>,
): Promise<PropertyMap> {
  const { replicas } = inputs;
  if (replicas === 1) {
    await Promise.all(
      [...rows.values()].map(async (row) => {
        rows.set(row.name, await putRow(context, row, scaleBody(row, replicas), inputs));
      }),
    );
    const deadline = context.api.http.effects.now() + inputs.readyTimeoutSec * 1000;
    await untilReady(context, inputs, [...rows.values()], deadline);
    const { inferenceKey } = context;
    if (inferenceKey !== undefined) {
      const model = inputs.members[0]!.name;
      await untilAnswered(context, { apiKey: inferenceKey, model, deadline });
    }
  }
  return stateOf(context, inputs, cluster, [...rows.values()], {
    appliedHash: groupHash(inputs),
    problem: "",
  });
}

async function untilReady(
  { api, signal, report }: Context,
  inputs: DeploymentGroupInputs,
  rows: readonly ModelRow[],
  deadline: number,
): Promise<void> {
  const { effects } = api.http;
  const seen = new Map(rows.map(({ name }) => [name, new Set<number>()]));
  let summary = "";
  for (;;) {
    try {
      const [workers, ...lists] = await Promise.all([
        api.workers({ patienceMs: 0 }),
        ...rows.map(({ id }) => api.instancesOf(id, { patienceMs: 0 })),
      ]);
      const members = rows.map(({ name }, index) => {
        const instances = lists[index]!;
        for (const { id } of instances) seen.get(name)!.add(id);
        return { name, instances };
      });
      const verdict = judgeGroup(members, workers, { ...inputs, seen });
      if (verdict.summary !== summary) report(verdict.summary);
      summary = verdict.summary;
      if (verdict.state === "ready") return;
      if (verdict.state === "failed") throw new Error(`the group does not start: ${summary}`);
    } catch (error) {
      // A server that restarts goes on where it was.
      if (!(error instanceof GpustackError && error.isAmbiguous)) throw error;
      report(error.message);
    }
    if (signal.aborted) throw new Error(`interrupted while it starts: ${summary}`);
    if (effects.now() > deadline) {
      throw new Error(
        `the group is not ready after ${inputs.readyTimeoutSec} s: ${summary}; raise readyTimeoutSec if it only needs longer`,
      );
    }
    await effects.sleep(POLL_MS);
  }
}

async function stop(context: Context, rows: readonly ModelRow[]): Promise<void> {
  await Promise.all(
    rows
      .filter(({ replicas }) => replicas !== 0)
      .map((row) => putRow(context, row, scaleBody(row, 0))),
  );
  await noInstances(context, rows);
}

async function noInstances(
  { api, signal, report }: Context,
  rows: readonly ModelRow[],
): Promise<void> {
  const { effects } = api.http;
  const deadline = effects.now() + STOP_TIMEOUT_MS;
  for (;;) {
    const left = (await Promise.all(rows.map(({ id }) => api.instancesOf(id)))).flat();
    if (left.length === 0) return;
    const names = left.map(({ name, state }) => `${name}=${state}`).join(", ");
    if (signal.aborted) throw new Error(`interrupted while these stop: ${names}`);
    if (effects.now() > deadline) {
      throw new Error(`these instances do not stop within ${STOP_TIMEOUT_MS / 1000} s: ${names}`);
    }
    report(`waiting for the end of ${names}`);
    await effects.sleep(POLL_MS);
  }
}

/** Only what restarts nothing; timeouts and the connection live in the state alone. */
async function updateInPlace(
  context: Context,
  old: GroupState,
  wanted: DeploymentGroupInputs,
): Promise<PropertyMap> {
  const names = wanted.members.map(({ name }) => name);
  const rows = await findRows(context, names, old.modelIds);
  if (SERVER_KEYS.some((key) => differs(old[key], wanted[key]))) {
    for (const row of rows.values()) {
      const body = {
        ...scaleBody(row, row.replicas),
        description: wanted.description ?? null,
        categories: wanted.categories,
      };
      rows.set(row.name, await putRow(context, row, body, wanted));
    }
  }
  const { modelIds, route, cluster, instances, appliedHash, problem } = old;
  return { ...wanted, modelIds, route, cluster, instances, appliedHash, problem };
}

/** The rows of a group by id; by name where an id is unknown or gone. */
async function findRows(
  { api }: Pick<Context, "api">,
  names: readonly string[],
  ids: Readonly<Record<string, number>>,
  { byName = true } = {},
): Promise<Map<string, ModelRow>> {
  const models = await api.models();
  return new Map(
    names.flatMap((name): [string, ModelRow][] => {
      const row =
        models.find(({ id }) => id === ids[name]) ??
        (byName ? models.find((model) => model.name === name) : undefined);
      return row === undefined ? [] : [[name, row]];
    }),
  );
}

/** What an imported group runs on: the version as it is now, because the server does not know what it was at the start. */
async function versionHash(
  { api }: Pick<Context, "api">,
  { backend, backend_version: version }: ModelRow,
): Promise<Pick<DeploymentGroupInputs, "backendVersionHash">> {
  const row = await api.backend(backend ?? "");
  const config = row?.version_configs[version ?? ""];
  return config === undefined
    ? {}
    : { backendVersionHash: backendVersionHash(inputsOfVersion(config)) };
}

/** What the server holds of a group, as state and as the inputs that would make it. */
async function observe(
  { api }: Context,
  names: readonly string[],
  known: Partial<GroupState>,
  rows: ReadonlyMap<string, ModelRow>,
): Promise<{ props: PropertyMap; inputs: PropertyMap }> {
  const found = [...rows.values()];
  const [workers, ...lists] = await Promise.all([
    api.workers(),
    ...found.map(({ id }) => api.instancesOf(id)),
  ]);
  const seen = groupOfRows(found, known);
  const inputs = {
    ...pick(known, STATE_ONLY_KEYS),
    ...{ readyTimeoutSec: known.readyTimeoutSec ?? 3600, maxRestarts: known.maxRestarts ?? 3 },
    ...seen,
  } as DeploymentGroupInputs;
  const missing = names.filter((name) => !rows.has(name));
  const members = found.map(({ name }, index) => ({ name, instances: lists[index]! }));
  const problem = [
    ...missing.map((name) => `there is no deployment ${name}`),
    ...(inputs.replicas === 1 ? [faultOfGroup(members, workers) ?? ""] : []),
  ]
    .filter((text) => text !== "")
    .join("; ");
  const props = {
    ...inputs,
    ...groupOutputs(found, lists, known.cluster ?? found[0]!.cluster_id ?? 0),
    appliedHash: known.appliedHash ?? groupHash(inputs),
    problem,
  };
  return { props, inputs: inputs as unknown as PropertyMap };
}

async function stateOf(
  { api }: Context,
  inputs: DeploymentGroupInputs,
  cluster: number,
  rows: readonly ModelRow[],
  verdict: { readonly appliedHash: string; readonly problem: string },
): Promise<PropertyMap> {
  const lists = await Promise.all(rows.map(({ id }) => api.instancesOf(id)));
  return { ...inputs, ...groupOutputs(rows, lists, cluster), ...verdict };
}

function groupOutputs(
  rows: readonly ModelRow[],
  lists: readonly (readonly InstanceRow[])[],
  cluster: number,
): Pick<GroupState, "modelIds" | "route" | "cluster" | "instances"> {
  return {
    modelIds: Object.fromEntries(rows.map(({ name, id }) => [name, id])),
    route: rows[0]!.name,
    cluster,
    instances: rows.flatMap(({ name }, index) =>
      lists[index]!.map((instance) => ({
        member: name,
        name: instance.name,
        worker: instance.worker_name ?? "",
        restartCount: instance.restart_count ?? 0,
      })),
    ),
  };
}

/** A failure with what the server holds now; when it cannot be asked, with what was written last. */
async function partialFailure(
  context: Context,
  id: string,
  inputs: DeploymentGroupInputs,
  cluster: number,
  rows: ReadonlyMap<string, ModelRow>,
  error: unknown,
): Promise<PartialFailure> {
  const problem = error instanceof Error ? error.message : String(error);
  const names = inputs.members.map(({ name }) => name);
  const ids = Object.fromEntries([...rows].map(([name, row]) => [name, row.id]));
  // An unknown hash: whatever the next program asks for is a change.
  const failed = { appliedHash: "", problem };
  try {
    const found = await findRows(context, names, ids);
    const { props } = await observe(context, names, { ...inputs, cluster }, found);
    return new PartialFailure(problem, id, { ...props, ...failed });
  } catch {
    const lists = [...rows].map(() => []);
    const outputs = groupOutputs([...rows.values()], lists, cluster);
    return new PartialFailure(problem, id, { ...inputs, ...outputs, ...failed });
  }
}

/** Creates a deployment, or finds the one that an unanswered request has made: the name was free before. */
async function createRow(
  { api, report }: Context,
  body: ModelBody,
  inputs: DeploymentGroupInputs,
): Promise<ModelRow> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await api.createModel(body, envSecrets(inputs));
    } catch (error) {
      if (!(error instanceof GpustackError && error.isAmbiguous)) throw error;
      report(`${error.message}: looking for ${String(body["name"])}`);
      const row = (await api.models({ patienceMs: RECOVERY_MS })).find(
        ({ name }) => name === body["name"],
      );
      if (row !== undefined) return row;
      if (attempt === MAX_WRITES) throw error;
    }
  }
}

/** Writes a deployment; after an unanswered request it is written again only if it has had no effect. */
async function putRow(
  { api, report }: Context,
  row: ModelRow,
  body: ModelBody,
  inputs?: DeploymentGroupInputs,
): Promise<ModelRow> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await api.putModel(row.id, body, envSecrets(inputs));
    } catch (error) {
      if (!(error instanceof GpustackError && error.isAmbiguous)) throw error;
      report(`${error.message}: looking what the server holds`);
      const now = (await api.models({ patienceMs: RECOVERY_MS })).find(({ id }) => id === row.id);
      if (now !== undefined && holds(now, body)) return now;
      if (now === undefined || attempt === MAX_WRITES) throw error;
    }
  }
}

async function deleteRow({ api, report }: Context, { id, name }: ModelRow): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await api.deleteModel(id);
      return;
    } catch (error) {
      if (!(error instanceof GpustackError)) throw error;
      if (error.status === 404) return;
      if (!error.isAmbiguous || attempt === MAX_WRITES) throw error;
      report(`${error.message}: looking for ${name}`);
      const isThere = (await api.models({ patienceMs: RECOVERY_MS })).some((row) => row.id === id);
      if (!isThere) return;
    }
  }
}

function holds(row: ModelRow, body: ModelBody): boolean {
  return Object.entries(body).every(([key, value]) => {
    const found = row[key];
    if (key === "gpu_selector") {
      return !differs(row.gpu_selector?.gpu_ids, (value as { gpu_ids: unknown }).gpu_ids);
    }
    return !differs(found, value);
  });
}

/** Names are the identity of a group: the id lists them. */
function replacedKeys(id: string, old: GroupState, wanted: DeploymentGroupInputs): string[] {
  return [
    ...(id === idOf(wanted) ? [] : ["members"]),
    ...(wanted.clusterId !== undefined && wanted.clusterId !== old.cluster ? ["clusterId"] : []),
    ...(old.backend === wanted.backend ? [] : ["backend"]),
  ];
}

function idOf({ members }: DeploymentGroupInputs): string {
  return members.map(({ name }) => name).join(",");
}

function needsRestart(old: GroupState, wanted: DeploymentGroupInputs): boolean {
  const hash = groupHash(wanted);
  const isOtherVersion =
    old.backendVersionHash !== undefined &&
    wanted.backendVersionHash !== undefined &&
    old.backendVersionHash !== wanted.backendVersionHash;
  return (
    hash !== old.appliedHash ||
    hash !== groupHash(old) ||
    isOtherVersion ||
    old.replicas !== wanted.replicas ||
    old.problem !== ""
  );
}

function envSecrets(inputs: DeploymentGroupInputs | undefined): ReadonlyMap<string, string> {
  return new Map(
    (inputs?.members ?? []).flatMap(({ env }) =>
      Object.entries(env).map(([key, value]): [string, string] => [value, `env ${key}`]),
    ),
  );
}

function namesOf(id: string): readonly string[] {
  return id
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

function differs(one: unknown, other: unknown): boolean {
  return stableJson([one ?? null]) !== stableJson([other ?? null]);
}

function pick(state: object, keys: readonly string[]): Record<string, unknown> {
  const values = state as Record<string, unknown>;
  return Object.fromEntries(
    keys.flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]])),
  );
}

/** Changed on the server without a restart. */
const SERVER_KEYS = ["description", "categories"] as const;
const UNRESTARTED_KEYS = [
  ...SERVER_KEYS,
  "readyTimeoutSec",
  "maxRestarts",
  "url",
  "apiKey",
  "inferenceKey",
] as const;
/** What the server does not know: it stays as it was. */
const STATE_ONLY_KEYS = [
  "url",
  "apiKey",
  "inferenceKey",
  "clusterId",
  "backendVersionHash",
] as const;

const POLL_MS = 2000;
const STOP_TIMEOUT_MS = 600_000;
/** How long a server may take to come back after a write that it has not answered. */
const RECOVERY_MS = 300_000;
const MAX_WRITES = 3;
