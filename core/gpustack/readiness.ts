import type { InstanceRow, WorkerRow } from "./api.js";

/** A member of a group as the server sees it at one moment. */
export interface MemberState {
  readonly name: string;
  /** Of this member; more than one only while the server replaces one. */
  readonly instances: readonly InstanceRow[];
}

export interface GroupVerdict {
  readonly state: "ready" | "starting" | "failed";
  /** One line: each member with its state, and the server's own words. */
  readonly summary: string;
}

/** How a start is judged. */
export interface Rules {
  readonly restartOnError: boolean;
  readonly maxRestarts: number;
  /** Ids of the instances that the start has begun with; a new one counts as a restart. */
  readonly seen: ReadonlyMap<string, ReadonlySet<number>>;
}

/**
 * Whether a group serves. The state of a deployment says nothing: a headless member stays `starting` for ever, because
 * GPUStack asks it for `/v1/models`, and stays so when its worker dies. So: head `running`, every other member `starting`
 * or `running`, and every member's worker `ready`.
 */
export function judgeGroup(
  members: readonly MemberState[],
  workers: readonly WorkerRow[],
  rules: Rules,
): GroupVerdict {
  const summary = members.map((member) => describe(member, workers)).join("; ");
  if (members.some((member) => hasFailed(member, rules))) return { state: "failed", summary };
  const isReady = members.every(({ instances }, index) => {
    const [instance] = instances;
    if (instance === undefined || instances.length > 1) return false;
    const wanted = index === 0 ? ["running"] : ["running", "starting"];
    return wanted.includes(instance.state) && workerState(instance, workers) === "ready";
  });
  return { state: isReady ? "ready" : "starting", summary };
}

/**
 * What is wrong with a group that was ready; undefined when nothing is. A state on the way up is no fault: the server may
 * be restarting a member by itself.
 */
export function faultOfGroup(
  members: readonly MemberState[],
  workers: readonly WorkerRow[],
): string | undefined {
  const faults = members.filter(({ instances }) => {
    const [instance] = instances;
    if (instance === undefined) return true;
    const worker = workerState(instance, workers);
    return FAULTY_STATES.includes(instance.state) || (worker !== undefined && worker !== "ready");
  });
  if (faults.length === 0) return undefined;
  return faults.map((member) => describe(member, workers)).join("; ");
}

function hasFailed({ name, instances }: MemberState, rules: Rules): boolean {
  const before = rules.seen.get(name)?.size ?? 0;
  const restarts = instances.reduce(
    (sum, { restart_count }) => sum + (restart_count ?? 0),
    Math.max(0, before - 1),
  );
  return (
    restarts >= rules.maxRestarts ||
    (!rules.restartOnError && instances.some(({ state }) => state === "error"))
  );
}

function describe({ name, instances }: MemberState, workers: readonly WorkerRow[]): string {
  if (instances.length === 0) return `${name}=no instance`;
  return instances
    .map((instance) => {
      const restarts = instance.restart_count ?? 0;
      const worker = workerState(instance, workers);
      const notes = [
        ...(restarts > 0 ? [`${restarts} restarts`] : []),
        ...(worker === undefined || worker === "ready"
          ? []
          : [`worker ${instance.worker_name} is ${worker}`]),
      ];
      const message = (instance.state_message ?? "").replace(/\s+/g, " ").trim();
      return `${name}=${instance.state}${notes.length === 0 ? "" : ` (${notes.join(", ")})`}${message === "" ? "" : `: ${message}`}`;
    })
    .join(", ");
}

/** `undefined` as long as nothing is scheduled. */
function workerState(instance: InstanceRow, workers: readonly WorkerRow[]): string | undefined {
  if ((instance.worker_name ?? "") === "") return undefined;
  return workers.find(({ name }) => name === instance.worker_name)?.state ?? "gone";
}

const FAULTY_STATES = ["error", "unreachable"];
