import { CANN_ENV_SCRIPTS, hardwareSeries } from "../hardware/series.js";
import type { ClusterSpec, NodeSpec } from "../spec/cluster-spec.js";
import { visibleDevices } from "../spec/rules.js";
import { imagePlan } from "./arrival.js";
import type { ContainerPlan, MountPlan } from "./cluster-plan.js";
import { headNode } from "./ray-command.js";

/** Where the staged files and the supervisor's own directory appear in the container. */
export const CONTAINER_DIR = "/vllm-cluster";

/** Ray is stopped after serve has drained (up to 30 s), then what is left is swept (up to 30 s), then some air. */
const STOP_MARGIN_SEC = 90;

/** Docker cannot change it in a container that exists; common changes of `timeouts.stopSec` shall not replace containers. */
const MIN_STOP_GRACE_SEC = 300;

/** The container of one node, without the runtime hash that is computed over it. */
export function containerPlan(
  spec: ClusterSpec,
  node: NodeSpec,
  { baseDir, owner }: { readonly baseDir: string; readonly owner: string },
): Omit<ContainerPlan, "command"> {
  const series = hardwareSeries(spec.series);
  return {
    image: imagePlan(spec.image),
    devices: [
      ...visibleDevices(spec, node).map((id) => `/dev/davinci${id}`),
      ...series.managerDevices,
    ],
    mounts: containerMounts(spec, baseDir),
    shmSizeMib: Math.round(spec.container.shmSizeGib * 1024),
    ulimits: [
      // A core dump of a worker with 64 GB of memory fills the disk.
      { name: "core", limit: 0 },
      { name: "nofile", limit: spec.container.nofile },
    ],
    runtime: "runc",
    securityOptions: ["no-new-privileges"],
    logOptions: { "max-size": "20m", "max-file": "3" },
    labels: {
      "vllm-cluster.owner": owner,
      "vllm-cluster.cluster": spec.name,
      "vllm-cluster.node": node.name,
    },
    stopGraceSec: Math.max(MIN_STOP_GRACE_SEC, spec.timeouts.stopSec + STOP_MARGIN_SEC),
  };
}

/**
 * The container's command: the supervisor as PID 1, with CANN's environment where the image has it (an interactive shell
 * of the vllm-ascend image sources these files, a command does not).
 */
export function supervisorCommand(
  spec: ClusterSpec,
  node: NodeSpec,
  runtime: string,
): readonly string[] {
  const head = headNode(spec);
  const sources = CANN_ENV_SCRIPTS.map((file) => `[ ! -r ${file} ] || . ${file}`).join("; ");
  return [
    "bash",
    "-c",
    `${sources}; exec "$@"`,
    "supervisor",
    "python3",
    "-u",
    `${CONTAINER_DIR}/in/supervisor`,
    "run",
    `--cluster=${spec.name}`,
    `--node=${node.name}`,
    `--role=${node.name === head.name ? "head" : "member"}`,
    `--head=${head.address}:${spec.supervisor.port}`,
    `--runtime=${runtime}`,
  ];
}

function containerMounts(spec: ClusterSpec, baseDir: string): readonly MountPlan[] {
  const readOnly = (source: string, target: string): MountPlan => ({
    source,
    target,
    readOnly: true,
  });
  return [
    readOnly(`${baseDir}/in`, `${CONTAINER_DIR}/in`),
    { source: `${baseDir}/out`, target: `${CONTAINER_DIR}/out`, readOnly: false },
    ...hardwareSeries(spec.series).driverMounts.map(({ key, path }) =>
      readOnly(spec.hostPaths[key] ?? path, path),
    ),
    readOnly(spec.model.path, spec.model.path),
    ...spec.container.mounts,
  ];
}
