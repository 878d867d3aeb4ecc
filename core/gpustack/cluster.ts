import { z } from "zod";
import { clusterNames } from "../plan/names.js";
import { nodeEnv } from "../plan/node-env.js";
import { commonServeArgs, nodeServeArgs, type ServeArgs } from "../plan/serve-command.js";
import type { ClusterSpec, ClusterSpecInput, NodeSpec } from "../spec/cluster-spec.js";
import { parseClusterSpec } from "../spec/parse.js";
import { visibleDevices } from "../spec/rules.js";
import { ClusterSpecError, type SpecIssue } from "../spec/spec-issue.js";
import {
  type BackendVersionArgs,
  backendVersionInputs,
  type DeploymentGroupArgs,
  deploymentGroupInputs,
} from "./inputs.js";
import {
  checkBackendVersion,
  checkDeploymentGroup,
  type InputIssue,
  SKIP_COUNT_CHECK,
} from "./rules.js";
import { quoteWord } from "./words.js";

/** `vllm-ascend:gpustack` of a stack file: with it the cluster of the same file is deployed through GPUStack. */
export const gpustackSchema = z.strictObject({
  workers: z.record(z.string(), z.string().min(1)).default({}).meta({
    description: "Name of each node's worker in GPUStack, where it differs from the node's name.",
  }),
  backendVersion: z.string().optional().meta({
    description:
      "Name of the version that is made from `image`; must end in `-custom`. Default: the image's tag without `v`, and `-custom`.",
  }),
  modelScopeModelId: z.string().optional().meta({
    description:
      "Model of ModelScope that workers download, instead of the directory `model.path`.",
  }),
  huggingfaceRepoId: z.string().optional().meta({
    description:
      "Model of Hugging Face that workers download, instead of the directory `model.path`.",
  }),
  clusterId: z.int().min(1).optional().meta({
    description: "Id of the cluster in GPUStack. Default: the one of the workers.",
  }),
  deployments: z.record(z.string(), z.string().min(1)).default({}).meta({
    description:
      "Name of each node's deployment but the head's, which is `servedModelName`. Default: that name and the number of the node, `-2` on.",
  }),
  replicas: z
    .literal([0, 1])
    .default(1)
    .meta({ description: "0 stops the deployments and keeps them." }),
  description: z.string().optional().meta({
    description: "Text for people in GPUStack; changed without a restart.",
  }),
  categories: z.array(z.string()).optional().meta({
    description:
      "Kinds of model, as GPUStack shows them; changed without a restart. Default: `llm`.",
  }),
  restartOnError: z.boolean().default(true).meta({
    description: "Whether GPUStack starts a failed deployment again by itself.",
  }),
  entrypoint: z.string().optional().meta({
    description: "Command of the version that is made from `image`. Default: `vllm serve`.",
  }),
  runCommand: z.string().optional().meta({
    description:
      "Arguments after it, with GPUStack's placeholders. Default: model path, host, port and name, as in GPUStack's guide.",
  }),
  secretEnv: z.array(z.string()).default([]).meta({
    description:
      "Variables of all deployments that are secrets; their values are in the secret `vllm-ascend:gpustackSecretEnv`. GPUStack stores them in clear.",
  }),
  leaveOut: z
    .strictObject({
      flags: z.array(z.string()).default([]).meta({
        description: "Long flags of `vllm serve` without `--`.",
      }),
      env: z.array(z.string()).default([]).meta({ description: "Variables." }),
    })
    .prefault({})
    .meta({
      description:
        "What the plan would set and deployments that exist already do without; written by `vllm-cluster gpustack adopt`.",
    }),
  singleDeployment: z.boolean().default(false).meta({
    description:
      "One deployment across all workers, where GPUStack (>= 2.2) sets addresses, ports and ranks itself and chooses the head, instead of one deployment per worker. Topology `multiprocessing` always is one.",
  }),
});
/** What a stack file or a program says about GPUStack; what is left out takes its default. */
export type GpustackInput = z.input<typeof gpustackSchema>;

