import { z } from "zod";
import { ACCEPTABLE_CODES } from "../facts/finding-codes.js";
import { HOST_PATH_KEYS, SERIES_NAMES } from "../hardware/series.js";

/**
 * The schema of `vllm-ascend:cluster` in a stack file. Field names are those of vLLM, Ray and CANN.
 * Secrets are not part of it: they live in config keys of their own (`vllm-ascend:apiKey`).
 *
 * What a field means stands in its `meta`, nowhere else: `npm run generate` makes the JSON Schema for editors and
 * docs/configuration.md from it.
 */

declare module "zod" {
  interface GlobalMeta {
    /** What the number counts, e.g. `GiB`. */
    unit?: string;
    /** Flags and variables that get the value, e.g. `ray start --port`. */
    upstream?: string;
  }
}

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
  .max(4096)
  .regex(/^\/[^\p{Cc}\p{Cs}]*$/u, "must be an absolute path without control characters")
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
/** Longest text in bytes: Linux takes no argument or variable beyond 128 KiB, name included (`MAX_ARG_STRLEN`). */
export const MAX_TEXT_BYTES = 100_000;

/** Text that reaches a process byte for byte. */
const processText = z
  .string()
  .refine((value) => !value.includes("\0"), { message: "must not contain a NUL byte" })
  .refine((value) => value.isWellFormed(), { message: "must be Unicode (it has half a character)" })
  .refine((value) => new TextEncoder().encode(value).length <= MAX_TEXT_BYTES, {
    message: `must be at most ${MAX_TEXT_BYTES} bytes in UTF-8 (Linux starts no process with longer words)`,
  });
const environment = z.record(envName, processText);

const loginName = z
  .string()
  .regex(/^[a-z_][a-z0-9_-]{0,31}$/, "must be a login name")
  .default("root");
const sshPort = z.int().min(1).max(65535).default(22);

const sshSchema = z.strictObject({
  user: loginName.meta({ description: "Login user." }),
  port: sshPort.meta({ description: "Port of sshd." }),
  become: z.enum(["none", "sudo"]).default("none").meta({
    description:
      "How scripts get root on the host: `none` when the user is root, `sudo` for `sudo -n`. The user must also be able to use docker (group `docker`), because the docker provider logs in as this user.",
  }),
  bastion: z
    .strictObject({
      address: ipv4Address.meta({ description: "Address of the bastion." }),
      user: loginName.meta({ description: "Login user on the bastion; it needs no shell there." }),
      port: sshPort.meta({ description: "Port of its sshd." }),
      hostKey: hostKey.meta({
        description: "Its public host key; `vllm-cluster hostkeys <address>` prints it.",
      }),
    })
    .optional()
    .meta({
      description:
        "A host through which all nodes are reached (one hop, as with `ssh -J`); the keys of the nodes stay on the operator's machine. Unset = directly.",
      upstream: "ssh -J",
    }),
});

/** On the operator's machine each node costs a docker provider of 73 MB: 64 nodes are 4.7 GB (docs/decisions.md). */
const MAX_NODES = 64;

const nodeSchema = z.strictObject({
  name: dnsLabel(24).meta({
    description:
      "Name of the node: part of resource names, so a new machine is a new name. Lower-case letters, digits, hyphens.",
  }),
  address: ipv4Address.meta({
    description:
      "Address by which SSH and the other nodes reach it; HCCL, GLOO and Ray bind to it.",
    upstream: "HCCL_IF_IP, VLLM_HOST_IP, ray start --node-ip-address",
  }),
  hostKey: hostKey.meta({
    description:
      "Public host key of its sshd. `vllm-cluster hostkeys <address>` prints it; compare it with the server's console.",
  }),
  socketInterface: interfaceName.optional().meta({
    description:
      "Interface that owns `address`, when it differs from the cluster's `socketInterface`.",
  }),
  visibleDevices: z.array(z.int().min(0).max(15)).min(1).optional().meta({
    description: "Physical NPU ids to use. Unset = all of the series.",
    upstream: "ASCEND_RT_VISIBLE_DEVICES",
  }),
  npuMemoryGib: z
    .union([z.literal(64), z.literal(32)])
    .optional()
    .meta({
      description:
        "Memory of one of its NPUs, as it is sold: 64 or 32. The smallest of all nodes decides what fits. Unset = that of the series.",
      unit: "GiB",
    }),
  env: environment
    .default({})
    .meta({ description: "Environment of this node only, on top of the cluster's `env`." }),
});

