import type { AcceptedFinding } from "../plan/cluster-plan.js";
import type { GateNode, GatePlan } from "../plan/gate-plan.js";
import type { Check, CheckContext, Finding, KnownHost } from "./check.js";
import { consentCheck } from "./checks/consent.js";
import { hostCheck } from "./checks/host.js";
import { devicesCheck, modelCheck, mountsCheck } from "./checks/host-paths.js";
import { imageCheck } from "./checks/image.js";
import { dockerCheck, rootCheck, toolsCheck } from "./checks/login.js";
import { memoryCheck, memoryFitLine } from "./checks/memory.js";
import { networkCheck, portsCheck } from "./checks/network.js";
import { npuNetworkCheck, tlsCheck } from "./checks/npu-network.js";
import { driverCheck, freeCheck, npusCheck } from "./checks/npus.js";
import { ownershipCheck } from "./checks/ownership.js";
import { npuPingCheck, tcpCheck } from "./checks/peers.js";
import { storageCheck } from "./checks/storage.js";
import type { FindingCode } from "./finding-codes.js";
import type { HostFacts, PeerFacts } from "./host-facts.js";
import type { SshFailure, SshFailureKind } from "./ssh-failure.js";

/** The columns of the gate's table after `ssh`, in the order in which a person would look. */
export const GATE_CHECKS: readonly Check[] = [
  rootCheck,
  toolsCheck,
  dockerCheck,
  hostCheck,
  devicesCheck,
  mountsCheck,
  modelCheck,
  memoryCheck,
  storageCheck,
  imageCheck,
  networkCheck,
  portsCheck,
  ownershipCheck,
  consentCheck,
  npusCheck,
  freeCheck,
  driverCheck,
  npuNetworkCheck,
  tlsCheck,
  npuPingCheck,
  tcpCheck,
];

/** What does not depend on whose containers run: GPUStack's hold the NPUs of a group that is about to be restarted. */
export const GPUSTACK_CHECKS: readonly Check[] = [
  ...[rootCheck, toolsCheck, networkCheck, npusCheck, driverCheck],
  ...[npuNetworkCheck, tlsCheck, npuPingCheck, tcpCheck],
];

/** What a host must have before anything else can be asked. */
export const LOGIN_CHECKS: readonly Check[] = [rootCheck, toolsCheck, dockerCheck];

/** What one host answered, or why it did not. */
export interface HostReport {
  readonly facts?: HostFacts;
  readonly failure?: SshFailure;
  /** Standard error of the script, for an answer that was cut short. */
  readonly stderr: string;
  /** By the operator's clock, in seconds since 1970. */
  readonly askedSec: number;
  readonly answeredSec: number;
  /** The second phase, or why it did not happen; absent where it was not tried. */
  readonly peers?: PeerFacts | SshFailure;
}

/** `skipped`: could not be judged because an earlier column failed. */
export type CellResult = "pass" | "warn" | "unknown" | "fail" | "skipped";

export interface GateRow {
  readonly node: string;
  /** By check name, in the order of the columns. */
  readonly cells: Readonly<Record<string, CellResult>>;
}