/** Everything that is decided about a cluster behind GPUStack. */
export interface GpustackPlan {
  readonly cluster: string;
  /** Name of the model in the API, which is the head's deployment. */
  readonly model: string;
  readonly version: BackendVersionArgs;
  readonly group: DeploymentGroupArgs;
  /** Names of its resources. */
  readonly names: {
    readonly preflight: string;
    readonly version: string;
    readonly group: string;
  };
  /** Variables of all members whose values are not part of the plan. */
  readonly secretEnv: readonly string[];
  readonly nodes: readonly {
    readonly name: string;
    readonly worker: string;
    readonly address: string;
  }[];
}

/**
 * The cluster of a stack file as deployments of GPUStack: the same flags, sizes and environment as when it runs directly, without
 * what GPUStack sets itself. What only the direct form needs (`hostKey`, an image digest, `ssh`) may be missing.
 *
 * @throws ClusterSpecError with every issue.
 */
export function planGpustack(
  rawCluster: ClusterSpecInput,
  rawGpustack: GpustackInput,
): GpustackPlan {
  const options = gpustackSchema.safeParse(rawGpustack);
  if (!options.success) {
    throw new ClusterSpecError(
      options.error.issues.map(({ path, message }) => ({
        path: ["gpustack", ...path].join("."),
        reason: message,
      })),
    );
  }
  const spec = specOfGpustack(rawCluster);
  const unfit = [...fitIssues(spec, options.data), ...someHostKeys(rawCluster)];
  if (unfit.length > 0) throw new ClusterSpecError(unfit);
  const plan = planOf(spec, options.data);
  const issues = [
    ...check(backendVersionInputs, plan.version, checkBackendVersion),
    ...check(deploymentGroupInputs, plan.group, checkDeploymentGroup),
  ];
  if (issues.length > 0) throw new ClusterSpecError(issues);
  return plan;
}

/**
 * The spec of a cluster behind GPUStack; what only the direct form needs is filled in where it is missing.
 *
 * @throws ClusterSpecError with every issue.
 */
export function specOfGpustack(rawCluster: ClusterSpecInput): ClusterSpec {
  return parseClusterSpec(withoutHosts(rawCluster));
}

/** Whether the stack gives SSH access to its workers, by which the preflight can look at them. */
export function hasHostKeys({ nodes }: ClusterSpecInput): boolean {
  return nodes.every(({ hostKey }) => (hostKey as string | undefined) !== undefined);
}

function someHostKeys(rawCluster: ClusterSpecInput): SpecIssue[] {
  if (hasHostKeys(rawCluster)) return [];
  return rawCluster.nodes.flatMap((node, index) =>
    (node.hostKey as string | undefined) === undefined
      ? []
      : [
          {
            path: `nodes[${index}].hostKey`,
            reason:
              "must be given for all nodes, then the preflight checks the NPUs and their network over SSH, or for none",
          },
        ],
  );
}

type GpustackOptions = z.output<typeof gpustackSchema>;

