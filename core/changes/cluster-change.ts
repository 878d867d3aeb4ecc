import { clusterNames } from "../plan/names.js";
import { planCluster } from "../plan/plan-cluster.js";
import { parseClusterSpec } from "../spec/parse.js";
import { ClusterSpecError } from "../spec/spec-issue.js";
import { type ByNode, type FieldChange, fieldChanges, nodeFieldChanges } from "./field-changes.js";
import { gpustackChanges } from "./gpustack-change.js";
import { parseManifest, stopsGroup } from "./manifest.js";
import { measuredTimes, type OutageClass } from "./measured.js";
import { type Inputs, isUnknown, type Preview, type PreviewStep } from "./preview.js";

/** What a preview means for one cluster. */
export interface ClusterChange {
  readonly cluster: string;
  readonly effect: Effect;
  readonly head: string;
  /** Nodes that the cluster has afterwards; before, when it is removed. */
  readonly nodes: readonly string[];
  readonly nodesAdded: readonly string[];
  readonly nodesRemoved: readonly string[];
  /** In the order in which it happens. */
  readonly processes: readonly ProcessChange[];
  /** Nodes that get other secrets; what they are is never in a preview. */
  readonly secretsReplaced: readonly string[];
  /** Fields whose values differ, by what they belong to; those of nodes that come or go are left out. */
  readonly fields: readonly FieldGroup[];
  readonly outage: Outage;
  /** What `vllm-ascend:allowDowntimeFor` must say; absent when nothing that serves is stopped. */
  readonly consent?: string;
}

/**
 * - `first-start`: nothing of this cluster exists yet;
 * - `removal`: the whole cluster goes;
 * - `containers`: containers are replaced, and with them everything that runs;
 * - `ray`: Ray and vLLM restart in their containers;
 * - `serve`: vLLM restarts, Ray stays;
 * - `deployments`: the deployments of GPUStack restart, all of a group together;
 * - `staged`: files or settings on the hosts change, nothing that runs is touched;
 * - `nothing`.
 */
export type Effect =
  | "first-start"
  | "removal"
  | "containers"
  | "ray"
  | "serve"
  | "deployments"
  | "staged"
  | "nothing";

export interface ProcessChange {
  readonly process: "container" | "ray" | "vllm serve" | "deployment";
  readonly action: "starts" | "restarts" | "is replaced" | "stops";
  readonly nodes: readonly string[];
}

export interface FieldGroup {
  readonly title: "Hosts" | "Containers" | "Ray" | "vLLM" | "GPUStack";
  readonly changes: readonly FieldChange[];
}

export interface Outage {
  /** Seconds, as measured by the last `up` that did such a thing; absent when nothing was measured. */
  readonly expectedSec?: number;
  /** `outage`: the last change of this class was out for so long; `start`: only the starts of what restarts were measured. */
  readonly basis?: "outage" | "start";
  /** When that was measured, ISO 8601. */
  readonly measuredAt?: string;
  /** How long the old vLLM may take to stop, on top of measured starts. */
  readonly stopTimeoutSec?: number;
  /** The replacement of containers is not part of `expectedSec`. */
  readonly withContainers: boolean;
}

/**
 * Every cluster that a preview changes, in the preview's order. `pulumi preview --json` leaves out what stays, so names
 * and nodes are taken from what is always there when something restarts: the plan of the preflight, the commits.
 */
export function clusterChanges(preview: Preview): ClusterChange[] {
  const steps = preview.steps.filter(({ urn, op }) => urn.includes(CLUSTER_TYPE) && op !== "same");
  const planned = plannedManifests(preview.config);
  return [
    ...clusterNamesOf(steps).map((name) =>
      clusterChange(
        name,
        steps.filter((step) => step.name === name || step.name.startsWith(`${name}-`)),
        planned.get(name),
      ),
    ),
    ...gpustackChanges(preview),
  ];
}

interface PlannedManifests {
  readonly ray: Inputs | undefined;
  readonly serve: Inputs;
}

/**
 * What the configuration asks for. A manifest names the containers, so the engine does not know it while containers are
 * replaced; what else changes in it is known from here. Empty for programs that take their clusters from elsewhere.
 */
