import { statusFile } from "../facts/facts-request.js";
import { parseSupervisorStatus } from "../facts/group-status.js";
import { fileText, type HostFacts } from "../facts/host-facts.js";
import type { ClusterPlan, NodePlan, Release } from "../plan/cluster-plan.js";
import type { DriftAnswer, RunningProcess } from "./drift-answer.js";
import { type DriftFinding, REPAIR } from "./drift-finding.js";

/** Command line and environment of Ray and vLLM, as the kernel shows them. */
export function processDrift(
  plan: ClusterPlan,
  node: NodePlan,
  facts: HostFacts,
  drift: DriftAnswer,
): readonly DriftFinding[] {
  const container = facts.containers.get(plan.containerName);
  if (container?.state !== "present" || container.status !== "running") return [];
  const base = { node: node.name, kind: "process" } as const;
  const status = parseSupervisorStatus(fileText(facts.files.get(statusFile(plan))));
  if (drift.processes === undefined) {
    return [
      {
        ...base,
        level: "unknown",
        planned: "the supervisor tells what runs",
        found: drift.processesProblem ?? "no answer that is understood",
        nextUp: "nothing",
        next: `on ${node.name}: docker logs --tail 30 ${plan.containerName}`,
      },
    ];
  }
  const { processes } = drift;
  const planned = [node.releases.ray, node.releases.serve].filter(
    (release): release is Release => release !== null && release.command !== null,
  );
  return planned.flatMap((release): readonly DriftFinding[] => {
    const what = release.kind === "ray" ? "Ray" : "vllm serve";
    const running = processes[release.kind];
    if (running === undefined || running.hash !== release.hash) {
      const state = status === undefined ? "" : `; the group is ${status.state}`;
      return [
        {
          ...base,
          level: "drift",
          planned: `${what} runs release ${release.hash}`,
          found: `${running === undefined ? "it does not run" : `it runs release ${running.hash}`}${state}`,
          nextUp:
            "nothing: the supervisors bring the group back, unless it was switched off or gave up",
          next: "vllm-cluster status",
        },
      ];
    }
    return [
      ...commandDrift(base, what, release, running),
      ...envDrift(base, what, release, running),
    ];
  });
}

type Base = Pick<DriftFinding, "node" | "kind">;

/** `vllm` is a Python script, so the kernel shows interpreter and path first. */
function commandDrift(
  base: Base,
  what: string,
  release: Release,
  { command }: RunningProcess,
): readonly DriftFinding[] {
  const planned = (release.command ?? []).slice(1);
  const found = planned.length === 0 ? [] : command.slice(-planned.length);
  if (JSON.stringify(planned) === JSON.stringify(found)) return [];
  const others = (words: readonly string[], than: readonly string[]) =>
    words.filter((word) => !than.includes(word)).join(" ");
  return [
    {
      ...base,
      level: "drift",
      planned: `${what} ${others(planned, command) || planned.join(" ")}`,
      found: others(command.slice(2), planned) || command.join(" "),
      ...RESTART,
    },
  ];
}

function envDrift(
  base: Base,
  what: string,
  release: Release,
  { env }: RunningProcess,
): readonly DriftFinding[] {
  if (env === null) return [];
  return Object.entries(release.env)
    .filter(([name, value]) => env[name] !== value)
    .map(([name, value]) => ({
      ...base,
      level: "drift",
      planned: `${what} has ${name}=${value}`,
      found: env[name] === undefined || env[name] === null ? "not set" : String(env[name]),
      ...RESTART,
    }));
}

/** Of a release with the planned hash, so only a file that was changed by hand explains it. */
const RESTART = {
  nextUp: "nothing: the release has the planned name",
  next: `${REPAIR}, then vllm-cluster stop and start`,
} as const;
