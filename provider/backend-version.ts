import type { DiffResult } from "@pulumi/pulumi/provider/index.js";
import type { BackendRow, VersionConfig } from "../core/gpustack/api.js";
import { inputsOfVersion, versionConfigOf } from "../core/gpustack/deployment.js";
import { type BackendVersionInputs, backendVersionInputs } from "../core/gpustack/inputs.js";
import { checkBackendVersion } from "../core/gpustack/rules.js";
import { stableJson } from "../core/render/stable-json.js";
import { GpustackError } from "./http.js";
import type { PropertyMap } from "./property-values.js";
import {
  type CheckedInputs,
  type Context,
  checkInputs,
  type ReadState,
  type ResourceKind,
} from "./resource.js";

/**
 * One version of an inference backend. All versions of a backend lie in one row that the server replaces as a whole,
 * without lock and without a sign when a write was lost; see `changeRow`.
 */
export const backendVersion: ResourceKind = {
  check(inputs: unknown): CheckedInputs {
    return checkInputs(backendVersionInputs, inputs, checkBackendVersion);
  },

  diff(_id: string, olds: PropertyMap, news: PropertyMap): DiffResult {
    const replaces = ["backend", "version"].filter((key) => olds[key] !== news[key]);
    return {
      replaces,
      // Another name can stand beside the old one, which deployments may still use.
      deleteBeforeReplace: false,
      changes:
        replaces.length > 0 || [...CONTENT_KEYS, ...CONNECTION_KEYS].some(differsIn(olds, news)),
    };
  },

  async create(context: Context, props: PropertyMap) {
    const inputs = props as unknown as BackendVersionInputs;
    const id = idOf(inputs);
    const row = await existingRow(context, inputs.backend);
    if (row.version_configs[inputs.version] !== undefined) {
      throw new Error(
        `backend ${inputs.backend} has a version ${inputs.version} already: import it (resource option import: "${id}"), or choose another name`,
      );
    }
    await changeRow(context, inputs, versionConfigOf(inputs));
    return { id, outs: outputs(inputs) };
  },

  async read(context: Context, id: string, props: PropertyMap): Promise<ReadState | undefined> {
    const { backend, version } = partsOf(id);
    const row = await context.api.backend(backend);
    const config = row?.version_configs[version];
    if (config === undefined) return undefined;
    const inputs = { ...connectionOf(props), backend, version, ...inputsOfVersion(config) };
    return {
      id,
      inputs,
      props: outputs(inputs as unknown as BackendVersionInputs),
    };
  },

  async update(context: Context, olds: PropertyMap, news: PropertyMap): Promise<PropertyMap> {
    const inputs = news as unknown as BackendVersionInputs;
    if (CONTENT_KEYS.some(differsIn(olds, news))) {
      await changeRow(context, inputs, versionConfigOf(inputs));
    }
    return outputs(inputs);
  },

  async delete(context: Context, props: PropertyMap): Promise<void> {
    const inputs = props as unknown as BackendVersionInputs;
    const row = await context.api.backend(inputs.backend);
    if (row?.version_configs[inputs.version] === undefined) return;
    await changeRow(context, inputs, undefined);
  },
};

/**
 * Sets or removes one version of a row and leaves the others alone. Two writers that have read the same row lose one of
 * their versions, so the row is read directly before the write, and again some time after it, when another writer that was
 * between its own read and write has finished: whoever finds its change gone makes it again.
 */
