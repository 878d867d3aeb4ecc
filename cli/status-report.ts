import type { GroupVerdict, NodeStatus } from "../core/facts/group-status.js";
import type { DeploymentStatus, GpustackVerdict } from "../core/gpustack/status.js";
import { textTable, wrapText } from "./text-table.js";

/** The table of nodes, what is wrong with each, and the verdict as the last line. */
export function renderStatusReport(nodes: readonly NodeStatus[], verdict: GroupVerdict): string {
  const hasRay = nodes.some(({ planned }) => planned.ray);
  const table = textTable([
    ["node", "role", "container", ...(hasRay ? ["ray"] : []), "serve", "since"],
    ...nodes.map((node) => [
      node.node,
      node.role,
      containerText(node),
      ...(hasRay ? [node.supervisor?.ray.state ?? "-"] : []),
      serveText(node),
      since(node),
    ]),
  ]);
  // The head's reason is the verdict's, and members repeat it.
  const known = nodes.find(({ role }) => role === "head")?.supervisor?.reason;
  const reasons = nodes.flatMap(({ node, problem, supervisor }) =>
    [problem ?? supervisor?.reason ?? "", ...(supervisor?.warnings ?? [])]
      .filter((reason) => reason !== "" && reason !== known)
      .map((reason) => wrapText(`${node}: ${reason}`, WIDTH, "  ")),
  );
  return [
    table,
    ...(reasons.length === 0 ? [] : ["", ...reasons]),
    "",
    wrapText(verdict.text, WIDTH, "  "),
    ...(verdict.next === undefined ? [] : [wrapText(`next: ${verdict.next}`, WIDTH, "      ")]),
    "",
  ].join("\n");
}

/** The same for deployments of GPUStack. */
export function renderGpustackStatus(
  deployments: readonly DeploymentStatus[],
  verdict: GpustackVerdict,
): string {
  const table = textTable([
    ["deployment", "role", "worker", "replicas", "instance", "restarts"],
    ...deployments.map((row) => [
      row.deployment,
      row.role,
      row.workers.map((worker, index) => `${worker} ${row.workerStates[index] ?? ""}`).join(", "),
      row.replicas === undefined ? "absent" : String(row.replicas),
      row.instances.join(", ") || "-",
      String(row.restartCount),
    ]),
  ]);
  return [
    table,
    "",
    wrapText(verdict.text, WIDTH, "  "),
    ...(verdict.next === undefined ? [] : [wrapText(`next: ${verdict.next}`, WIDTH, "      ")]),
    "",
  ].join("\n");
}

/** A duration for people: the two largest units. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m${whole % 60}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h${minutes % 60}m`;
  return `${Math.floor(hours / 24)}d${hours % 24}h`;
}

function containerText({ container }: NodeStatus): string {
  if (container === undefined || container.state === "error") return "?";
  return container.state === "absent" ? "absent" : container.status;
}

function serveText({ planned, supervisor }: NodeStatus): string {
  const state = supervisor?.serve.state ?? "-";
  if (planned.serve !== "headless" || supervisor === undefined) return state;
  return `headless, ${state === "ready" ? "serving through rank 0" : state}`;
}

/** Since when the last of serve, Ray and the supervisor runs. */
function since({ supervisor, clockSec }: NodeStatus): string {
  if (supervisor === undefined) return "-";
  const { ray, serve, supervisorStartedSec } = supervisor;
  const isUp = (state: string) => state === "starting" || state === "ready";
  const started = isUp(serve.state)
    ? serve.startedSec
    : isUp(ray.state)
      ? ray.startedSec
      : supervisorStartedSec;
  return started === 0 ? "-" : durationText((clockSec ?? supervisor.timeSec) - started);
}

const WIDTH = 100;
