import { z } from "zod";
import type { FindingCode } from "../facts/finding-codes.js";
import type { AcceptedFinding } from "../plan/cluster-plan.js";
import type { SmokeNode, SmokePlan } from "./smoke-plan.js";

/** One thing that the smoke run has found. */
export interface SmokeFinding {
  readonly code: FindingCode;
  readonly result: "fail" | "warn";
  readonly node: string;
  /** Rank and physical NPU, where it is about one. */
  readonly rank?: number;
  readonly npu?: number;
  /** The other end, where it is about two: a node, or `<node> rank <n>`. */
  readonly peer?: string;
  readonly detail: string;
  readonly fix: string;
  /** The last lines of the process. */
  readonly tail: readonly string[];
  /** Why a failure is only a warning. */
  readonly accepted?: { readonly reason: string; readonly until: string };
}

export interface SmokeResult {
  readonly cluster: string;
  readonly isPassed: boolean;
  /**
   * - `passed`: everything was tried;
   * - `hosts-only`: the NPUs were busy, what does not need them passed;
   * - `unchanged`: the same passed before;
   * - `failed`.
   */
  readonly result: "passed" | "hosts-only" | "unchanged" | "failed";
  /** What holds the NPUs, by node. */
  readonly busy: Readonly<Record<string, string>>;
  /** When the same passed, in seconds since 1970. */
  readonly passedAtSec?: number;
  /** Device, backend of collectives and versions, as the image says. */
  readonly engine: Readonly<Record<string, string>>;
  readonly stages: readonly {
    readonly name: string;
    readonly isPassed: boolean;
    readonly sec: number;
  }[];
  readonly findings: readonly SmokeFinding[];
}

/** How one node's process ended. */
export interface SmokeNodeRun {
  readonly node: string;
  readonly stdout: string;
  readonly stderr: string;
  /** SSH, where it is at fault. */
  readonly failure?: { readonly cause: string; readonly next: string };
}

/** Judges what the nodes have printed; runs are those of the plan's nodes, in the same order. */
export function judgeSmoke(plan: SmokePlan, runs: readonly SmokeNodeRun[]): SmokeResult {
  const report = lastReport(runs[0]!.stdout);
  const starts = runs.flatMap((run) => startFailure(run, run === runs[0] && report === undefined));
  const failures = (report?.failures ?? []).filter(
    // A node that never came is told by its own run, in its own words.
    ({ stage, node }) => stage !== "join" || !starts.some((start) => start.node === node),
  );
  const findings = [
    ...starts,
    ...failures.map((failure) => finding(plan, failure, report?.isPartial === true)),
  ].map((found) => accept(plan.accept, found));
  const isPassed = !findings.some(({ result }) => result === "fail");
  return {
    cluster: plan.cluster,
    isPassed,
    result: resultOf(report, findings.length > 0),
    busy: report?.busy ?? {},
    ...(report?.time === undefined ? {} : { passedAtSec: report.time }),
    engine: report?.engine ?? {},
    stages: report?.stages ?? [],
    findings,
  };
}

function resultOf(report: Report | undefined, isFailed: boolean): SmokeResult["result"] {
  if (isFailed || report === undefined || report.result === "failed") return "failed";
  if (report.result === "passed" && report.isPartial) return "hosts-only";
  return report.result;
}