function planOf(spec: ClusterSpec, options: GpustackOptions): GpustackPlan {
  const { servedModelName: model } = spec.serve;
  const version = {
    version: options.backendVersion ?? versionOfImage(spec.image.reference),
    imageName: imageName(spec),
    ...defined({ entrypoint: options.entrypoint, runCommand: options.runCommand }),
  };
  const workerOf = (node: NodeSpec) => options.workers[node.name] ?? node.name;
  const gpuIds = (node: NodeSpec) =>
    visibleDevices(spec, node).map((id) => `${workerOf(node)}:cann:${id}`);
  const members = isSingle(spec, options)
    ? [
        {
          name: model,
          gpuIds: spec.nodes.flatMap(gpuIds),
          backendParameters: parameters(
            { ...commonServeArgs(spec), "distributed-executor-backend": "mp" },
            [...SET_BY_GPUSTACK_SINGLE, ...options.leaveOut.flags],
          ),
          env: deploymentEnv(spec, spec.nodes[0]!, PER_NODE_ENV, options),
        },
      ]
    : spec.nodes.map((node, index) => ({
        name: index === 0 ? model : (options.deployments[node.name] ?? `${model}-${index + 1}`),
        gpuIds: gpuIds(node),
        backendParameters: parameters({ ...commonServeArgs(spec), ...nodeServeArgs(spec, node) }, [
          ...SET_BY_GPUSTACK,
          ...options.leaveOut.flags,
        ]),
        env: {
          ...deploymentEnv(spec, node, SET_BY_WORKER_ENV, options),
          [SKIP_COUNT_CHECK]: "1",
        },
      }));
  const { modelScopeModelId, huggingfaceRepoId, clusterId, description, categories } = options;
  const source =
    modelScopeModelId !== undefined || huggingfaceRepoId !== undefined
      ? defined({ modelScopeModelId, huggingfaceRepoId })
      : { localPath: spec.model.path };
  return {
    cluster: spec.name,
    model,
    version,
    secretEnv: options.secretEnv,
    names: {
      preflight: clusterNames(spec.name).preflight,
      version: `${spec.name}-version`,
      group: `${spec.name}-group`,
    },
    group: {
      members,
      ...source,
      ...defined({ clusterId, description, categories }),
      backendVersion: version.version,
      replicas: options.replicas,
      restartOnError: options.restartOnError,
      readyTimeoutSec: spec.timeouts.serveStartSec,
    },
    nodes: spec.nodes.map((node) => ({
      name: node.name,
      worker: workerOf(node),
      address: node.address,
    })),
  };
}

function fitIssues(spec: ClusterSpec, options: GpustackOptions): SpecIssue[] {
  const names = spec.nodes.map(({ name }) => name);
  return [
    ...(spec.topology === "ray"
      ? [
          {
            path: "topology",
            reason: `"ray" is not deployed through GPUStack; use data-parallel, or multiprocessing for one engine over all workers`,
          },
        ]
      : []),
    ...Object.keys(options.workers)
      .filter((name) => !names.includes(name))
      .map((name) => ({
        path: `gpustack.workers.${name}`,
        reason: `names no node; the nodes are ${names.join(", ")}`,
      })),
    ...Object.keys(options.deployments)
      .filter((name) => isSingle(spec, options) || !names.slice(1).includes(name))
      .map((name) => ({
        path: `gpustack.deployments.${name}`,
        reason:
          name === names[0]
            ? "is the head, whose deployment is named by serve.servedModelName"
            : "names no node that has a deployment of its own",
      })),
    ...leftOutIssues(spec, options),
    ...options.secretEnv
      .map((name, index) => ({ name, path: `gpustack.secretEnv[${index}]` }))
      .filter(({ name }) => spec.nodes.some((node) => Object.hasOwn(nodeEnv(spec, node), name)))
      .map(({ name, path }) => ({ path, reason: `${name} is set in clear too; remove it there` })),
  ];
}

/** An entry for nothing would look as if it did something. */
function leftOutIssues(spec: ClusterSpec, { leaveOut }: GpustackOptions): SpecIssue[] {
  const [head] = spec.nodes;
  const flags = { ...commonServeArgs(spec), ...nodeServeArgs(spec, head!) };
  const isSet: Readonly<Record<keyof typeof leaveOut, (name: string) => boolean>> = {
    flags: (name) => Object.hasOwn(flags, name) || name === "distributed-executor-backend",
    env: (name) =>
      spec.nodes.some(
        (node) => Object.hasOwn(nodeEnv(spec, node), name) && !isOwnEnv(spec, node, name),
      ),
  };
  return (["flags", "env"] as const).flatMap((kind) =>
    leaveOut[kind].flatMap((name, index) =>
      isSet[kind](name)
        ? []
        : [
            {
              path: `gpustack.leaveOut.${kind}[${index}]`,
              reason: `must be one that the plan sets by itself, got ${name}; remove the entry`,
            },
          ],
    ),
  );
}

