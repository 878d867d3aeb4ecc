import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { parse as parseYaml } from "yaml";
import {
  type GpustackInput,
  type GpustackPlan,
  planGpustack,
  specOfGpustack,
} from "../core/gpustack/cluster.js";
import { gpustackGate } from "../core/gpustack/gate.js";
import type { ClusterPlan, NodePlan } from "../core/plan/cluster-plan.js";
import { type GatePlan, gatePlan } from "../core/plan/gate-plan.js";
import { planCluster } from "../core/plan/plan-cluster.js";
import type { ClusterSpec, ClusterSpecInput } from "../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../core/spec/parse.js";
import { ClusterSpecError } from "../core/spec/spec-issue.js";
import { messageOf, UsageError } from "./errors.js";

/** What every command about one cluster is called with. */
export interface StackOptions {
  readonly stack?: string;
  readonly file?: string;
}

/** Adds `--stack` and `--file`. */
export function addStackOptions(command: Command): Command {
  return command
    .option(
      "-s, --stack <name>",
      "the stack, as for pulumi: <name> or <organization>/<project>/<name>",
    )
    .option("--file <path>", "the stack file, when it is not where Pulumi.yaml says");
}

/** A stack, read from its file. */
export interface LoadedStack {
  readonly spec: ClusterSpec;
  readonly plan: ClusterPlan;
  /** Set when the cluster is deployed through GPUStack; then nothing of `plan` runs on the hosts. */
  readonly gpustack?: GpustackStack;
  /** Whether the API is guarded by a key. */
  readonly hasApiKey: boolean;
  /** As for pulumi: `<name>` or `<organization>/<project>/<name>`. */
  readonly name: string;
  readonly file: string;
  /** Directory of `Pulumi.yaml`. */
  readonly projectDir: string;
  /** Namespace of the configuration, as in `<namespace>:apiKey`. */
  readonly namespace: string;
  /** `<organization>/<project>/<stack>` */
  readonly owner: string;
}

/** A stack that is deployed through GPUStack. */
export interface GpustackStack {
  readonly plan: GpustackPlan;
  /** Absent without host keys. */
  readonly gate: GatePlan | undefined;
  /** Keys of the configuration, without namespace, that are set beside the cluster, e.g. `gpustackUrl`. */
  readonly configKeys: ReadonlySet<string>;
}

/**
 * As `loadStack`, the plan only.
 *
 * @param instead for commands about what runs on the hosts: what to do when the stack is deployed through GPUStack
 * @throws UsageError with that.
 */
export function loadStackPlan(options: StackOptions, instead?: string): ClusterPlan {
  const { plan, gpustack, name } = loadStack(options);
  if (gpustack !== undefined && instead !== undefined) {
    throw new UsageError(`stack ${name} is deployed through GPUStack: ${instead}`);
  }
  return plan;
}

/**
 * Plans the cluster of a stack from its file alone: no engine, no login, no passphrase. The owner is the one that Pulumi
 * computes for the same name.
 *
 * @throws UsageError with every problem of the file.
 */
