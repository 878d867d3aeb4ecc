import type { ClusterPlan } from "../plan/cluster-plan.js";
import { statusFile } from "./facts-request.js";
import { type ContainerFact, fileText, type HostFacts, type UnitFact } from "./host-facts.js";
import type { SshFailure } from "./ssh-failure.js";

/** The part of a supervisor's `status.json` that the CLI reads; docs/architecture.md describes the whole. */
export interface SupervisorStatus {
  readonly state: string;
  readonly reason: string;
  readonly timeSec: number;
  readonly supervisorStartedSec: number;
  readonly ray: ProcessStatus;
  readonly serve: ProcessStatus;
  readonly failures: { readonly count: number; readonly last: LastFailure | null };
  /** What does not stop the group but should be looked at. */
  readonly warnings: readonly string[];
}

export interface ProcessStatus {
  readonly state: string;
  /** Release that it runs, if any. */
  readonly hash: string | null;
  readonly startedSec: number;
}

export interface LastFailure {
  readonly node: string;
  readonly process: string;
  readonly reason: string;
}

/** What one node of a cluster does, as far as it could be asked. */
export interface NodeStatus {
  readonly node: string;
  readonly role: "head" | "worker";
  readonly planned: PlannedProcesses;
  readonly container?: ContainerFact;
  readonly unit?: UnitFact;
  /** Only while the container runs and its supervisor writes; an old file says nothing. */
  readonly supervisor?: SupervisorStatus;
  /** The host's clock when it answered. */
  readonly clockSec?: number;
  /** Why there is no `supervisor`. */
  readonly problem?: string;
  /** What to do about `problem`. */
  readonly next?: string;
}

/** What a node runs when all is well. */
export interface PlannedProcesses {
  readonly ray: boolean;
  /** `headless`: ranks without HTTP, whose requests come through rank 0 on the head. */
  readonly serve: "api" | "headless" | "none";
}

/** Whether the cluster serves; anything but `serving` is exit code 1. */
export interface GroupVerdict {
  readonly state: "serving" | "starting" | "waiting" | "down" | "stopped" | "idle" | "unknown";
  /** One line for people. */
  readonly text: string;
  /** The next step, where there is one. */
  readonly next?: string;
}

/** Reads what `node/facts.sh` answered to `statusRequest`. */
export function readNodeStatus(
  plan: ClusterPlan,
  node: ClusterPlan["nodes"][number],
  answer: { readonly facts?: HostFacts; readonly failure?: SshFailure },
): NodeStatus {
  const { facts, failure } = answer;
  const base = { node: node.name, role: node.role, planned: plannedProcesses(node) };
  if (failure !== undefined) return { ...base, problem: failure.cause, next: failure.next };
  if (facts?.isComplete !== true || facts.root?.isOk !== true) {
    return {
      ...base,
      problem: facts?.root?.isOk === false ? facts.root.text : "the host's answer was cut short",
      next: "run `vllm-cluster gate`: it names what is wrong with the host",
    };
  }
  const container = facts.containers.get(plan.containerName);
  const unit = facts.units.get(plan.unitName);
  const seen = {
    ...base,
    ...(container === undefined ? {} : { container }),
    ...(unit === undefined ? {} : { unit }),
    ...(facts.clockSec === undefined ? {} : { clockSec: facts.clockSec }),
  };
  const problem = containerProblem(plan, node.name, facts, container);
  if (problem !== undefined) return { ...seen, ...problem };
  const supervisor = parseSupervisorStatus(fileText(facts.files.get(statusFile(plan))));
  if (supervisor === undefined) {
    return {
      ...seen,
      problem: "the supervisor has written no status yet",
      next: `on ${node.name}: docker logs --tail 30 ${plan.containerName}`,
    };
  }
  const age = (facts.clockSec ?? supervisor.timeSec) - supervisor.timeSec;
  if (age > STALE_SEC) {
    return {
      ...seen,
      problem: `the supervisor wrote its last status ${Math.round(age)} s ago: it hangs, or its disk is full`,
      next: `on ${node.name}: df ${plan.baseDir}; docker logs --tail 30 ${plan.containerName}`,
    };
  }
  return { ...seen, supervisor };
}

function plannedProcesses({ role, releases }: ClusterPlan["nodes"][number]): PlannedProcesses {
  const runsServe = releases.serve.command !== null;
  return {
    ray: releases.ray !== null,
    serve: role === "head" ? "api" : runsServe ? "headless" : "none",
  };
}