const imageSchema = z.strictObject({
  reference: z
    .string()
    .max(255)
    .regex(
      /^[a-z0-9][a-z0-9._:/-]*\/[a-z0-9._-]+:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/,
      "must be <repository>/<name>:<tag> without digest",
    )
    .meta({
      description:
        "Repository and tag as people know it, e.g. `quay.io/ascend/vllm-ascend:v0.23.0`.",
    }),
  source: z.enum(["registry", "archive", "present"]).optional().meta({
    description:
      "Where the nodes get it; unset = `present` where `id` is set, else `registry`. `registry` = pulled by `digest` where it is missing; `archive` = loaded from a file of `docker save` where `id` is missing; `present` = already there under `id`. What is there is never pulled or loaded again.",
  }),
  digest: sha256.optional().meta({ description: "Repository digest. Source `registry` only." }),
  id: sha256.optional().meta({
    description:
      "Image id, as `docker image inspect --format {{.Id}}` tells it: an image from an archive has no repository digest. Sources `archive` and `present` only.",
  }),
  archive: absolutePath.optional().meta({
    description:
      "File of `docker save` on every node, on a disk of its own or a shared one. Source `archive` only.",
    upstream: "docker load --input",
  }),
  vllmVersion: z
    .string()
    .regex(/^\d+\.\d+\.\d+$/, "must be <major>.<minor>.<patch>")
    .optional()
    .meta({
      description:
        "Version of vLLM in the image, e.g. `0.23.0`: decides which flags exist. Unset = from the tag, `v0.18.0rc1` is 0.18.0.",
    }),
  rayVersion: z
    .string()
    .regex(/^\d+\.\d+\.\d+$/, "must be <major>.<minor>.<patch>")
    .optional()
    .meta({
      description:
        "Version of Ray in the image, as `ray --version` tells it there. From 2.52.0 on Ray is started with token authentication. Unset = taken for older. Topology `ray` only.",
      upstream: "RAY_AUTH_MODE, RAY_AUTH_TOKEN_PATH",
    }),
});

const modelSchema = z.strictObject({
  path: absolutePath.meta({
    description:
      "Directory of the weights, the same on every node; mounted read-only at the same path.",
    upstream: "vllm serve <model>",
  }),
  source: z.enum(["path", "modelscope", "huggingface"]).default("path").meta({
    description:
      "Where the nodes get it: `path` = already there, and compared over all nodes by the preflight; `modelscope` and `huggingface` = each node downloads it into `path` before anything stops, and verifies every file.",
  }),
  repository: z
    .string()
    .max(192)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*$/, "must be <owner>/<name>")
    .optional()
    .meta({ description: "Repository on the hub, e.g. `Qwen/Qwen3-235B-A22B`. Hubs only." }),
  revision: z
    .string()
    .regex(
      /^[0-9a-f]{40}$/,
      "must be a full commit id (40 hexadecimal digits): a branch or tag moves",
    )
    .optional()
    .meta({ description: "Commit of the repository. Hubs only." }),
  endpoint: z
    .url({ protocol: /^https?$/, error: "must be a URL such as https://hf-mirror.com" })
    .optional()
    .meta({
      description:
        "Base URL of the hub or of a mirror of it. Hubs only; unset = https://modelscope.cn or https://huggingface.co.",
      upstream: "HF_ENDPOINT",
    }),
});