async function changeRow(
  { api, report }: Context,
  inputs: BackendVersionInputs,
  config: Readonly<Record<string, unknown>> | undefined,
): Promise<void> {
  const { backend, version } = inputs;
  const { effects, connection } = api.http;
  const secrets = new Map(Object.entries(inputs.env).map(([key, value]) => [value, `env ${key}`]));
  const holds = (row: BackendRow | undefined) =>
    isEqualConfig(row?.version_configs[version], config);
  await oneAtATime(`${connection.url} ${backend}`, async () => {
    for (let attempt = 1; attempt <= MAX_WRITES; attempt += 1) {
      const row = await existingRow({ api }, backend);
      try {
        if (!holds(row)) await api.putBackend(row.id, bodyOf(row, version, config), secrets);
      } catch (error) {
        if (!(error instanceof GpustackError && error.isAmbiguous)) throw error;
        report(`${error.message}: looking what the server holds`);
      }
      for (const pauseMs of [SETTLE_MS, SETTLE_MS]) {
        await effects.sleep(pauseMs * (1 + jitter(version, attempt)));
        if (!holds(await api.backend(backend))) break;
        if (pauseMs === SETTLE_MS) return;
      }
      report(
        `version ${version} was overwritten by another writer of backend ${backend}: once more`,
      );
    }
    throw new Error(
      `backend ${backend}: version ${version} was lost ${MAX_WRITES} times: another program writes the same row all the time; stop it, then run the same command again`,
    );
  });
}

/** The whole row with one version changed: a field that is left out is lost, `backend_source` with all protection. */
function bodyOf(
  row: BackendRow,
  version: string,
  config: Readonly<Record<string, unknown>> | undefined,
): object {
  const { id, created_at, updated_at, deleted_at, version_configs, ...kept } = row;
  const { [version]: old, ...others } = version_configs;
  return {
    ...kept,
    version_configs:
      config === undefined ? others : { ...others, [version]: { ...old, ...config } },
  };
}

function isEqualConfig(
  found: VersionConfig | undefined,
  wanted: Readonly<Record<string, unknown>> | undefined,
): boolean {
  if (found === undefined || wanted === undefined) return found === wanted;
  return Object.entries(wanted).every(
    ([key, value]) => stableJson([found[key] ?? null]) === stableJson([value ?? null]),
  );
}

async function existingRow({ api }: Pick<Context, "api">, backend: string): Promise<BackendRow> {
  const row = await api.backend(backend);
  if (row !== undefined) return row;
  throw new Error(
    `GPUStack at ${api.http.connection.url} has no backend ${backend}; names are as in its page "Inference Backends", e.g. vLLM`,
  );
}

function outputs(inputs: BackendVersionInputs): PropertyMap {
  return { ...inputs };
}

function connectionOf(props: PropertyMap): PropertyMap {
  return Object.fromEntries(
    CONNECTION_KEYS.flatMap((key) => (props[key] === undefined ? [] : [[key, props[key]]])),
  );
}

function idOf({ backend, version }: BackendVersionInputs): string {
  return `${backend}/${version}`;
}

function partsOf(id: string): { backend: string; version: string } {
  const at = id.lastIndexOf("/");
  if (at > 0 && at + 1 < id.length) {
    return { backend: id.slice(0, at), version: id.slice(at + 1) };
  }
  throw new Error(
    `the id of a BackendVersion is <backend>/<version>, e.g. vLLM/0.18.0rc1-custom, got "${id}"`,
  );
}

function differsIn(olds: PropertyMap, news: PropertyMap): (key: string) => boolean {
  return (key) => stableJson([olds[key] ?? null]) !== stableJson([news[key] ?? null]);
}

/** Writers that collide must not do so again in step. */
function jitter(version: string, attempt: number): number {
  const seed = [...version].reduce((sum, char) => sum + char.charCodeAt(0), 0);
  return ((seed * attempt) % 17) / 17;
}

/** Writes of one row by this process, one after the other. */
function oneAtATime(key: string, work: () => Promise<void>): Promise<void> {
  const before = queues.get(key) ?? Promise.resolve();
  const now = before.catch(() => undefined).then(work);
  queues.set(key, now);
  return now;
}

const queues = new Map<string, Promise<void>>();
const CONTENT_KEYS = ["imageName", "entrypoint", "runCommand", "customFramework", "env"] as const;
const CONNECTION_KEYS = ["url", "apiKey"] as const;

/** Longer than another writer's time between its read and its write. */
const SETTLE_MS = 400;
const MAX_WRITES = 8;
