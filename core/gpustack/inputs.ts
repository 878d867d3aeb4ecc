import { z } from "zod";

/**
 * Inputs of the two resources of the provider `gpustack`. Names are those of GPUStack's API in camel case; what the API
 * computes by itself is no input.
 */

const envValue = z.string("must be a string: write numbers and true or false in quotes");
const environment = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be a variable name"),
  envValue,
);

const connection = {
  /** Base URL of the server. @default the environment variable GPUSTACK_URL */
  url: z
    .string()
    .regex(/^https?:\/\/[^\s/]+$/, "must be http(s)://<host>[:<port>] without a path")
    .optional(),
  /** Key of scope `management`. @default the environment variable GPUSTACK_API_KEY */
  apiKey: z.string().min(1).optional(),
};

export const backendVersionInputs = z.strictObject({
  ...connection,
  /** Backend that gets the version. @default "vLLM" */
  backend: z.string().min(1).default("vLLM"),
  /** Name of the version; on a built-in backend it must end in `-custom`. */
  version: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "must be letters, digits and . _ -"),
  /** Image that workers pull. */
  imageName: z.string().min(1),
  /** @default "vllm serve" */
  entrypoint: z.string().default("vllm serve"),
  /** Arguments after the entrypoint; placeholders as `{{port}}`. @default the template of GPUStack's guide for vLLM */
  runCommand: z
    .string()
    .default(
      "{{model_path}} --host {{worker_ip}} --port {{port}} --served-model-name {{model_name}}",
    ),
  /** The server takes anything here and then schedules nothing. @default "cann" */
  customFramework: z.literal("cann").default("cann"),
  /** Environment of everything that runs on this version. @default {} */
  env: environment.default({}),
});
export type BackendVersionInputs = z.output<typeof backendVersionInputs>;

const member = z.strictObject({
  /** Name of the deployment. The head's is the model's name in the API. */
  name: z
    .string()
    .regex(
      /^[A-Za-z]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/,
      "must begin with a letter, end with a letter or digit, and have letters, digits and _ . : - between",
    )
    .max(100),
  /** NPUs as `<worker>:cann:<index>`. */
  gpuIds: z
    .array(
      z
        .string()
        .regex(
          /^[^:\s]+:cann:\d+$/,
          "must be <worker>:cann:<index> (GPUStack's type of Ascend NPUs is cann)",
        ),
    )
    .min(1),
  /** Arguments of `vllm serve`, one or more words an entry, quoted as in a shell. @default [] */
  backendParameters: z.array(z.string()).default([]),
  /** @default {} */
  env: environment.default({}),
});
export type GroupMember = z.output<typeof member>;

export const deploymentGroupInputs = z.strictObject({
  ...connection,
  /**
   * Key of scope `inference`: with it a start is done when a completion was answered.
   * @default the environment variable GPUSTACK_INFERENCE_KEY
   */
  inferenceKey: z.string().min(1).optional(),
  /** The deployments, the head first. One member is an ordinary deployment, on one worker or across several. */
  members: z.array(member).min(1).max(64),
  /** Where the weights come from: exactly one of the three. */
  modelScopeModelId: z.string().min(1).optional(),
  huggingfaceRepoId: z.string().min(1).optional(),
  localPath: z.string().startsWith("/", "must be an absolute path").optional(),
  /** Cluster of GPUStack. @default the one of the members' workers */
  clusterId: z.int().min(1).optional(),
  /** @default "vLLM" */
  backend: z.string().min(1).default("vLLM"),
  backendVersion: z.string().min(1),
  /** Content hash of the version: GPUStack restarts nothing when the image behind a version changes. */
  backendVersionHash: z.string().optional(),
  /** 0 stops the group and keeps its deployments. @default 1 */
  replicas: z.union([z.literal(0), z.literal(1)]).default(1),
  /** Changed in place. */
  description: z.string().optional(),
  /** Changed in place. @default ["llm"] */
  categories: z.array(z.string()).default(["llm"]),
  /** Whether GPUStack starts a failed instance again by itself. @default true */
  restartOnError: z.boolean().default(true),
  /** From replicas 1 to a serving group, the download of the weights included. @default 3600 */
  readyTimeoutSec: z.int().min(1).max(86_400).default(3600),
  /** Restarts of any member after which a start has failed. @default 3 */
  maxRestarts: z.int().min(1).default(3),
});
export type DeploymentGroupInputs = z.output<typeof deploymentGroupInputs>;
export type DeploymentGroupArgs = z.input<typeof deploymentGroupInputs>;
export type BackendVersionArgs = z.input<typeof backendVersionInputs>;
