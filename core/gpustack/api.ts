import { z } from "zod";

/**
 * What the REST API of GPUStack answers, as far as it is used; further fields are let through. Checked against a real
 * 2.3.0 server by `test/provider/`.
 */

/** A list of the server; asked for with `page=-1` it is the whole list. */
export const page = <T extends z.ZodType>(item: T) => z.looseObject({ items: z.array(item) });

export const workerRow = z.looseObject({
  id: z.int(),
  name: z.string(),
  ip: z.string(),
  /** Interface that owns `ip`; unknown to old workers. */
  ifname: z.string().nullish(),
  state: z.string(),
  state_message: z.string().nullish(),
  cluster_id: z.int().nullish(),
});
export type WorkerRow = z.output<typeof workerRow>;

export const deviceRow = z.looseObject({
  /** `<worker>:<type>:<index>`, as in a deployment's `gpu_ids`. */
  id: z.string(),
  type: z.string(),
  index: z.int(),
  name: z.string().nullish(),
  worker_name: z.string(),
  memory: z.looseObject({ total: z.number(), allocated: z.number().nullish() }),
});
export type DeviceRow = z.output<typeof deviceRow>;

export const versionConfig = z.looseObject({
  image_name: z.string().nullish(),
  entrypoint: z.string().nullish(),
  run_command: z.string().nullish(),
  custom_framework: z.string().nullish(),
  env: z.record(z.string(), z.string()).nullish(),
});
export type VersionConfig = z.output<typeof versionConfig>;

/** A backend with its versions: one shared row, replaced as a whole by every write. */
export const backendRow = z.looseObject({
  id: z.int(),
  backend_name: z.string(),
  version_configs: z.record(z.string(), versionConfig),
});
export type BackendRow = z.output<typeof backendRow>;

/** A backend with the versions that a cluster can use, built-in ones too. */
export const usableBackend = z.looseObject({
  backend_name: z.string(),
  versions: z.array(z.looseObject({ version: z.string() })),
});
export type UsableBackend = z.output<typeof usableBackend>;

const nullableString = z.string().nullish();

/** A deployment; GPUStack calls it a model. */
export const modelRow = z.looseObject({
  id: z.int(),
  name: z.string(),
  source: z.string(),
  model_scope_model_id: nullableString,
  huggingface_repo_id: nullableString,
  local_path: nullableString,
  description: nullableString,
  categories: z.array(z.string()).nullish(),
  replicas: z.int(),
  cluster_id: z.int().nullish(),
  backend: nullableString,
  backend_version: nullableString,
  backend_parameters: z.array(z.string()).nullish(),
  env: z.record(z.string(), z.string()).nullish(),
  gpu_selector: z.looseObject({ gpu_ids: z.array(z.string()).nullish() }).nullish(),
  distributed_inference_across_workers: z.boolean().nullish(),
  restart_on_error: z.boolean().nullish(),
});
export type ModelRow = z.output<typeof modelRow>;

/** A replica of a deployment, on a worker once it is scheduled. */
export const instanceRow = z.looseObject({
  id: z.int(),
  name: z.string(),
  model_id: z.int(),
  /** Missing in answers that the server has cut short. */
  model_name: nullableString,
  state: z.string(),
  state_message: nullableString,
  worker_name: nullableString,
  gpu_indexes: z.array(z.int()).nullish(),
  restart_count: z.int().nullish(),
});
export type InstanceRow = z.output<typeof instanceRow>;

export const serverVersion = z.looseObject({ version: z.string() });

/** A completion, as far as somebody wants to read it. */
export const chatCompletion = z.looseObject({
  model: nullableString,
  choices: z.array(z.looseObject({ message: z.looseObject({ content: nullableString }) })).min(1),
});
