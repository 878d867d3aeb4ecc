import { z } from "zod";
import { HOST_PATH_KEYS, SERIES_NAMES } from "../hardware/series.js";

/**
 * The schema of `vllm-ascend:cluster` in a stack file. Field names are those of vLLM, Ray and CANN.
 * Secrets are not part of it: they live in config keys of their own (`vllm-ascend:apiKey`).
 */

const dnsLabel = (maxLength: number) =>
  z
    .string()
    .regex(
      /^[a-z]([a-z0-9-]*[a-z0-9])?$/,
      "must be lower-case letters, digits and inner hyphens, beginning with a letter",
    )
    .max(maxLength);

const port = z.int().min(1024).max(65535);
const positiveInt = z.int().min(1);
const timeoutSec = z.int().min(1).max(86_400);

const absolutePath = z
  .string()
  .regex(/^\/[^\p{Cc}]*$/u, "must be an absolute path without control characters")
  .refine((path) => !path.split("/").some((part) => part === ".." || part === "."), {
    message: "must not contain '.' or '..' parts",
  })
  .refine((path) => !path.includes(","), {
    message: "must not contain a comma (docker's mount syntax splits there)",
  });

const ipv4Address = z.ipv4({
  error: "must be an IPv4 address (vLLM, Ray and HCCL compare addresses as text, so no names)",
});

/** One public key line; RSA is left out because Pulumi's client would offer it with SHA-1 only. */
const hostKey = z
  .string()
  .regex(
    /^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}$/,
    "must be one line '<type> <base64>' of type ssh-ed25519 or ecdsa-sha2-nistp*; print it with `vllm-cluster hostkeys`",
  );

const interfaceName = z
  .string()
  .regex(/^[A-Za-z0-9_.:@-]{1,15}$/, "must be one exact interface name as in `ip addr`");

const sha256 = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, "must be 'sha256:' and 64 hexadecimal digits");

const envName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be a variable name");
const envValue = z
  .string()
  .max(100_000)
  .refine((value) => !value.includes("\0"), { message: "must not contain a NUL byte" });
const environment = z.record(envName, envValue);

const sshSchema = z.strictObject({
  /** Login user. @default "root" */
  user: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}$/, "must be a login name")
    .default("root"),
  /** Port of sshd. @default 22 */
  port: z.int().min(1).max(65535).default(22),
  /**
   * How scripts get root on the host: `none` when the user is root, `sudo` for `sudo -n`. The user must also be
   * able to use docker (group `docker`) because the docker provider logs in as this user. @default "none"
   */
  become: z.enum(["none", "sudo"]).default("none"),
});

const nodeSchema = z.strictObject({
  /** Name of the node: part of resource names, so a new machine is a new name. */
  name: dnsLabel(24),
  /** Address by which SSH and the other nodes reach it; HCCL, GLOO and Ray bind to it. */
  address: ipv4Address,
  /** Public host key of its sshd. */
  hostKey,
  /** Interface that owns `address`, when it differs from the cluster's `socketInterface`. */
  socketInterface: interfaceName.optional(),
  /** Physical NPU ids to use. @default all of the series */
  visibleDevices: z.array(z.int().min(0).max(15)).min(1).optional(),
  /** Environment of this node only, on top of the cluster's `env`. @default {} */
  env: environment.default({}),
});

const imageSchema = z.strictObject({
  /** Repository and tag as people know it, e.g. `quay.io/ascend/vllm-ascend:v0.23.0`. */
  reference: z
    .string()
    .max(255)
    .regex(
      /^[a-z0-9][a-z0-9._:/-]*\/[a-z0-9._-]+:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/,
      "must be <repository>/<name>:<tag> without digest",
    ),
  /** Repository digest: the image is pulled by it where it is missing. Give this or `id`. */
  digest: sha256.optional(),
  /** Image id (config digest) of an image that is already on all nodes (`docker load`). Give this or `digest`. */
  id: sha256.optional(),
});

const modelSchema = z.strictObject({
  /** Directory of the weights, the same on every node; mounted read-only at the same path. */
  path: absolutePath,
});

const raySchema = z.strictObject({
  /** Port of the global control store on the head. @default 6379 */
  port: port.default(6379),
  /** Ports that Ray would else take at random, the same on all nodes. */
  nodeManagerPort: port.default(6380),
  objectManagerPort: port.default(6381),
  runtimeEnvAgentPort: port.default(6382),
  dashboardAgentGrpcPort: port.default(6383),
  dashboardAgentListenPort: port.default(6384),
  metricsExportPort: port.default(6385),
  /** First and last port of Ray's worker processes. @default 10002 and 10999 */
  minWorkerPort: port.default(10_002),
  maxWorkerPort: port.default(10_999),
  /**
   * Ray's object store in `/dev/shm`, in GiB. Must be below `container.shmSizeGib`. @default 10
   * @see Ray 2.48 `resource_and_label_spec.py`: below 10 GB Ray falls back to /tmp with a warning
   */
  objectStoreMemoryGib: z.number().min(0.1).max(1024).default(10),
  /** CPUs that Ray may schedule; unset = all of the machine. Small for laboratories. */
  numCpus: positiveInt.optional(),
});

const extraArgValue = z.union([
  z.string().max(100_000),
  z.number(),
  z.boolean(),
  z.record(z.string(), z.json()),
]);

