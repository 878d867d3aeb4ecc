import type { InstanceRow, ModelRow, WorkerRow } from "./api.js";
import type { GpustackPlan } from "./cluster.js";
import { judgeGroup } from "./readiness.js";

/** What the server shows of a deployment of the plan. */
export interface DeploymentStatus {
  readonly deployment: string;
  readonly role: "head" | "member";
  /** Workers that the plan gives it. */
  readonly workers: readonly string[];
  /** States of the workers, in the same order; `gone` when the server knows none of the name. */
  readonly workerStates: readonly string[];
  /** Absent: there is no such deployment. */
  readonly replicas?: number;
  /** States of its instances, usually one. */
  readonly instances: readonly string[];
  readonly restartCount: number;
  /** The server's own words. */
  readonly message?: string;
}

export interface GpustackVerdict {
  readonly state: "serving" | "starting" | "down" | "stopped" | "absent";
  /** One line for people. */
  readonly text: string;
  readonly next?: string;
}

/** What a server says about the deployments of a plan, and whether they serve. */
export function gpustackStatus(
  plan: GpustackPlan,
  rows: {
    readonly models: readonly ModelRow[];
    readonly instances: readonly InstanceRow[];
    readonly workers: readonly WorkerRow[];
  },
): { readonly verdict: GpustackVerdict; readonly deployments: readonly DeploymentStatus[] } {
  const members = plan.group.members.map((member) => {
    const model = rows.models.find(({ name }) => name === member.name);
    const instances = rows.instances.filter(({ model_id }) => model_id === model?.id);
    return { name: member.name, gpuIds: member.gpuIds, model, instances };
  });
  const deployments = members.map(({ name, gpuIds, model, instances }, index): DeploymentStatus => {
    const workers = [...new Set(gpuIds.map((id) => id.split(":")[0]!))];
    const message = instances
      .map(({ state_message: text }) => (text ?? "").replaceAll(/\s+/g, " ").trim())
      .find((text) => text !== "");
    return {
      deployment: name,
      role: index === 0 ? "head" : "member",
      workers,
      workerStates: workers.map(
        (worker) => rows.workers.find((row) => row.name === worker)?.state ?? "gone",
      ),
      ...(model === undefined ? {} : { replicas: model.replicas }),
      instances: instances.map(({ state }) => state),
      restartCount: instances.reduce((sum, { restart_count }) => sum + (restart_count ?? 0), 0),
      ...(message === undefined ? {} : { message }),
    };
  });
  return { deployments, verdict: verdictOf(plan, deployments, members, rows.workers) };
}

function verdictOf(
  plan: GpustackPlan,
  deployments: readonly DeploymentStatus[],
  members: Parameters<typeof judgeGroup>[0],
  workers: readonly WorkerRow[],
): GpustackVerdict {
  const absent = deployments.filter(({ replicas }) => replicas === undefined);
  const named = (some: readonly DeploymentStatus[]) =>
    some.map(({ deployment }) => deployment).join(", ");
  if (absent.length > 0) {
    return {
      state: "absent",
      text: `does not serve: GPUStack has no deployment ${named(absent)}`,
      next: "pulumi refresh, then pulumi up",
    };
  }
  const stopped = deployments.filter(({ replicas }) => replicas === 0);
  if (stopped.length > 0) {
    return {
      state: "stopped",
      text: `does not serve: ${named(stopped)} ${stopped.length === 1 ? "has" : "have"} 0 replicas`,
      next:
        plan.group.replicas === 0
          ? "set replicas: 1 below vllm-ascend:gpustack, and `pulumi up`"
          : "pulumi refresh, then pulumi up",
    };
  }
  const { restartOnError = true, maxRestarts = 3 } = plan.group;
  const judged = judgeGroup(members, workers, { restartOnError, maxRestarts, seen: new Map() });
  switch (judged.state) {
    case "ready":
      return { state: "serving", text: `serves ${plan.model}` };
    case "starting":
      return { state: "starting", text: `does not serve yet: ${judged.summary}` };
    case "failed":
      return {
        state: "down",
        text: `does not serve: ${judged.summary}`,
        next: "the deployment's page in GPUStack shows the logs; correct the stack file, and `pulumi up`",
      };
  }
}