export function loadStack(options: StackOptions): LoadedStack {
  const name = stackName(options);
  const names = name.split("/");
  const stack = names.at(-1)!;
  const project = findProject(process.cwd(), options.file);
  const file = options.file ?? stackFile(project, stack);
  const config = readConfig(file);
  const organization = names.length === 3 ? names[0]! : "organization";
  const projectName = names.length === 3 ? names[1]! : project.name;
  const raw = config[`${project.name}:cluster`];
  const gpustack = config[`${project.name}:gpustack`] as GpustackInput | undefined;
  if (raw === undefined) {
    throw new UsageError(`${file} has no key ${project.name}:cluster below config:`);
  }
  try {
    const gpustackPlan =
      gpustack === undefined ? undefined : planGpustack(raw as ClusterSpecInput, gpustack);
    const spec =
      gpustack === undefined ? parseClusterSpec(raw) : specOfGpustack(raw as ClusterSpecInput);
    const hasApiKey = config[`${project.name}:apiKey`] !== undefined;
    const owner = `${organization}/${projectName}/${stack}`;
    const plan = planCluster(spec, {
      owner,
      hasApiKey,
      allowDowntimeFor: consent(config[`${project.name}:allowDowntimeFor`]),
    });
    const place = { name, file, projectDir: project.dir, namespace: project.name, owner };
    const through =
      gpustackPlan === undefined
        ? {}
        : {
            gpustack: {
              plan: gpustackPlan,
              gate: gpustackGate(raw as ClusterSpecInput, gpustackPlan, plan.owner),
              configKeys: configKeys(config, project.name),
            },
          };
    return { spec, plan, hasApiKey, ...place, ...through };
  } catch (error) {
    if (error instanceof ClusterSpecError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}

/**
 * What the preflight of a stack checks.
 *
 * @throws UsageError when it has no way to the hosts.
 */
export function loadGatePlan(options: StackOptions): GatePlan {
  const { plan, gpustack, name } = loadStack(options);
  if (gpustack === undefined) return gatePlan(plan);
  if (gpustack.gate !== undefined) return gpustack.gate;
  throw new UsageError(
    `stack ${name} is deployed through GPUStack, and its nodes have no hostKey: NPUs and network cannot be checked; vllm-cluster hostkeys prints the keys`,
  );
}

/**
 * All nodes of a plan, or the one of that name.
 *
 * @throws UsageError when there is none.
 */
export function selectNodes(plan: ClusterPlan, name: string | undefined): readonly NodePlan[] {
  if (name === undefined) return plan.nodes;
  const nodes = plan.nodes.filter((node) => node.name === name);
  if (nodes.length > 0) return nodes;
  const known = plan.nodes.map((node) => node.name).join(", ");
  throw new UsageError(`cluster ${plan.cluster} has no node ${name}; it has ${known}`);
}

/** YAML reads a hash of digits only as a number. */
function consent(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

/** Where the file of a stack is or will be, which need not exist. */
export function stackPlace(
  options: StackOptions,
): Omit<LoadedStack, "spec" | "plan" | "hasApiKey" | "gpustack" | "owner"> {
  const name = stackName(options);
  const project = findProject(process.cwd(), options.file);
  const path = join(project.dir, project.stackConfigDir, `Pulumi.${name.split("/").at(-1)!}.yaml`);
  return {
    name,
    file: options.file ?? path,
    projectDir: project.dir,
    namespace: project.name,
  };
}

function configKeys(config: Readonly<Record<string, unknown>>, namespace: string) {
  const prefix = `${namespace}:`;
  return new Set(
    Object.keys(config).flatMap((key) =>
      key.startsWith(prefix) ? [key.slice(prefix.length)] : [],
    ),
  );
}

/** A stack file carries the name of its stack. */
function stackName({ stack, file }: StackOptions): string {
  const name = stack ?? /^Pulumi\.(.+)\.ya?ml$/.exec(basename(file ?? ""))?.[1];
  if (name !== undefined && name !== "") return name;
  throw new UsageError("which stack? Add --stack <name>; `pulumi stack ls` lists them");
}

interface Project {
  readonly dir: string;
  readonly name: string;
  readonly stackConfigDir: string;
}

/** The nearest Pulumi.yaml, upwards, like pulumi itself; beside an explicit stack file none is needed. */
function findProject(start: string, file: string | undefined): Project {
  for (let dir = resolve(start); ; dir = dirname(dir)) {
    const path = join(dir, "Pulumi.yaml");
    if (existsSync(path)) return readProject(dir, path);
    if (dirname(dir) === dir) break;
  }
  if (file !== undefined) return { dir: start, name: DEFAULT_PROJECT, stackConfigDir: "" };
  throw new UsageError(
    `no Pulumi.yaml in ${start} or above; run the command in the project, or name the stack file with --file`,
  );
}

function readProject(dir: string, path: string): Project {
  const raw = readYaml(path);
  const name = raw["name"];
  if (typeof name !== "string") throw new UsageError(`${path} has no name`);
  const stackConfigDir = raw["stackConfigDir"];
  return { dir, name, stackConfigDir: typeof stackConfigDir === "string" ? stackConfigDir : "" };
}

function stackFile({ dir, stackConfigDir }: Project, stack: string): string {
  const file = join(dir, stackConfigDir, `Pulumi.${stack}.yaml`);
  if (existsSync(file)) return file;
  throw new UsageError(
    `no stack file ${file}; \`pulumi stack ls\` lists the stacks of the project`,
  );
}

function readConfig(file: string): Readonly<Record<string, unknown>> {
  const config = readYaml(file)["config"];
  if (config === null || typeof config !== "object") {
    throw new UsageError(`${file} has no map below config:`);
  }
  return config as Record<string, unknown>;
}

function readYaml(path: string): Readonly<Record<string, unknown>> {
  let raw: unknown;
  try {
    raw = parseYaml(readFileSync(path, "utf8"));
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${messageOf(error)}`);
  }
  if (raw === null || typeof raw !== "object") throw new UsageError(`${path} is not a YAML map`);
  return raw as Record<string, unknown>;
}

/** The Pulumi project of this repository, and the namespace of its configuration. */
const DEFAULT_PROJECT = "vllm-ascend";
