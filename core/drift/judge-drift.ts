import { createHash } from "node:crypto";
import { statusFile } from "../facts/facts-request.js";
import { fileText, type HostFacts } from "../facts/host-facts.js";
import type { ClusterPlan, NodePlan } from "../plan/cluster-plan.js";
import { renderBootUnit } from "../render/boot-unit.js";
import { driverVersionFile, type NodeScripts, stagedFiles } from "../render/stage-script.js";
import { containerDrift } from "./container-drift.js";
import type { DriftAnswer } from "./drift-answer.js";
import { type DriftFinding, REPAIR } from "./drift-finding.js";
import { machineFile, secretFiles, unitFile } from "./drift-request.js";
import { processDrift } from "./process-drift.js";

/** A node as it was asked; without answer when it could not be. */
export interface NodeAnswer {
  readonly node: NodePlan;
  readonly facts?: HostFacts;
  readonly drift?: DriftAnswer;
  /** Why there is no answer. */
  readonly problem?: { readonly cause: string; readonly next: string };
}

/** Compares what the hosts said with the plan; an untouched cluster of this very stack file has no finding but notes. */
export function judgeDrift(
  plan: ClusterPlan,
  answers: readonly NodeAnswer[],
  scripts: NodeScripts,
): readonly DriftFinding[] {
  const pending = pendingChange(plan, answers[0], scripts);
  if (pending !== undefined) {
    // Files, containers and processes are those of another plan: what differs is not drift.
    return [pending, ...answers.flatMap((answer) => hostDrift(plan, answer))];
  }
  return answers.flatMap((answer) => {
    const { node, facts, drift } = answer;
    if (facts === undefined || drift === undefined) return hostDrift(plan, answer);
    return [
      ...hostDrift(plan, answer),
      ...containerDrift(plan, node, facts, drift),
      ...fileDrift(plan, node, drift, scripts),
      ...unitDrift(plan, node, facts),
      ...secretDrift(plan, node, drift),
      ...processDrift(plan, node, facts, drift),
    ];
  });
}

/** Whether the group was told to run something else than the stack file says. */
function pendingChange(
  plan: ClusterPlan,
  head: NodeAnswer | undefined,
  scripts: NodeScripts,
): DriftFinding | undefined {
  const committed = desiredOf(fileText(head?.facts?.files.get(statusFile(plan))));
  if (head?.drift === undefined || committed === undefined) return undefined;
  if (committed === plan.serve.release) return undefined;
  const together = stagedFiles(head.node, scripts).find(({ path }) => path === "in/staged.json");
  const staged = head.drift.sums.get(`${plan.baseDir}/in/staged.json`);
  const isStaged = together !== undefined && staged === sha256(together.content);
  return {
    node: head.node.name,
    kind: "release",
    level: isStaged ? "drift" : "pending",
    planned: `serve release ${plan.serve.release}`,
    found: `the group was told to run ${committed === "" ? "nothing" : `serve release ${committed}`}`,
    nextUp: isStaged
      ? "commits the planned release if its last commit failed; one that somebody committed by hand stays"
      : "stages and commits the planned release",
    next: isStaged
      ? `vllm-cluster summary; when it shows no commit: pulumi up --replace '**::${plan.names.serveCommit}' (vLLM restarts)`
      : "vllm-cluster summary, then pulumi up; or check out the stack file that was deployed, and ask again",
  };
}

/** What of the host itself differs from when it was staged. */
function hostDrift(plan: ClusterPlan, answer: NodeAnswer): readonly DriftFinding[] {
  const { node, facts, drift, problem } = answer;
  if (facts === undefined || drift === undefined) {
    return [
      {
        node: node.name,
        kind: "host",
        level: "unknown",
        planned: "answers",
        found: problem?.cause ?? "no answer",
        nextUp: "is refused by the preflight when something has changed, else does nothing",
        next: problem?.next ?? "vllm-cluster gate",
      },
    ];
  }
  const then = machine(fileText(facts.files.get(machineFile(plan))));
  const driver = /^Version=(.*)$/m.exec(
    fileText(facts.files.get(driverVersionFile(node))) ?? "",
  )?.[1];
  const findings: DriftFinding[] = [];
  if (then.driver !== undefined && driver !== undefined && then.driver !== driver.trim()) {
    findings.push({
      node: node.name,
      kind: "driver",
      level: "drift",
      planned: `${then.driver}, when this node was staged`,
      found: driver.trim(),
      nextUp: "nothing: the preflight compares drivers when something has changed",
      next: `vllm-cluster gate; if the new driver is meant: ${REPAIR}`,
    });
  }
  if (then.boot !== undefined && facts.bootId !== undefined && then.boot !== facts.bootId) {
    findings.push({
      node: node.name,
      kind: "boot",
      level: "note",
      planned: "no reboot since this node was staged",
      found: "was rebooted; the boot unit has started the container",
      nextUp: "nothing",
      next: "",
    });
  }
  return findings;
}

