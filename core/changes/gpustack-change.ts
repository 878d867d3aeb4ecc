import type { ClusterChange, Effect } from "./cluster-change.js";
import { fieldChanges } from "./field-changes.js";
import type { Inputs, Preview, PreviewStep } from "./preview.js";

/** Every group of GPUStack deployments that a preview changes, with the version of the backend that is changed along with it. */
export function gpustackChanges({ steps }: Preview): ClusterChange[] {
  const own = steps.filter(
    ({ type, op }) => op !== "same" && (type === GROUP_TYPE || type === VERSION_TYPE),
  );
  const clusters = [...new Set(own.map(clusterOf))];
  return clusters.map((cluster) =>
    clusterChange(
      cluster,
      own.filter((step) => clusterOf(step) === cluster),
    ),
  );
}

/** The component of a stack file; in other programs every resource stands for itself. */
function clusterOf({ name, parent }: PreviewStep): string {
  const [, , types = "", parentName = ""] = (parent ?? "").split("::");
  return types.split("$").at(-1) === CLUSTER_TYPE ? parentName : name;
}

function clusterChange(cluster: string, steps: readonly PreviewStep[]): ClusterChange {
  const groups = steps.filter(({ type }) => type === GROUP_TYPE);
  const before = groups.map(({ oldInputs }) => oldInputs).find(hasMembers);
  const after = groups.map(({ newInputs }) => newInputs).find(hasMembers);
  const effect = effectOf(groups);
  const members = namesOf(effect === "removal" ? before : (after ?? before));
  const [old, now] = [workersOf(before), workersOf(after)];
  const version = steps.find(({ type }) => type === VERSION_TYPE);
  const changes = [
    ...(before === undefined || after === undefined
      ? []
      : fieldChanges(without(before), without(after))),
    ...(version === undefined || version.op === "create" || version.op === "delete"
      ? []
      : fieldChanges(without(version.oldInputs), without(version.newInputs))),
  ];
  const action =
    effect === "first-start" ? "starts" : effect === "removal" ? "stops" : ("restarts" as const);
  return {
    cluster,
    effect,
    head: members[0] ?? "",
    nodes: effect === "removal" ? old : now.length > 0 ? now : old,
    nodesAdded: effect === "deployments" ? now.filter((name) => !old.includes(name)) : [],
    nodesRemoved: effect === "deployments" ? old.filter((name) => !now.includes(name)) : [],
    processes:
      members.length === 0 || effect === "staged"
        ? []
        : [{ process: "deployment", action, nodes: members }],
    secretsReplaced: [],
    fields:
      effect === "first-start" || changes.length === 0 ? [] : [{ title: "GPUStack", changes }],
    outage: { withContainers: false },
  };
}

function effectOf(groups: readonly PreviewStep[]): Effect {
  const ops = groups.map(({ op }) => op);
  if (ops.some((op) => op.includes("replace"))) return "deployments";
  if (ops.includes("create")) return "first-start";
  if (ops.includes("delete")) return "removal";
  return groups.some(isRestart) ? "deployments" : "staged";
}

/** An update without a difference repairs something; one of other fields than these restarts. */
function isRestart({ op, oldInputs, newInputs, oldOutputs }: PreviewStep): boolean {
  if (op !== "update") return false;
  const changed = fieldChanges(oldInputs, newInputs).map(({ path }) => path.split(/[.[]/)[0]!);
  return (
    changed.length === 0 ||
    changed.some((key) => !UNRESTARTED.has(key)) ||
    (oldOutputs["problem"] ?? "") !== ""
  );
}

function hasMembers(inputs: Inputs): boolean {
  return Array.isArray(inputs["members"]);
}

function membersOf(inputs: Inputs | undefined): readonly Inputs[] {
  const members = inputs?.["members"];
  return Array.isArray(members) ? (members as readonly Inputs[]) : [];
}

function namesOf(inputs: Inputs | undefined): readonly string[] {
  return membersOf(inputs).map(({ name }) => String(name));
}

function workersOf(inputs: Inputs | undefined): readonly string[] {
  const ids = membersOf(inputs).flatMap(({ gpuIds }) =>
    Array.isArray(gpuIds) ? (gpuIds as readonly unknown[]) : [],
  );
  return [...new Set(ids.map((id) => String(id).split(":")[0]!))];
}

/** Hashes say nothing to a reader, and defaults of the engine are no fields. */
function without(inputs: Inputs): Inputs {
  return Object.fromEntries(
    Object.entries(inputs).filter(([key]) => !HIDDEN.has(key) && !key.startsWith("__")),
  );
}

const GROUP_TYPE = "gpustack:index:DeploymentGroup";
const VERSION_TYPE = "gpustack:index:BackendVersion";
const CLUSTER_TYPE = "vllm-ascend:index:GpustackCluster";
const HIDDEN: ReadonlySet<string> = new Set([
  ...["backendVersionHash", "url", "apiKey", "inferenceKey"],
  ...["route", "modelIds", "instances", "problem", "cluster", "appliedHash"],
]);
/** As in the provider: `components/gpustack/deployment-group.ts` says which fields restart nothing. */
const UNRESTARTED: ReadonlySet<string> = new Set([
  ...["description", "categories", "readyTimeoutSec", "maxRestarts"],
  ...["url", "apiKey", "inferenceKey"],
]);