function plannedManifests(config: Preview["config"]): Map<string, PlannedManifests> {
  const specs = Object.entries(config).filter(([key]) => key.endsWith(":cluster"));
  return new Map(
    specs.flatMap(([, text]) => {
      try {
        const spec = parseClusterSpec(JSON.parse(text));
        // Owner and API key are in no field that is compared here.
        const { ray, serve } = planCluster(spec, { owner: "", hasApiKey: false });
        return [[spec.name, { ray: ray?.manifest, serve: serve.manifest }] as const];
      } catch (error) {
        if (error instanceof ClusterSpecError || error instanceof SyntaxError) return [];
        throw error;
      }
    }),
  );
}

function clusterNamesOf(steps: readonly PreviewStep[]): string[] {
  const named = steps.flatMap(({ type, name, parent }) => {
    if (type === CLUSTER_TYPE) return [name];
    const [, , types = "", parentName = ""] = (parent ?? "").split("::");
    const parentType = types.split("$").at(-1);
    if (parentType === CLUSTER_TYPE) return [parentName];
    if (parentType === SERVE_TYPE) return [parentName.replace(/-serve$/, "")];
    if (parentType === RAY_TYPE) return [parentName.replace(/-ray$/, "")];
    return [];
  });
  const names = [...new Set(named)];
  const others = steps.filter(
    ({ name }) => !names.some((cluster) => name === cluster || name.startsWith(`${cluster}-`)),
  );
  // Only files of nodes change: `<cluster>-<node>-files`, of which the node is usually one word.
  return [
    ...new Set([...names, ...others.map(({ name }) => name.split("-").slice(0, -2).join("-"))]),
  ];
}

function clusterChange(
  cluster: string,
  steps: readonly PreviewStep[],
  planned: PlannedManifests | undefined,
): ClusterChange {
  const names = clusterNames(cluster);
  const byName = (name: string) => steps.find((step) => step.name === name);
  const preflight = byName(names.preflight);
  const gate = { before: json(preflight?.oldInputs), after: json(preflight?.newInputs) };
  const commits = { ray: byName(names.rayCommit), serve: byName(names.serveCommit) };
  const ray = manifestChange(commits.ray, planned?.ray);
  const serve = manifestChange(commits.serve, planned?.serve);
  const known = Object.keys((serve.before?.["containers"] as object | undefined) ?? {});
  const before = gateNodeNames(gate.before) ?? known;
  const staying = gateNodeNames(gate.after) ?? known;
  const containers = steps
    .filter(({ type }) => type === CONTAINER_TYPE)
    .map((step) => ({ node: step.name.slice(cluster.length + 1, -"-container".length), step }));

  const hasRay =
    commits.ray === undefined
      ? typeof (serve.after ?? serve.before)?.["ray"] === "string"
      : commits.ray.op !== "delete" || byName(cluster)?.op === "delete";
  const effect = effectOf({ root: byName(cluster), ray, serve, containers, steps });
  const nodes = effect === "removal" ? before : staying;
  const head = nodes[0] ?? "";
  const consent = gate.after?.["plan"] ?? gate.before?.["plan"];
  return {
    cluster,
    effect,
    head,
    nodes,
    nodesAdded: effect === "first-start" ? [] : staying.filter((name) => !before.includes(name)),
    nodesRemoved: effect === "removal" ? [] : before.filter((name) => !staying.includes(name)),
    processes: processChanges({ effect, head, hasRay, containers, before, staying }),
    secretsReplaced: steps
      .filter(({ name, op }) => name.endsWith("-secrets") && op === "replace")
      .map(({ name }) => name.slice(cluster.length + 1, -"-secrets".length))
      .sort(),
    fields: [
      { title: "Hosts" as const, changes: hostChanges(gate.before, gate.after) },
      { title: "Containers" as const, changes: containerChanges(gate, containers) },
      { title: "Ray" as const, changes: ray.fields },
      { title: "vLLM" as const, changes: serve.fields },
    ].filter(({ changes }) => effect !== "first-start" && changes.length > 0),
    outage: outageOf(effect, commits, serve),
    ...(STOPS.has(effect) && typeof consent === "string" ? { consent } : {}),
  };
}