export const raySchema = z.strictObject({
  port: port.default(6379).meta({
    description: "Port of the global control store on the head.",
    upstream: "ray start --port",
  }),
  nodeManagerPort: port.default(6380).meta({
    description: "Port of the raylet on every node; Ray would else take one at random.",
    upstream: "ray start --node-manager-port",
  }),
  objectManagerPort: port.default(6381).meta({
    description: "Port of the object manager on every node; Ray would else take one at random.",
    upstream: "ray start --object-manager-port",
  }),
  runtimeEnvAgentPort: port.default(6382).meta({
    description:
      "Port of the runtime environment agent on every node; Ray would else take one at random.",
    upstream: "ray start --runtime-env-agent-port",
  }),
  dashboardAgentGrpcPort: port.default(6383).meta({
    description:
      "gRPC port of the dashboard agent on every node; Ray would else take one at random.",
    upstream: "ray start --dashboard-agent-grpc-port",
  }),
  dashboardAgentListenPort: port.default(6384).meta({
    description: "HTTP port of the dashboard agent on every node.",
    upstream: "ray start --dashboard-agent-listen-port",
  }),
  metricsExportPort: port.default(6385).meta({
    description: "Port of Ray's metrics on every node; Ray would else take one at random.",
    upstream: "ray start --metrics-export-port",
  }),
  minWorkerPort: port.default(10_002).meta({
    description: "First port of Ray's worker processes.",
    upstream: "ray start --min-worker-port",
  }),
  maxWorkerPort: port.default(10_999).meta({
    description: "Last port of Ray's worker processes.",
    upstream: "ray start --max-worker-port",
  }),
  objectStoreMemoryGib: z.number().min(0.1).max(1024).default(10).meta({
    // Ray 2.48 `resource_and_label_spec.py`: below 10 GB Ray falls back to /tmp with a warning.
    description:
      "Ray's object store in `/dev/shm`. Must be below `container.shmSizeGib`; Ray wants at least 10 GB.",
    unit: "GiB",
    upstream: "ray start --object-store-memory",
  }),
  numCpus: positiveInt.optional().meta({
    description: "CPUs that Ray may schedule. Unset = all of the machine. Small for laboratories.",
    upstream: "ray start --num-cpus",
  }),
});

const extraArgValue = z.union(
  [processText, z.number(), z.boolean(), z.record(z.string(), z.json())],
  {
    error:
      "must be a text without NUL of at most 100000 bytes, a finite number, true, false or a map",
  },
);

