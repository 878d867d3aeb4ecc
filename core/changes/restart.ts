import type { ClusterPlan } from "../plan/cluster-plan.js";

/**
 * What going from one plan to another restarts. Each includes what comes after it: a replaced container takes Ray and
 * vLLM with it, a restart of Ray takes vLLM.
 */
export type Restart = "containers" | "ray" | "serve" | "nothing";

/** Decided as the hosts decide it: by the identities of containers and releases. */
export function restartBetween(before: ClusterPlan, after: ClusterPlan): Restart {
  const runtimes = (plan: ClusterPlan) =>
    JSON.stringify(plan.nodes.map(({ name, runtime }) => [name, runtime]));
  if (runtimes(before) !== runtimes(after)) return "containers";
  if (before.ray?.release !== after.ray?.release) return "ray";
  return before.serve.release === after.serve.release ? "nothing" : "serve";
}

/** One row of docs/restarts.md. */
export interface RestartRow {
  /** Field of `vllm-ascend:cluster`, or all fields below it; `*` stands for any element. */
  readonly field: string;
  readonly restart: Restart;
  /** In topologies without Ray, where it differs. */
  readonly withoutRay?: Restart;
  readonly remark?: string;
}

/**
 * What each field restarts when it changes. The plan decides it; the table says it, and a test compares the two for
 * every field of the schema.
 */
export const RESTART_TABLE: readonly RestartRow[] = [
  { field: "ssh", restart: "nothing" },
  {
    field: "nodes.*.address",
    restart: "ray",
    withoutRay: "serve",
    remark: "of the head: containers; a new machine is a new node name",
  },
  { field: "nodes.*.hostKey", restart: "nothing" },
  { field: "nodes.*.socketInterface", restart: "ray", withoutRay: "serve" },
  { field: "nodes.*.visibleDevices", restart: "containers" },
  { field: "nodes.*.npuMemoryGib", restart: "nothing", remark: "only checked" },
  { field: "nodes.*.env", restart: "ray", withoutRay: "serve" },
  { field: "socketInterface", restart: "ray", withoutRay: "serve" },
  {
    field: "image.reference",
    restart: "nothing",
    remark: "another tag of the same digest; another repository: containers",
  },
  { field: "image.digest", restart: "containers" },
  { field: "image.id", restart: "containers" },
  { field: "image.source", restart: "nothing", remark: "how it gets to the hosts" },
  { field: "image.archive", restart: "nothing" },
  { field: "image.vllmVersion", restart: "nothing", remark: "only checked" },
  {
    field: "image.rayVersion",
    restart: "ray",
    remark: "over 2.52.0, where Ray's token begins; else nothing",
  },
  { field: "model.path", restart: "containers", remark: "it is a mount" },
  { field: "model.source", restart: "nothing", remark: "how it gets to the hosts" },
  {
    field: "model.repository",
    restart: "nothing",
    remark: "refused in a directory that holds another one: it needs a new model.path",
  },
  {
    field: "model.revision",
    restart: "nothing",
    remark: "as model.repository",
  },
  { field: "model.endpoint", restart: "nothing" },
  { field: "ray", restart: "ray" },
  { field: "serve", restart: "serve" },
  {
    field: "env",
    restart: "ray",
    withoutRay: "serve",
    remark: "workers inherit it from Ray",
  },
  { field: "hostPaths", restart: "containers" },
  { field: "container", restart: "containers" },
  { field: "acceptMemoryFit", restart: "nothing" },
  { field: "preflight", restart: "nothing" },
  { field: "lint", restart: "nothing" },
  { field: "timeouts.smokeSec", restart: "nothing" },
  { field: "timeouts.modelSec", restart: "nothing" },
  { field: "timeouts.rayStartSec", restart: "nothing" },
  {
    field: "timeouts.serveStartSec",
    restart: "nothing",
    remark: "topology data-parallel: serve, because vLLM gets it as VLLM_ENGINE_READY_TIMEOUT_S",
  },
  { field: "timeouts.stopSec", restart: "nothing", remark: "above 210: containers" },
  { field: "timeouts.completionSec", restart: "nothing" },
  { field: "supervisor.port", restart: "containers" },
  { field: "supervisor.maxFailures", restart: "nothing" },
  { field: "supervisor.backoffSec", restart: "nothing" },
  { field: "supervisor.backoffMaxSec", restart: "nothing" },
];

/** Fields that make another cluster, or that have one value only. */
export const IDENTITY_FIELDS: readonly string[] = ["name", "topology", "series", "nodes.*.name"];

/** The row of a field: its own, or that of what it is part of. */
export function restartRow(field: string): RestartRow | undefined {
  return RESTART_TABLE.find((row) => field === row.field || field.startsWith(`${row.field}.`));
}

/** The table of docs/restarts.md. */
export function renderRestartTable(): string {
  const shown = {
    containers: "containers, Ray, vLLM",
    ray: "Ray, vLLM",
    serve: "vLLM",
    nothing: "nothing",
  };
  return [
    "| field | restarts | without Ray | |",
    "|---|---|---|---|",
    ...RESTART_TABLE.map(({ field, restart, withoutRay, remark }) => {
      const other = withoutRay ?? restart;
      return `| \`${field}\` | ${shown[restart]} | ${shown[other].replace("Ray, ", "")} | ${remark ?? ""} |`;
    }),
    "",
  ].join("\n");
}