export interface GateFinding extends Omit<Finding, "npu"> {
  readonly node: string;
  readonly check: string;
  /** Physical ids of the NPUs that it is about, where it is about NPUs. */
  readonly npus?: readonly number[];
  /** Why a failure is only a warning. */
  readonly accepted?: { readonly reason: string; readonly until: string };
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

/** The hosts that have answered, for questions about each other. */
export function knownHosts(
  plan: GatePlan,
  reports: readonly HostReport[],
): readonly (KnownHost & { readonly index: number })[] {
  return plan.nodes.flatMap((node, index) => {
    const { facts, failure, peers, askedSec, answeredSec } = reports[index]!;
    if (facts === undefined || failure !== undefined || !facts.isComplete) return [];
    if (facts.root?.isOk !== true) return [];
    const seen = peers !== undefined && "npuPings" in peers ? { peers } : {};
    return [{ index, node, facts, askedSec, answeredSec, ...seen }];
  });
}

export interface GateOptions {
  /** Whether every NPU was to ping every NPU of the other nodes. */
  readonly isFull: boolean;
  /** @default all that belong to the plan's form */
  readonly checks?: readonly Check[];
}

/** Judges all hosts. Reports are those of the plan's nodes, in the same order. */
export function judgeGate(
  plan: GatePlan,
  reports: readonly HostReport[],
  { isFull, checks = plan.through === "gpustack" ? GPUSTACK_CHECKS : GATE_CHECKS }: GateOptions = {
    isFull: false,
  },
): GateResult {
  const all = { hosts: knownHosts(plan, reports), isFull, checks };
  const judged = plan.nodes.map((node, index) => judgeNode(plan, node, reports[index]!, all));
  const findings = judged.flatMap(({ findings }) => findings);
  const of = (result: Finding["result"]) => findings.filter((finding) => finding.result === result);
  return {
    cluster: plan.cluster,
    isPassed: of("fail").length === 0,
    ...(checks.includes(memoryCheck) ? memoryFit(plan, reports) : {}),
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

function judgeNode(
  plan: GatePlan,
  node: GateNode,
  report: HostReport,
  {
    checks,
    ...all
  }: Pick<CheckContext, "hosts" | "isFull"> & { readonly checks: readonly Check[] },
): JudgedNode {
  const ssh = judgeConnection(report);
  const cells: Record<string, CellResult> = { [SSH_COLUMN]: worst(ssh) };
  const findings: GateFinding[] = groupNpus(ssh, node.name, SSH_COLUMN);
  for (const check of checks) {
    const { facts, askedSec, answeredSec } = report;
    const peers =
      report.peers !== undefined && "npuPings" in report.peers ? report.peers : undefined;
    if (
      facts === undefined ||
      ssh.length > 0 ||
      !hasNeeds(check, facts, peers, plan.nodes.length === 1)
    ) {
      cells[check.name] = "skipped";
      continue;
    }
    const context: CheckContext = {
      ...{ plan, node, facts, ...all, askedSec, answeredSec },
      ...(peers === undefined ? {} : { peers }),
    };
    const found = check.judge(context).map((finding) => accept(plan, node, finding));
    cells[check.name] = worst(found);
    findings.push(...groupNpus(found, node.name, check.name));
  }
  return { row: { node: node.name, cells }, findings };
}

function judgeConnection({ facts, failure, stderr, peers }: HostReport): readonly Finding[] {
  if (failure !== undefined) return [connectionFinding(failure)];
  if (facts?.isComplete === true) {
    if (peers === undefined) return [];
    if ("kind" in peers) return [connectionFinding(peers)];
    return peers.isComplete ? [] : [incomplete("the look at the other nodes ended early", stderr)];
  }
  return [incomplete("the look at the host ended early", facts?.rootEnd ?? stderr)];
}

function connectionFinding(failure: SshFailure): Finding {
  return {
    code: FAILURE_CODES[failure.kind],
    result: "fail",
    detail: failure.cause,
    fix: failure.next,
  };
}

function incomplete(what: string, text: string): Finding {
  const words = text.trim().split("\n").at(-1) ?? "";
  return {
    code: "FACTS_INCOMPLETE",
    result: "fail",
    detail: `${what}${words === "" ? "" : `: ${words}`}`,
    fix: "run it again; if it stays, a login script of the host prints or exits (see ~/.bashrc), or a command hangs",
  };
}

function hasNeeds(
  check: Check,
  facts: HostFacts,
  peers: PeerFacts | undefined,
  isAlone: boolean,
): boolean {
  return check.needs.every((need) =>
    // A cluster of one node has nobody to ask for.
    need === "peers"
      ? facts.root?.isOk === true && (peers !== undefined || isAlone)
      : facts[need]?.isOk === true,
  );
}

type JudgedFinding = Finding & Pick<GateFinding, "accepted">;

function accept(plan: GatePlan, node: GateNode, finding: Finding): JudgedFinding {
  if (finding.result !== "fail") return finding;
  const entry = plan.accept.find((accepted) => isAbout(accepted, node, finding));
  if (entry === undefined) return finding;
  const { reason, until } = entry;
  return { ...finding, result: "warn", accepted: { reason, until } };
}

function isAbout(accepted: AcceptedFinding, node: GateNode, { code, npu }: Finding): boolean {
  return (
    accepted.code === code &&
    (accepted.node === undefined || accepted.node === node.name) &&
    (accepted.npu === undefined || accepted.npu === npu)
  );
}

/** One finding for all NPUs of which the same is to be said. */
function groupNpus(found: readonly JudgedFinding[], node: string, check: string): GateFinding[] {
  const groups = new Map<string, GateFinding & { npus?: number[] }>();
  for (const { npu, ...finding } of found) {
    const { code, result, detail, accepted } = finding;
    const key = JSON.stringify([code, result, detail, accepted, npu === undefined]);
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, { ...finding, node, check, ...(npu === undefined ? {} : { npus: [npu] }) });
    } else if (npu !== undefined && group.npus?.includes(npu) === false) {
      group.npus.push(npu);
    }
  }
  return [...groups.values()];
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