const serveSchema = z.strictObject({
  servedModelName: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, "must be letters, digits and . _ / -")
    .meta({
      description: "Name of the model in the API.",
      upstream: "vllm serve --served-model-name",
    }),
  port: port.default(8000).meta({
    description: "Port of the OpenAI-compatible API on the head.",
    upstream: "vllm serve --port",
  }),
  tensorParallelSize: positiveInt.meta({
    description:
      "NPUs over which each layer is split. With the other parallel sizes it must use every NPU of the nodes.",
    unit: "NPUs",
    upstream: "vllm serve --tensor-parallel-size",
  }),
  pipelineParallelSize: positiveInt.default(1).meta({
    description: "Stages into which the layers are split.",
    unit: "stages",
    upstream: "vllm serve --pipeline-parallel-size",
  }),
  dataParallelSize: positiveInt.default(1).meta({
    description:
      "Engines that each hold the whole model, on `tensorParallelSize` x `pipelineParallelSize` NPUs of one node. Topology `data-parallel` only.",
    unit: "engines",
    upstream: "vllm serve --data-parallel-size",
  }),
  dataParallelRpcPort: port.optional().meta({
    description:
      "Port on the head where the engines of all nodes report. Topology `data-parallel` only. Default 13389.",
    upstream: "vllm serve --data-parallel-rpc-port",
  }),
  apiServerCount: positiveInt.optional().meta({
    description:
      "Processes on the head that answer HTTP. Topology `data-parallel` only. Unset = vLLM's own default, one per engine.",
    unit: "processes",
    upstream: "vllm serve --api-server-count",
  }),
  masterPort: port.optional().meta({
    description:
      "Port on the head where the ranks of all nodes meet. Topology `multiprocessing` only; one node needs none. Default 29501.",
    upstream: "vllm serve --master-port",
  }),
  enableExpertParallel: z.boolean().default(false).meta({
    description: "Splits a mixture-of-experts model by experts instead of inside each expert.",
    upstream: "vllm serve --enable-expert-parallel",
  }),
  maxModelLen: positiveInt.meta({
    description: "Longest sequence: prompt and answer together.",
    unit: "tokens",
    upstream: "vllm serve --max-model-len",
  }),
  maxNumSeqs: positiveInt.meta({
    description: "Sequences in one step.",
    unit: "sequences",
    upstream: "vllm serve --max-num-seqs",
  }),
  maxNumBatchedTokens: positiveInt.optional().meta({
    description: "Tokens in one step. Unset = vLLM's own default.",
    unit: "tokens",
    upstream: "vllm serve --max-num-batched-tokens",
  }),
  gpuMemoryUtilization: z.number().gt(0).lte(1).default(0.9).meta({
    description:
      "Part of each NPU's memory that vLLM may use. Lower it when the model loads but the first long prompt runs out of memory.",
    unit: "fraction, 0-1",
    upstream: "vllm serve --gpu-memory-utilization",
  }),
  seed: z.int().min(0).optional().meta({
    description: "Random seed, equal on all ranks. Unset = vLLM's own default.",
    upstream: "vllm serve --seed",
  }),
  quantization: z
    .string()
    .regex(/^[a-z0-9_-]+$/)
    .optional()
    .meta({
      description: "How the weights are quantized: `ascend` for W8A8 checkpoints of vllm-ascend.",
      upstream: "vllm serve --quantization",
    }),
  trustRemoteCode: z.boolean().default(false).meta({
    description: "Runs Python code that lies beside the weights.",
    upstream: "vllm serve --trust-remote-code",
  }),
  extraArgs: z
    .record(
      z
        .string()
        .regex(
          /^[a-z][a-z0-9-]*$/,
          "must be a long flag name with hyphens and without '--', e.g. compilation-config",
        ),
      extraArgValue,
    )
    .default({})
    .meta({
      description:
        "Flags of `vllm serve` that have no key here, by their long name without `--`, e.g. `compilation-config: {cudagraph_mode: FULL_DECODE_ONLY}`. `true` gives the bare flag, `false` leaves it out, a map becomes JSON.",
      upstream: "vllm serve --…",
    }),
});

const mountSchema = z.strictObject({
  source: absolutePath.meta({ description: "Directory or file of the host; must exist." }),
  target: absolutePath.meta({ description: "Path in the container." }),
  readOnly: z.boolean().default(true).meta({ description: "Whether the container may not write." }),
});

const containerSchema = z.strictObject({
  shmSizeGib: z.number().min(0.5).max(4096).default(16).meta({
    description:
      "Size of `/dev/shm`. Ray wants its object store to fit; the Ray guide's 1 GiB makes Ray fall back to /tmp.",
    unit: "GiB",
    upstream: "docker run --shm-size",
  }),
  nofile: z.int().min(1024).max(1_048_576).default(65_536).meta({
    description: "Open files per process.",
    unit: "files",
    upstream: "docker run --ulimit nofile",
  }),
  mounts: z.array(mountSchema).default([]).meta({
    description: "Further bind mounts.",
    upstream: "docker run --mount",
  }),
});