const CONTAINER_TYPE = "docker:index/container:Container";
const SERVE_TYPE = "vllm-ascend:index:VllmServe";
const RAY_TYPE = "vllm-ascend:index:RayCluster";
const CLUSTER_TYPE = "vllm-ascend:index:InferenceCluster";
/** Effects that stop a group which may be serving. */
const STOPS: ReadonlySet<Effect> = new Set(["removal", "containers", "ray", "serve"]);

interface ManifestChange {
  readonly before: Inputs | undefined;
  readonly after: Inputs | undefined;
  readonly isRestarted: boolean;
  readonly fields: readonly FieldChange[];
}

/** What a commit does: a manifest with the same release, containers and secrets is only a record. */
function manifestChange(
  step: PreviewStep | undefined,
  planned: Inputs | undefined,
): ManifestChange {
  const before = json(step?.oldInputs);
  const isNotKnown = isUnknown(step?.newInputs["stdin"]);
  const after = isNotKnown ? planned : json(step?.newInputs);
  const isUpdate = step?.op === "update" || step?.op === "replace";
  return {
    before,
    after,
    isRestarted: isUpdate && stopsGroup(step.oldInputs["stdin"], step.newInputs["stdin"]),
    fields: before === undefined || after === undefined ? [] : manifestFields(before, after),
  };
}

/** Hashes and ids say nothing to a reader; addresses and keys stand under hosts. */
function manifestFields(before: Inputs, after: Inputs): FieldChange[] {
  const without = (value: unknown, keys: readonly string[]) =>
    Object.fromEntries(Object.entries(value ?? {}).filter(([key]) => !keys.includes(key)));
  const nodes = (manifest: Inputs): ByNode =>
    Object.fromEntries(
      Object.entries(manifest["nodes"] ?? {}).map(([name, node]) => [
        name,
        without(node, ["address", "hostKey", "runtime"]),
      ]),
    );
  const keys = ["kind", "release", "containers", "secrets", "nodes", "deadlineSec", "rayAddress"];
  // In the manifest of serve, `ray` is a hash; in that of Ray, it is Ray's settings.
  if (before["kind"] === "serve") keys.push("ray");
  return [
    ...fieldChanges(without(before, keys), without(after, keys)),
    ...nodeFieldChanges(nodes(before), nodes(after)),
  ];
}

function effectOf(seen: {
  readonly root: PreviewStep | undefined;
  readonly ray: ManifestChange;
  readonly serve: ManifestChange;
  readonly containers: readonly NodeStep[];
  readonly steps: readonly PreviewStep[];
}): Effect {
  if (seen.root?.op === "create") return "first-start";
  if (seen.root?.op === "delete") return "removal";
  if (seen.containers.some(({ step }) => step.op !== "update")) return "containers";
  if (seen.ray.isRestarted) return "ray";
  if (seen.serve.isRestarted) return "serve";
  return seen.steps.length > 0 ? "staged" : "nothing";
}

interface NodeStep {
  readonly node: string;
  readonly step: PreviewStep;
}

function processChanges(seen: {
  readonly effect: Effect;
  readonly head: string;
  readonly hasRay: boolean;
  readonly containers: readonly NodeStep[];
  readonly before: readonly string[];
  readonly staying: readonly string[];
}): ProcessChange[] {
  const { effect, head, hasRay } = seen;
  const servedBy = (nodes: readonly string[]) => (hasRay ? [head] : nodes);
  const row = (
    process: ProcessChange["process"],
    action: ProcessChange["action"],
    nodes: readonly string[],
  ): ProcessChange[] => (nodes.length === 0 ? [] : [{ process, action, nodes }]);
  const containersOf = (...ops: readonly string[]) =>
    seen.containers.filter(({ step }) => ops.includes(step.op)).map(({ node }) => node);
  switch (effect) {
    case "first-start":
      return [
        ...row("container", "starts", seen.staying),
        ...row("ray", "starts", hasRay ? seen.staying : []),
        ...row("vllm serve", "starts", servedBy(seen.staying)),
      ];
    case "removal":
      return [
        ...row("vllm serve", "stops", servedBy(seen.before)),
        ...row("ray", "stops", hasRay ? seen.before : []),
        ...row("container", "stops", seen.before),
      ];
    case "containers":
      return [
        ...row("container", "stops", containersOf("delete")),
        ...row("container", "is replaced", containersOf("replace", "create-replacement")),
        ...row("container", "starts", containersOf("create")),
        ...row("ray", "restarts", hasRay ? seen.staying : []),
        ...row("vllm serve", "restarts", servedBy(seen.staying)),
      ];
    case "ray":
      return [
        ...row("ray", "restarts", seen.staying),
        ...row("vllm serve", "restarts", servedBy(seen.staying)),
      ];
    case "serve":
      return row("vllm serve", "restarts", servedBy(seen.staying));
    case "deployments":
    case "staged":
    case "nothing":
      return [];
  }
}