function fileDrift(
  plan: ClusterPlan,
  node: NodePlan,
  drift: DriftAnswer,
  scripts: NodeScripts,
): readonly DriftFinding[] {
  if (!drift.areSumsKnown) {
    return [unknown(node, "file", "the planned files", "the host did not tell their hashes")];
  }
  return stagedFiles(node, scripts).flatMap(({ path, content }): readonly DriftFinding[] => {
    const file = `${plan.baseDir}/${path}`;
    const found = drift.sums.get(file);
    if (found === sha256(content)) return [];
    return [
      {
        node: node.name,
        kind: "file",
        level: "drift",
        planned: file,
        found: found === undefined ? "missing" : "has another content",
        nextUp: "nothing, unless the change stages files: then it is written again",
        next: REPAIR,
      },
    ];
  });
}

function unitDrift(plan: ClusterPlan, node: NodePlan, facts: HostFacts): readonly DriftFinding[] {
  const path = unitFile(plan);
  const file = facts.files.get(path);
  const state = facts.units.get(plan.unitName);
  const finding = (planned: string, found: string): DriftFinding => ({
    node: node.name,
    kind: "unit",
    level: "drift",
    planned,
    found,
    nextUp: "nothing: Pulumi does not look at units",
    next: REPAIR,
  });
  if (file === undefined || file.state === "error") {
    return [unknown(node, "unit", path, file?.reason ?? "not told")];
  }
  if (file.state === "missing") return [finding(path, "missing: nothing starts at boot")];
  return [
    ...(file.content === renderBootUnit(plan, node) ? [] : [finding(path, "has another content")]),
    ...(state === undefined || state.enabled === "enabled"
      ? []
      : [finding(`${plan.unitName} is enabled`, `${state.enabled || "not known to systemd"}`)]),
    ...(state === undefined || ["active", "activating"].includes(state.active)
      ? []
      : [finding(`${plan.unitName} is active`, `${state.active || "not known to systemd"}`)]),
  ];
}

function secretDrift(
  plan: ClusterPlan,
  node: NodePlan,
  drift: DriftAnswer,
): readonly DriftFinding[] {
  return secretFiles(plan, node).flatMap((path): readonly DriftFinding[] => {
    const found = drift.modes.get(path);
    if (found?.mode === "600" && found.owner === 0) return [];
    const base = {
      node: node.name,
      kind: "secret",
      level: "drift",
      planned: `${path}, 0600`,
    } as const;
    if (found === undefined) {
      return [
        {
          ...base,
          found: "missing",
          nextUp: "nothing: Pulumi does not look at files",
          next: `pulumi up --replace '**::${node.names.secrets}' (vLLM restarts)`,
        },
      ];
    }
    return [
      {
        ...base,
        found: `mode ${found.mode}, owner ${found.owner}: treat the secret as known to others`,
        nextUp: "nothing: Pulumi does not look at files",
        next: `on ${node.name}: chown 0:0 ${path}; chmod 600 ${path}; then rotate it (a new vllm-ascend:apiKey)`,
      },
    ];
  });
}

function unknown(
  node: NodePlan,
  kind: DriftFinding["kind"],
  planned: string,
  found: string,
): DriftFinding {
  const [nextUp, next] = ["nothing", "vllm-cluster gate"];
  return { node: node.name, kind, level: "unknown", planned, found, nextUp, next };
}

/** Hash of the serve release that the group was told to run, empty for none; `undefined` when it is not known. */
function desiredOf(status: string | undefined): string | undefined {
  try {
    const { desired } = JSON.parse(status ?? "") as { desired?: { serve?: string | null } };
    return desired === undefined ? undefined : (desired.serve ?? "");
  } catch {
    return undefined;
  }
}

function machine(text: string | undefined) {
  const field = (name: string) => new RegExp(`^${name} (.+)$`, "m").exec(text ?? "")?.[1]?.trim();
  return { boot: field("boot"), driver: field("driver") };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