/** Judges the group. The head's supervisor is the one that decides, so its word counts; the others explain. */
export function judgeGroup(plan: ClusterPlan, nodes: readonly NodeStatus[]): GroupVerdict {
  const head = nodes.find(({ role }) => role === "head");
  const troubles = nodes.filter(({ problem }) => problem !== undefined);
  const also =
    troubles.length === 0 ? "" : ` (no status of ${troubles.map(({ node }) => node).join(", ")})`;
  const next = troubles[0]?.next;
  const withNext = next === undefined ? {} : { next };
  if (head?.supervisor === undefined) {
    return {
      state: "unknown",
      text: `not known whether it serves: no status of the head, ${head?.node ?? "which is not planned"}`,
      ...withNext,
    };
  }
  const { state, reason, failures } = head.supervisor;
  switch (state) {
    case "ready":
      return {
        state: "serving",
        text: `serving ${plan.endpoint.model} at ${plan.endpoint.url}${also}`,
        ...withNext,
      };
    case "starting":
      return { state: "starting", text: said("starting", reason) };
    case "waiting":
      return {
        state: "waiting",
        text: `${said("waiting", reason)}${also}`,
        ...withNext,
      };
    case "backoff":
      return {
        state: "starting",
        text: `starting again after ${failures.count} ${failures.count === 1 ? "failure" : "failures"}: ${reason}`,
        ...logsNext(failures.last),
      };
    case "down":
      return {
        state: "down",
        text: said("down", reason),
        ...logsNext(failures.last, "; after the cause is gone: vllm-cluster start"),
      };
    case "stopped":
      return {
        state: "stopped",
        text: "stopped by the operator",
        next: "vllm-cluster start",
      };
    case "idle":
      return { state: "idle", text: said("idle", reason), next: "pulumi up" };
    default:
      return { state: "unknown", text: `unknown state ${state}: ${reason}` };
  }
}

function containerProblem(
  plan: ClusterPlan,
  node: string,
  facts: HostFacts,
  container: ContainerFact | undefined,
): { readonly problem: string; readonly next: string } | undefined {
  if (facts.docker?.isOk === false) {
    return {
      problem: `the docker daemon does not answer: ${facts.docker.text}`,
      next: `on ${node}: systemctl start docker; journalctl -u docker -n 50`,
    };
  }
  if (container === undefined || container.state === "error") {
    return {
      problem: `docker does not tell about ${plan.containerName}`,
      next: "vllm-cluster gate",
    };
  }
  if (container.state === "absent") {
    return { problem: `container ${plan.containerName} is not there`, next: "pulumi up" };
  }
  if (container.owner !== plan.owner) {
    return {
      problem: `container ${plan.containerName} belongs to ${container.owner || "nobody we know"}, not to ${plan.owner}`,
      next: "name the stack in full: --stack <organization>/<project>/<stack>",
    };
  }
  if (container.status === "running") return undefined;
  const error = container.error === "" ? "" : `, ${container.error}`;
  return {
    problem: `the container does not run: ${container.status} (exit code ${container.exitCode}${error})`,
    next: exitedNext(plan, node, facts.units.get(plan.unitName)),
  };
}

/** The boot unit starts the container again for ever, so its journal tells why it does not come up, unless it is off. */
function exitedNext({ unitName }: ClusterPlan, node: string, unit: UnitFact | undefined): string {
  if (unit?.active === "inactive") {
    return unit.enabled === "" ? "pulumi up" : `on ${node}: systemctl start ${unitName}`;
  }
  return `on ${node}: journalctl -u ${unitName} -n 30`;
}

/** `undefined` for anything that is not a status of schema 1: half a file cannot be read, a newer one is not understood. */
export function parseSupervisorStatus(content: string | undefined): SupervisorStatus | undefined {
  if (content === undefined) return undefined;
  let raw: RawStatus;
  try {
    raw = JSON.parse(content) as RawStatus;
  } catch {
    return undefined;
  }
  if (raw === null || typeof raw !== "object" || raw.schema !== 1) return undefined;
  const process = (part: RawStatus["ray"]): ProcessStatus => ({
    state: part?.state ?? "?",
    hash: part?.hash ?? null,
    startedSec: part?.started ?? 0,
  });
  return {
    state: raw.state ?? "?",
    reason: raw.reason ?? "",
    timeSec: raw.time ?? 0,
    supervisorStartedSec: raw.supervisorStarted ?? 0,
    ray: process(raw.ray),
    serve: process(raw.serve),
    failures: {
      count: raw.failures?.count ?? 0,
      last: raw.failures?.last
        ? {
            node: raw.failures.last.node ?? "?",
            process: raw.failures.last.process ?? "?",
            reason: raw.failures.last.reason ?? "",
          }
        : null,
    },
    warnings: raw.warnings ?? [],
  };
}

interface RawProcess {
  readonly state?: string;
  readonly hash?: string | null;
  readonly started?: number | null;
}

interface RawStatus {
  readonly schema?: number;
  readonly state?: string;
  readonly reason?: string;
  readonly time?: number;
  readonly supervisorStarted?: number;
  readonly ray?: RawProcess;
  readonly serve?: RawProcess;
  readonly warnings?: readonly string[];
  readonly failures?: {
    readonly count?: number;
    readonly last?: { node?: string; process?: string; reason?: string } | null;
  };
}

/** Many reasons begin with the state: "waiting for node1". */
function said(state: string, reason: string): string {
  return reason.startsWith(state) ? reason : `${state}: ${reason}`;
}

function logsNext(last: LastFailure | null, more = ""): { readonly next?: string } {
  if (last === null) return more === "" ? {} : { next: more.replace(/^; /, "") };
  return { next: `vllm-cluster logs --node ${last.node} --process ${last.process}${more}` };
}

/** The supervisor writes at least every 3 s. */
const STALE_SEC = 20;