/** How the operator's machine reaches the nodes, and what it trusts. */
function hostChanges(before: Inputs | undefined, after: Inputs | undefined): FieldChange[] {
  return nodeFieldChanges(gateField(before, ["connection"]), gateField(after, ["connection"]));
}

function containerChanges(
  gate: { readonly before: Inputs | undefined; readonly after: Inputs | undefined },
  containers: readonly NodeStep[],
): FieldChange[] {
  const planned = ["image", "devices", "mounts"];
  const others = (side: "oldInputs" | "newInputs"): ByNode =>
    Object.fromEntries(
      containers
        .filter(({ step }) => step.op !== "create" && step.op !== "delete")
        .map(({ node, step }) => [
          node,
          Object.fromEntries(
            step.diffReasons
              .filter((reason) => !EXPLAINED_INPUTS.has(reason))
              .map((reason) => [reason, step[side][reason]]),
          ),
        ]),
    );
  return [
    ...nodeFieldChanges(gateField(gate.before, planned), gateField(gate.after, planned)),
    ...nodeFieldChanges(others("oldInputs"), others("newInputs")),
  ];
}

/** Inputs of a container that are compared as planned; `command` differs by the hash of the others. */
const EXPLAINED_INPUTS: ReadonlySet<string> = new Set(["command", "image", "devices", "mounts"]);

function gateField(gate: Inputs | undefined, fields: readonly string[]): ByNode {
  return Object.fromEntries(
    gateNodes(gate).map((node) => [
      String(node["name"]),
      Object.fromEntries(fields.map((field) => [field, node[field]])),
    ]),
  );
}

function gateNodes(gate: Inputs | undefined): readonly Inputs[] {
  const nodes = gate?.["nodes"];
  return Array.isArray(nodes) ? (nodes as readonly Inputs[]) : [];
}

function gateNodeNames(gate: Inputs | undefined): readonly string[] | undefined {
  return gate === undefined ? undefined : gateNodes(gate).map((node) => String(node["name"]));
}

function outageOf(
  effect: Effect,
  commits: { readonly ray: PreviewStep | undefined; readonly serve: PreviewStep | undefined },
  serve: ManifestChange,
): Outage {
  const withContainers = effect === "containers";
  const stopTimeoutSec = numberOf(serve.before?.["stopTimeoutSec"]);
  const stop = stopTimeoutSec === undefined ? {} : { stopTimeoutSec };
  if (!STOPS.has(effect) || effect === "removal") return { withContainers };
  const { rayStartSec, serveStartSec, outages } = measuredTimes(
    commits.ray?.oldOutputs["stdout"],
    commits.serve?.oldOutputs["stdout"],
  );
  const outage = outages[effect as OutageClass];
  if (outage !== undefined) {
    return { withContainers, expectedSec: outage.sec, measuredAt: outage.at, basis: "outage" };
  }
  const withRay = effect !== "serve" && typeof serve.before?.["ray"] === "string";
  if (serveStartSec === undefined || (withRay && rayStartSec === undefined)) {
    return { withContainers, ...stop };
  }
  const measuredAt = commits.serve?.oldModified;
  return {
    withContainers,
    ...stop,
    expectedSec: serveStartSec + (withRay ? (rayStartSec ?? 0) : 0),
    basis: "start",
    ...(measuredAt === undefined ? {} : { measuredAt }),
  };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function json(inputs: Inputs | undefined): Inputs | undefined {
  return parseManifest(inputs?.["stdin"]);
}
