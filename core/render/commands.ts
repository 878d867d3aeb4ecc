import type {
  ClusterPlan,
  ContainerPlan,
  MountPlan,
  NodePlan,
  Release,
} from "../plan/cluster-plan.js";
import { idRanges } from "./id-ranges.js";
import { shellJoin, shellQuote } from "./quote.js";

/** What runs on one node, as the commands that a person would type. */
export interface NodeCommands {
  readonly node: string;
  readonly role: string;
  readonly address: string;
  readonly ranks: readonly number[];
  readonly npus: readonly number[];
  readonly ssh: readonly string[];
  /** The container that the docker provider creates, without the command that it runs. */
  readonly docker: readonly string[];
  /** What the container runs: the supervisor. */
  readonly supervisor: readonly string[];
  /** Environment of vLLM, and of Ray where there is one. */
  readonly env: Readonly<Record<string, string>>;
  /** Variables whose values are in files of the container, by file: secrets are not part of a plan. */
  readonly secretEnv: Readonly<Record<string, string>>;
  /** `null` without Ray. */
  readonly ray: readonly string[] | null;
  /** `null` on nodes that run no `vllm serve`. */
  readonly serve: readonly string[] | null;
}

/** The commands of every node, the head first. */
export function clusterCommands(plan: ClusterPlan): readonly NodeCommands[] {
  return plan.nodes.map((node) => nodeCommands(plan, node));
}

/** The commands of one node as bash that can be pasted section by section. */
export function renderNodeCommands(plan: ClusterPlan, commands: NodeCommands): string {
  const { node, role, ranks, npus, env, secretEnv, ray, serve } = commands;
  const exports = [
    ...Object.entries(env).map(([name, value]) => `export ${name}=${shellQuote(value)}`),
    ...Object.entries(secretEnv).map(
      ([name, file]) => `export ${name}="$(cat ${shellQuote(file)})"`,
    ),
  ];
  const sections = [
    `# ${node}: ${role}, ranks ${idRanges(ranks)} on NPUs ${idRanges(npus)}\n${shellJoin(commands.ssh)}`,
    `# On the host: the container. Its first process is the supervisor, which starts what follows.\n${renderCommand(commands.docker)} \\\n  ${shellJoin(commands.supervisor)}`,
    `# In the container (docker exec -it ${plan.containerName} bash): the environment of ${ray === null ? "vLLM" : "Ray and vLLM"}.\n${exports.join("\n")}`,
    ...(ray === null ? [] : [renderCommand(ray)]),
    ...(serve === null ? [] : [renderCommand(serve)]),
  ];
  return `${sections.join("\n\n")}\n`;
}

function nodeCommands(plan: ClusterPlan, node: NodePlan): NodeCommands {
  const { ray, serve } = node.releases;
  const { user, address, port, bastion } = node.connection;
  return {
    node: node.name,
    role: node.role,
    address,
    ranks: node.ranks,
    npus: node.visibleDevices,
    ssh: [
      "ssh",
      ...(bastion === undefined
        ? []
        : ["-J", `${bastion.user}@${bastion.address}:${bastion.port}`]),
      ...(port === 22 ? [] : ["-p", String(port)]),
      `${user}@${address}`,
    ],
    docker: dockerRun(plan, node),
    supervisor: node.container.command,
    env: node.env,
    secretEnv: { ...(ray === null ? {} : secretFiles(ray)), ...secretFiles(serve) },
    ray: ray?.command ?? null,
    serve: serve.command,
  };
}

/** What `components/container-runtime.ts` asks the docker provider for, from the same plan. */
function dockerRun(plan: ClusterPlan, node: NodePlan): readonly string[] {
  const { container } = node;
  return [
    "docker",
    "run",
    "--detach",
    `--name=${plan.containerName}`,
    ...dockerOptions(container),
    "--restart=no",
    `--stop-timeout=${container.stopGraceSec}`,
    "--log-driver=json-file",
    ...Object.entries(container.logOptions).map(([name, value]) => `--log-opt=${name}=${value}`),
    ...Object.entries(container.labels).map(([name, value]) => `--label=${name}=${value}`),
    container.image.pull,
  ];
}

/** Options of `docker run` that decide what a process in the container has. */
export function dockerOptions(
  container: Pick<
    ContainerPlan,
    "devices" | "mounts" | "shmSizeMib" | "ulimits" | "runtime" | "securityOptions"
  >,
): readonly string[] {
  return [
    "--network=host",
    ...container.devices.map((device) => `--device=${device}`),
    ...container.mounts.map((mount) => `--mount=${mountText(mount)}`),
    `--shm-size=${container.shmSizeMib}m`,
    ...container.ulimits.map(({ name, limit }) => `--ulimit=${name}=${limit}:${limit}`),
    `--runtime=${container.runtime}`,
    ...container.securityOptions.map((option) => `--security-opt=${option}`),
  ];
}

function mountText({ source, target, readOnly }: MountPlan): string {
  return `type=bind,source=${source},target=${target}${readOnly ? ",readonly" : ""}`;
}

function secretFiles({ secretEnv }: Release): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(secretEnv).map(([name, file]) => [name, `${SECRETS_DIR}/${file}`]),
  );
}

/** One command over several lines: the words before the first flag, then one word a line. */
function renderCommand(argv: readonly string[]): string {
  const firstFlag = argv.findIndex((word) => word.startsWith("-"));
  const count = firstFlag === -1 ? argv.length : firstFlag;
  const head = shellJoin(argv.slice(0, count));
  return [head, ...argv.slice(count).map((word) => `  ${shellQuote(word)}`)].join(" \\\n");
}

const SECRETS_DIR = "/vllm-cluster/in/secrets";