const timeoutsSchema = z.strictObject({
  rayStartSec: timeoutSec.optional().meta({
    description:
      "From `ray start` to all planned nodes and NPUs. Topology `ray` only. Default 300.",
    unit: "seconds",
  }),
  serveStartSec: timeoutSec.default(3600).meta({
    description:
      "From `vllm serve` to the first answered completion: loading 470 GB takes a while.",
    unit: "seconds",
  }),
  smokeSec: timeoutSec.default(120).meta({
    description:
      "For the smoke run before the first start: imports, NPUs and collectives, without weights.",
    unit: "seconds",
  }),
  modelSec: timeoutSec.default(21_600).meta({
    description:
      "For a node to download the model from a hub; the next `pulumi up` goes on from there.",
    unit: "seconds",
  }),
  stopSec: timeoutSec.default(60).meta({
    description: "For running requests when serve is stopped.",
    unit: "seconds",
  }),
  completionSec: timeoutSec.default(300).meta({
    description: "For one completion of the readiness check.",
    unit: "seconds",
  }),
});

const supervisorSchema = z.strictObject({
  port: port.default(26_380).meta({ description: "TCP port of the group protocol on the head." }),
  maxFailures: positiveInt.default(5).meta({
    description: "Failures in a row after which the group stays down until the next commit.",
  }),
  backoffSec: timeoutSec.default(2).meta({
    description: "First pause after a failure; doubles up to `backoffMaxSec`.",
    unit: "seconds",
  }),
  backoffMaxSec: timeoutSec.default(60).meta({
    description: "Longest pause after a failure.",
    unit: "seconds",
  }),
});

/** How the ranks of a cluster find each other. */
export const TOPOLOGIES = ["ray", "data-parallel", "multiprocessing"] as const;
export type Topology = (typeof TOPOLOGIES)[number];

const preflightSchema = z.strictObject({
  accept: z
    .array(
      z.strictObject({
        code: z
          .enum(ACCEPTABLE_CODES, {
            error: "must be the code of a finding that can be accepted (docs/preflight.md)",
          })
          .meta({ description: "Code of the finding, as the preflight prints it." }),
        node: z.string().optional().meta({ description: "Name of the node. Unset = every node." }),
        npu: z
          .int()
          .min(0)
          .max(15)
          .optional()
          .meta({ description: "Physical NPU id. Unset = whatever the NPU." }),
        reason: z
          .string()
          .regex(/^[^\p{Cc}]{3,200}$/u, "must be one line of 3 to 200 characters")
          .meta({ description: "Why the risk is taken; printed every time." }),
        until: z.iso
          .date("must be a date as in 2027-01-31")
          .meta({ description: "Last day on which it holds, in UTC; later it is refused." }),
      }),
    )
    .max(100)
    .default([])
    .meta({
      description:
        "Failures of the preflight that become warnings, each with a reason and an end. They are printed every time.",
    }),
});

const lintSchema = z.strictObject({
  accept: z
    .array(
      z.strictObject({
        code: z.string().meta({ description: "Code of a lint rule, see docs/lint.md." }),
        reason: z
          .string()
          .regex(/\S/, "must say why")
          .meta({ description: "Why it is right for this cluster." }),
      }),
    )
    .default([])
    .meta({
      description:
        "Lint findings that this cluster accepts: Pulumi then shows an error as a warning, and a warning no more.",
    }),
});

const parsedDefaults = <T extends z.ZodType>(schema: T) => schema.prefault({} as never);