const serveSchema = z.strictObject({
  /** Name of the model in the API. */
  servedModelName: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, "must be letters, digits and . _ / -"),
  /** Port of the OpenAI-compatible API on the head. @default 8000 */
  port: port.default(8000),
  /** `--tensor-parallel-size`. */
  tensorParallelSize: positiveInt,
  /** `--pipeline-parallel-size`. @default 1 */
  pipelineParallelSize: positiveInt.default(1),
  /** `--enable-expert-parallel`. @default false */
  enableExpertParallel: z.boolean().default(false),
  /** `--max-model-len`, in tokens. */
  maxModelLen: positiveInt,
  /** `--max-num-seqs`: sequences in one step. */
  maxNumSeqs: positiveInt,
  /** `--max-num-batched-tokens`, in tokens. Unset = vLLM's own default. */
  maxNumBatchedTokens: positiveInt.optional(),
  /**
   * `--gpu-memory-utilization`: fraction of each NPU's memory that vLLM may use, 0-1. Lower it when the model loads but
   * the first long prompt runs out of memory. @default 0.9
   */
  gpuMemoryUtilization: z.number().gt(0).lte(1).default(0.9),
  /** `--seed`; must be equal on all ranks. Unset = vLLM's own default. */
  seed: z.int().min(0).optional(),
  /** `--quantization`, e.g. `ascend` for W8A8 checkpoints of vllm-ascend. */
  quantization: z
    .string()
    .regex(/^[a-z0-9_-]+$/)
    .optional(),
  /** `--trust-remote-code`: runs Python code that lies beside the weights. @default false */
  trustRemoteCode: z.boolean().default(false),
  /**
   * Flags of `vllm serve` that this schema does not name, by their long name without `--`, e.g.
   * `compilation-config: {cudagraph_mode: FULL_DECODE_ONLY}`. `true` gives the bare flag, `false` leaves it out.
   */
  extraArgs: z
    .record(
      z.string().regex(/^[a-z][a-z0-9-]*$/, "must be a long flag name without '--'"),
      extraArgValue,
    )
    .default({}),
});

const mountSchema = z.strictObject({
  /** Directory or file of the host; must exist. */
  source: absolutePath,
  /** Path in the container. */
  target: absolutePath,
  /** @default true */
  readOnly: z.boolean().default(true),
});

const containerSchema = z.strictObject({
  /**
   * Size of `/dev/shm`, in GiB. Ray wants its object store to fit; the guide's 1 GiB makes Ray fall back to /tmp.
   * @default 16
   */
  shmSizeGib: z.number().min(0.5).max(4096).default(16),
  /** Open files per process. @default 65536 */
  nofile: z.int().min(1024).max(1_048_576).default(65_536),
  /** Further bind mounts. @default [] */
  mounts: z.array(mountSchema).default([]),
});

const timeoutsSchema = z.strictObject({
  /** From `ray start` to all planned nodes and NPUs, in seconds. @default 300 */
  rayStartSec: timeoutSec.default(300),
  /** From `vllm serve` to the first answered completion, in seconds: loading 470 GB takes a while. @default 3600 */
  serveStartSec: timeoutSec.default(3600),
  /** For running requests when serve is stopped, in seconds. @default 60 */
  stopSec: timeoutSec.default(60),
  /** For one completion of the readiness check, in seconds. @default 300 */
  completionSec: timeoutSec.default(300),
});

const supervisorSchema = z.strictObject({
  /** TCP port of the group protocol on the head. @default 26380 */
  port: port.default(26_380),
  /** Failures in a row after which the group stays down until the next commit. @default 5 */
  maxFailures: positiveInt.default(5),
  /** First pause after a failure, in seconds; doubles up to `backoffMaxSec`. @default 2 */
  backoffSec: timeoutSec.default(2),
  /** Longest pause, in seconds. @default 60 */
  backoffMaxSec: timeoutSec.default(60),
});

const parsedDefaults = <T extends z.ZodType>(schema: T) => schema.prefault({} as never);

export const clusterSpecSchema = z.strictObject({
  /** Name of the cluster: part of every resource, container, unit and directory name. */
  name: dnsLabel(32),
  /** How the ranks find each other. */
  topology: z.enum(["ray"]),
  /** Server series: decides devices and driver files. @default "A2" */
  series: z.enum(SERIES_NAMES).default("A2"),
  /** How the operator's machine reaches the nodes. */
  ssh: parsedDefaults(sshSchema),
  /** The servers; the first is the head. */
  nodes: z.array(nodeSchema).min(1).max(64),
  /** Interface that owns each node's address, as in `ip addr`. */
  socketInterface: interfaceName,
  image: imageSchema,
  model: modelSchema,
  ray: parsedDefaults(raySchema),
  serve: serveSchema,
  /** Environment of Ray and vLLM on all nodes, e.g. `HCCL_BUFFSIZE`. @default {} */
  env: environment.default({}),
  /** Where the host keeps driver files that are not at the installer's default place. @default {} */
  hostPaths: z.partialRecord(z.enum(HOST_PATH_KEYS), absolutePath).default({}),
  container: parsedDefaults(containerSchema),
  timeouts: parsedDefaults(timeoutsSchema),
  supervisor: parsedDefaults(supervisorSchema),
});

/** What a stack asks for, with all defaults filled in. */
export type ClusterSpec = z.output<typeof clusterSpecSchema>;
/** What a stack file contains, defaults left out. */
export type ClusterSpecInput = z.input<typeof clusterSpecSchema>;
export type NodeSpec = ClusterSpec["nodes"][number];
export type ServeSpec = ClusterSpec["serve"];
export type RaySpec = ClusterSpec["ray"];
export type SshSpec = ClusterSpec["ssh"];
export type ImageSpec = ClusterSpec["image"];
