import type { GateNode, GatePlan } from "../plan/gate-plan.js";
import type { Check, Finding, FindingCode } from "./check.js";
import { devicesCheck, modelCheck, mountsCheck } from "./checks/host-paths.js";
import { imageCheck } from "./checks/image.js";
import { dockerCheck, rootCheck, toolsCheck } from "./checks/login.js";
import { memoryCheck, memoryFitLine } from "./checks/memory.js";
import { networkCheck, portsCheck } from "./checks/network.js";
import { ownershipCheck } from "./checks/ownership.js";
import type { HostFacts } from "./host-facts.js";
import type { SshFailure, SshFailureKind } from "./ssh-failure.js";

/** The columns of the gate's table after `ssh`, in the order in which a person would look. */
export const GATE_CHECKS: readonly Check[] = [
  rootCheck,
  toolsCheck,
  dockerCheck,
  devicesCheck,
  mountsCheck,
  modelCheck,
  memoryCheck,
  imageCheck,
  networkCheck,
  portsCheck,
  ownershipCheck,
];

/** What one host answered, or why it did not. */
export interface HostReport {
  readonly facts?: HostFacts;
  readonly failure?: SshFailure;
  /** Standard error of the script, for an answer that was cut short. */
  readonly stderr: string;
}

/** `skipped`: could not be judged because an earlier column failed. */
export type CellResult = "pass" | "warn" | "unknown" | "fail" | "skipped";

export interface GateRow {
  readonly node: string;
  /** By check name, in the order of the columns. */
  readonly cells: Readonly<Record<string, CellResult>>;
}

export interface GateFinding extends Finding {
  readonly node: string;
  readonly check: string;
}

export interface GateResult {
  readonly cluster: string;
  readonly isPassed: boolean;
  /** Whether the model fits, as judged on the first node where it could be; absent when on none. */
  readonly memoryFit?: string;
  /** In the order of the plan's nodes. */
  readonly rows: readonly GateRow[];
  /** Failures first; within a result in the order of nodes and columns. */
  readonly findings: readonly GateFinding[];
}

/** Judges all hosts. Reports are those of the plan's nodes, in the same order. */
export function judgeGate(plan: GatePlan, reports: readonly HostReport[]): GateResult {
  const judged = plan.nodes.map((node, index) => judgeNode(plan, node, reports[index]!));
  const findings = judged.flatMap(({ findings }) => findings);
  const of = (result: Finding["result"]) => findings.filter((finding) => finding.result === result);
  return {
    cluster: plan.cluster,
    isPassed: of("fail").length === 0,
    ...memoryFit(plan, reports),
    rows: judged.map(({ row }) => row),
    findings: [...of("fail"), ...of("unknown"), ...of("warn")],
  };
}

function memoryFit(plan: GatePlan, reports: readonly HostReport[]): Pick<GateResult, "memoryFit"> {
  for (const [index, node] of plan.nodes.entries()) {
    const { facts } = reports[index]!;
    const line = facts === undefined ? undefined : memoryFitLine(plan, node, facts);
    if (line !== undefined) return { memoryFit: line };
  }
  return {};
}

interface JudgedNode {
  readonly row: GateRow;
  readonly findings: readonly GateFinding[];
}

function judgeNode(plan: GatePlan, node: GateNode, report: HostReport): JudgedNode {
  const ssh = judgeConnection(report);
  const cells: Record<string, CellResult> = { [SSH_COLUMN]: worst(ssh) };
  const findings: GateFinding[] = ssh.map((finding) => ({
    ...finding,
    node: node.name,
    check: SSH_COLUMN,
  }));
  for (const check of GATE_CHECKS) {
    const { facts } = report;
    if (facts === undefined || ssh.length > 0 || !hasNeeds(check, facts)) {
      cells[check.name] = "skipped";
      continue;
    }
    const found = check.judge({ plan, node, facts });
    cells[check.name] = worst(found);
    findings.push(...found.map((finding) => ({ ...finding, node: node.name, check: check.name })));
  }
  return { row: { node: node.name, cells }, findings };
}

function judgeConnection({ facts, failure, stderr }: HostReport): readonly Finding[] {
  if (failure !== undefined) {
    return [
      {
        code: FAILURE_CODES[failure.kind],
        result: "fail",
        detail: failure.cause,
        fix: failure.next,
      },
    ];
  }
  if (facts?.isComplete === true) return [];
  const words = facts?.rootEnd ?? stderr.trim().split("\n").at(-1) ?? "";
  return [
    {
      code: "FACTS_INCOMPLETE",
      result: "fail",
      detail: `the look at the host ended early${words === "" ? "" : `: ${words}`}`,
      fix: "run it again; if it stays, a login script of the host prints or exits (see ~/.bashrc), or a command hangs",
    },
  ];
}

function hasNeeds(check: Check, facts: HostFacts): boolean {
  return check.needs.every((need) => facts[need]?.isOk === true);
}

function worst(findings: readonly Finding[]): CellResult {
  const results = findings.map(({ result }) => result);
  if (results.includes("fail")) return "fail";
  if (results.includes("unknown")) return "unknown";
  return results.includes("warn") ? "warn" : "pass";
}

export const SSH_COLUMN = "ssh";

const FAILURE_CODES: Readonly<Record<SshFailureKind, FindingCode>> = {
  unreachable: "NODE_UNREACHABLE",
  refused: "NODE_UNREACHABLE",
  throttled: "NODE_UNREACHABLE",
  lost: "NODE_UNREACHABLE",
  timeout: "FACTS_INCOMPLETE",
  "host-key": "HOST_KEY",
  "no-agent": "SSH_AGENT",
  auth: "SSH_KEY",
  sudo: "SUDO_MISSING",
  client: "SSH_CLIENT",
  shell: "TOOLS_MISSING",
};