/** The environment of a node's deployment; what the stack file says itself is never left out. */
function deploymentEnv(
  spec: ClusterSpec,
  node: NodeSpec,
  setElsewhere: readonly string[],
  { leaveOut }: GpustackOptions,
): Record<string, string> {
  const left = leaveOut.env.filter((name) => !isOwnEnv(spec, node, name));
  return without(nodeEnv(spec, node), [...setElsewhere, ...left]);
}

function isOwnEnv(spec: ClusterSpec, node: NodeSpec, name: string): boolean {
  return Object.hasOwn(spec.env, name) || Object.hasOwn(node.env, name);
}

function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function isSingle(spec: ClusterSpec, options: GpustackOptions): boolean {
  return spec.topology === "multiprocessing" || options.singleDeployment;
}

/** Entries of `backend_parameters`, one flag each. */
function parameters(args: ServeArgs, left: readonly string[]): string[] {
  return Object.entries(without(args, left)).map(([flag, value]) =>
    value === true ? `--${flag}` : `--${flag}=${quoteWord(value)}`,
  );
}

function without<T>(
  values: Readonly<Record<string, T>>,
  left: readonly string[],
): Record<string, T> {
  return Object.fromEntries(Object.entries(values).filter(([key]) => !left.includes(key)));
}

function versionOfImage(reference: string): string {
  return `${reference.slice(reference.lastIndexOf(":") + 1).replace(/^v/, "")}-custom`;
}

/** With the digest all workers run the same image, whatever the tag points to by then. */
function imageName({ image }: ClusterSpec): string {
  return image.digest === undefined || image.digest === NO_DIGEST
    ? image.reference
    : `${image.reference}@${image.digest}`;
}

/** Fills in what only the direct form reads. */
function withoutHosts(raw: ClusterSpecInput): unknown {
  const input = raw as unknown as { nodes?: unknown; image?: Record<string, unknown> };
  const nodes = Array.isArray(input.nodes)
    ? input.nodes.map((node: object) => ({ hostKey: NO_HOST_KEY, ...node }))
    : input.nodes;
  const image =
    input.image?.["digest"] === undefined && input.image?.["id"] === undefined
      ? { ...input.image, digest: NO_DIGEST }
      : input.image;
  return { ...raw, nodes, ...(input.image === undefined ? {} : { image }) };
}

function check<T extends z.ZodType>(
  schema: T,
  args: unknown,
  rules: (inputs: z.output<T>) => readonly InputIssue[],
): SpecIssue[] {
  const parsed = schema.safeParse(args);
  if (!parsed.success) {
    return parsed.error.issues.map(({ path, message }) => ({
      path: path.join("."),
      reason: message,
    }));
  }
  return rules(parsed.data).map(({ property, reason }) => ({ path: property, reason }));
}

/** In the run command of the version, or allocated. */
const SET_BY_GPUSTACK = ["host", "port", "served-model-name"];

/** And what it computes for each worker of one deployment. */
const SET_BY_GPUSTACK_SINGLE = [
  ...SET_BY_GPUSTACK,
  ...["nnodes", "node-rank", "master-addr", "master-port", "headless", "api-server-count"],
  ...["data-parallel-size-local", "data-parallel-address", "data-parallel-rpc-port"],
];

/** The worker gives each container its NPUs. */
const SET_BY_WORKER_ENV = ["ASCEND_RT_VISIBLE_DEVICES"];

/** One environment serves all workers of a single deployment. */
const PER_NODE_ENV = [
  ...SET_BY_WORKER_ENV,
  ...["HCCL_IF_IP", "VLLM_HOST_IP"],
  ...["GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "HCCL_SOCKET_IFNAME"],
];

const NO_HOST_KEY = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)}`;
const NO_DIGEST = `sha256:${"0".repeat(64)}`;