/** The result line; libraries may print around it. */
function lastReport(stdout: string): Report | undefined {
  for (const line of stdout.split("\n").reverse()) {
    if (!line.startsWith('{"smoke":')) continue;
    const parsed = reportSchema.safeParse(parseJson(line));
    if (parsed.success) return parsed.data;
  }
  return undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Why a node's process did not take part; `isSilent`: nothing else tells what became of the run. */
function startFailure(run: SmokeNodeRun, isSilent: boolean): SmokeFinding[] {
  const lines = run.stderr.trim().split("\n").slice(-TAIL_LINES);
  const unreachable = /^\{"unreachable": .*\}$/m.exec(run.stdout)?.[0];
  const base = { code: "SMOKE_START", result: "fail", node: run.node } as const;
  if (run.failure !== undefined) {
    return [{ ...base, detail: run.failure.cause, fix: run.failure.next, tail: [] }];
  }
  if (unreachable !== undefined) {
    const { unreachable: detail } = parseJson(unreachable) as { unreachable: string };
    return [
      {
        ...base,
        code: "SMOKE_HOSTS",
        detail: `the head cannot be reached: ${detail}`,
        fix: FIXES.SMOKE_HOSTS,
        tail: [],
      },
    ];
  }
  const isRefused = /^(vllm-cluster smoke|docker|Error|Unable|OCI|bash):/m.test(run.stderr);
  if (!isSilent && !isRefused) return [];
  const detail = lines.at(-1) || "the process ended without a result";
  return [{ ...base, detail, fix: FIXES.SMOKE_START, tail: lines }];
}

function finding(plan: SmokePlan, failure: ReportFailure, isPartial: boolean): SmokeFinding {
  const { node, rank, peer, detail, tail } = failure;
  const code = CODES[failure.stage];
  const planned = plan.nodes.find(({ name }) => name === node);
  const npu = rank === null || isPartial ? undefined : npuOf(planned, rank);
  return {
    code,
    result: "fail",
    node,
    ...(rank === null || isPartial ? {} : { rank }),
    ...(npu === undefined ? {} : { npu }),
    ...(peer === null ? {} : { peer: isPartial ? peer.replace(/ rank \d+$/, "") : peer }),
    detail,
    fix: FIXES[code],
    tail,
  };
}

function npuOf(node: SmokeNode | undefined, rank: number): number | undefined {
  return node?.npus[node.ranks.indexOf(rank)];
}

function accept(accepted: readonly AcceptedFinding[], found: SmokeFinding): SmokeFinding {
  const entry = accepted.find(
    ({ code, node, npu }) =>
      code === found.code &&
      (node === undefined || node === found.node) &&
      (npu === undefined || npu === found.npu),
  );
  if (entry === undefined) return found;
  const { reason, until } = entry;
  return { ...found, result: "warn", accepted: { reason, until } };
}

const TAIL_LINES = 12;

const STAGES = [
  "join",
  "threads",
  "engine",
  "listen",
  "hosts",
  "npu",
  "node",
  "pairs",
  "all",
] as const;

const CODES = {
  join: "SMOKE_START",
  threads: "SMOKE_THREADS",
  engine: "SMOKE_IMPORT",
  listen: "SMOKE_HOSTS",
  hosts: "SMOKE_HOSTS",
  npu: "SMOKE_NPU",
  node: "SMOKE_NODE",
  pairs: "SMOKE_PAIR",
  all: "SMOKE_ALL",
} as const satisfies Record<(typeof STAGES)[number], FindingCode>;

/** The next step of a person. */
const FIXES: Readonly<Record<(typeof CODES)[keyof typeof CODES], string>> = {
  SMOKE_START:
    "see `docker ps -a` and `docker logs` of the container on the node; the image must be there, with python3 in its PATH",
  SMOKE_THREADS:
    "docker before 20.10.10 forbids clone3 to newer images: upgrade docker; else look for a limit of processes (`ulimit -u`, pids of the cgroup)",
  SMOKE_IMPORT:
    "the image does not fit the driver or the series: compare both with the compatibility table of the image; the last lines tell the module",
  SMOKE_HOSTS:
    "allow all TCP between the nodes' addresses, and see that they are those of socketInterface; a small path MTU lets small packets through only",
  SMOKE_NPU:
    "`npu-smi info` on the node, and `dmesg`; reset the NPU, or leave it out with visibleDevices",
  SMOKE_NODE:
    "`npu-smi info -t topo`, `-t health` of this NPU; the plog files below ~/ascend/log name HCCL's error",
  SMOKE_PAIR:
    "`vllm-cluster gate --full`; link, address, TLS and gateway of both NPUs (`hccn_tool -i <n> -link -g`), GLOO_SOCKET_IFNAME of both nodes",
  SMOKE_ALL:
    "`vllm-cluster gate --full`: NPUs of other numbers must reach each other, too; else the memory of HCCL (HCCL_BUFFSIZE)",
};

const reportSchema = z.object({
  result: z.enum(["passed", "failed", "unchanged"]),
  isPartial: z.boolean(),
  engine: z.record(z.string(), z.string()),
  stages: z.array(z.object({ name: z.string(), isPassed: z.boolean(), sec: z.number() })),
  time: z.number().optional(),
  busy: z.record(z.string(), z.string()).optional(),
  failures: z
    .array(
      z.object({
        stage: z.enum(STAGES),
        node: z.string(),
        detail: z.string(),
        rank: z.int().nullable(),
        peer: z.string().nullable(),
        tail: z.array(z.string()),
      }),
    )
    .optional(),
});
type Report = z.output<typeof reportSchema>;
type ReportFailure = NonNullable<Report["failures"]>[number];