export const clusterSpecSchema = z.strictObject({
  name: dnsLabel(32).meta({
    description:
      "Name of the cluster: part of every resource, container, unit and directory name. Lower-case letters, digits, hyphens.",
  }),
  topology: z.enum(TOPOLOGIES).meta({
    description:
      "How the ranks find each other. `ray`: Ray places one engine over all nodes. `data-parallel`: one or more engines per node, each whole within it, all behind one API on the head. `multiprocessing`: one engine over all nodes, started by vLLM itself.",
    upstream:
      "vllm serve --distributed-executor-backend, --data-parallel-size, --nnodes, --headless",
  }),
  series: z.enum(SERIES_NAMES).default("A2").meta({
    description: "Server series: decides device nodes and driver files. A2 = Atlas 800I A2.",
  }),
  ssh: parsedDefaults(sshSchema).meta({
    description: "How the operator's machine reaches the nodes. The key comes from the SSH agent.",
  }),
  nodes: z.array(nodeSchema).min(1).max(MAX_NODES).meta({
    description:
      "The servers; the first is the head, which answers requests. The order is that of the ranks.",
  }),
  socketInterface: interfaceName.meta({
    description: "Interface that owns each node's address, as in `ip addr`.",
    upstream: "GLOO_SOCKET_IFNAME, TP_SOCKET_IFNAME, HCCL_SOCKET_IFNAME",
  }),
  image: imageSchema.meta({ description: "The container image, the same on all nodes." }),
  model: modelSchema.meta({ description: "The weights." }),
  ray: raySchema.optional().meta({
    description:
      "Flags of `ray start`. Topology `ray` only. Ports are the same on all nodes; none may collide.",
  }),
  serve: serveSchema.meta({ description: "Flags of `vllm serve`." }),
  acceptMemoryFit: z
    .strictObject({
      reason: z
        .string()
        .regex(/^[^\p{Cc}]{3,200}$/u, "must be one line of 3 to 200 characters")
        .meta({ description: "Why it is started all the same; printed every time." }),
    })
    .optional()
    .meta({
      description:
        "Starts a model that does not fit into the NPUs' memory by docs/memory-fit.md. Unset = the preflight refuses it.",
    }),
  env: environment.default({}).meta({
    description:
      "Environment of vLLM and Ray on all nodes, e.g. `HCCL_BUFFSIZE`. Addresses, interfaces and visible devices are set for you.",
  }),
  hostPaths: z.partialRecord(z.enum(HOST_PATH_KEYS), absolutePath).default({}).meta({
    description:
      "Where the host keeps driver files that are not at the installer's default place, e.g. `npuSmi: /usr/local/sbin/npu-smi`.",
  }),
  container: parsedDefaults(containerSchema).meta({ description: "The container of each node." }),
  timeouts: parsedDefaults(timeoutsSchema).meta({ description: "How long each step may take." }),
  preflight: parsedDefaults(preflightSchema).meta({
    description: "What `vllm-cluster gate` checks before anything starts.",
  }),
  supervisor: parsedDefaults(supervisorSchema).meta({
    description: "The group protocol between the nodes, and how often it starts again.",
  }),
  lint: parsedDefaults(lintSchema).meta({
    description: "What `vllm-cluster lint` may find here; docs/lint.md lists all of it.",
  }),
});

/** What a stack file or a program says about a cluster; what is left out takes its default. */
export type ClusterSpecInput = z.input<typeof clusterSpecSchema>;
/** The fields as the schema leaves them: each by itself well-formed, those of one topology without defaults. */
export type ClusterFields = z.output<typeof clusterSpecSchema>;

/** Without the fields that belong to one topology only. */
type CommonSpec = Omit<ClusterFields, "topology" | "ray" | "serve" | "timeouts"> & {
  readonly serve: Omit<ClusterFields["serve"], "dataParallelRpcPort" | "masterPort">;
  readonly timeouts: Omit<ClusterFields["timeouts"], "rayStartSec">;
};

export type RayClusterSpec = CommonSpec & {
  readonly topology: "ray";
  readonly ray: RaySpec;
  readonly timeouts: { readonly rayStartSec: number };
};
export type DataParallelClusterSpec = CommonSpec & {
  readonly topology: "data-parallel";
  readonly serve: { readonly dataParallelRpcPort: number };
};
export type MultiprocessingClusterSpec = CommonSpec & {
  readonly topology: "multiprocessing";
  readonly serve: { readonly masterPort: number };
};

/** What a stack asks for, with all defaults of its topology filled in and the fields of other topologies left out. */
export type ClusterSpec = RayClusterSpec | DataParallelClusterSpec | MultiprocessingClusterSpec;
export type NodeSpec = ClusterSpec["nodes"][number];
export type ServeSpec = ClusterSpec["serve"];
export type RaySpec = z.output<typeof raySchema>;
export type SshSpec = ClusterSpec["ssh"];
export type ImageSpec = ClusterSpec["image"];
export type ModelSpec = ClusterSpec["model"];
