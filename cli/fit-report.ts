import { cacheText, leverLine } from "../core/fit/fit-text.js";
import {
  type FitRequest,
  type MemoryFit,
  type SideTerms,
  sideTotal,
} from "../core/fit/judge-fit.js";
import type { Lever } from "../core/fit/levers.js";
import { KNOWN_ARCHITECTURES } from "../core/fit/parse-model-config.js";
import { textTable, wrapText } from "./text-table.js";

/** What `vllm-cluster fit` found. */
export type FitReport = JudgedFit | UnknownFit;

export interface JudgedFit {
  readonly kind: "judged";
  /** File or catalog entry of the model. */
  readonly source: string;
  readonly request: FitRequest;
  readonly fit: MemoryFit;
  readonly levers: readonly Lever[];
  readonly remarks: readonly string[];
}

export interface UnknownFit {
  readonly kind: "unknown";
  readonly source: string;
  readonly architecture: string;
}

/** The result for programs; numbers that cannot be known are `null`. */
export function fitJson(report: FitReport): object {
  if (report.kind === "unknown") {
    return {
      model: report.source,
      architecture: report.architecture,
      verification: "unverified",
      ...NO_FIGURES,
      verdict: "unknown",
      reason: unknownReason(report),
    };
  }
  const { fit, request, levers } = report;
  const side = fit.side;
  return {
    model: report.source,
    architecture: request.model.architecture,
    verification: request.model.isVerified ? "verified" : "unverified",
    weightsGiBPerNpu: rounded(fit.weightsGiB),
    kvBytesPerTokenPerNpu: fit.kvBytesPerToken,
    stateMiBPerSequence: rounded(fit.stateMiBPerSequence),
    kvPoolGiB: rounded(fit.kvPoolGiB),
    kvTokens: fit.kvTokens,
    maxConcurrency: rounded(fit.maxConcurrency),
    verdict: fit.verdict,
    basis: fit.basis,
    reason: fit.reason,
    npus: fit.npus,
    quantization: request.quantization,
    budgetGiB: rounded(fit.budgetGiB),
    visionGiBPerNpu: rounded(fit.visionGiB),
    sideGiB: { ...side, total: rounded(sideTotal(side)), largest: largestSide(side) },
    statesPerSequence: fit.statesPerSequence,
    largestLever: levers[0] === undefined ? null : leverJson(levers[0]),
    levers: levers.map(leverJson),
    remarks: report.remarks,
  };
}

/** The result for people: verdict, the budget from top to bottom, what would help most. */
export function renderFitReport(report: FitReport): string {
  if (report.kind === "unknown")
    return `${wrapText(`unknown: ${unknownReason(report)}`, WIDTH, "  ")}\n`;
  const { fit, request, levers, remarks } = report;
  const [largest, ...others] = levers;
  return [
    wrapText(`${fit.verdict}: ${fit.reason}`, WIDTH, "  "),
    "",
    modelLine(report),
    "",
    textTable(budgetRows(fit)),
    "",
    wrapText(cacheLine(fit, request), WIDTH, "  "),
    ...(largest === undefined
      ? []
      : ["", wrapText(`largest lever: ${leverLine(largest, fit.npus)}`, WIDTH, "  ")]),
    ...others.map((lever) => wrapText(`  ${leverLine(lever, fit.npus)}`, WIDTH, "    ")),
    ...(remarks.length === 0 ? [] : [""]),
    ...remarks.map((remark) => wrapText(`note: ${remark}`, WIDTH, "  ")),
    "",
  ].join("\n");
}

function modelLine({ source, request, fit }: JudgedFit): string {
  const { layout, model, quantization } = request;
  const sizes = [
    ["TP", layout.tensorParallelSize],
    ["PP", layout.pipelineParallelSize],
    ["DP", layout.dataParallelSize],
  ] as const;
  const parallel = sizes.filter(([, size]) => size > 1).map(([name, size]) => `${name}${size}`);
  const expert = layout.enableExpertParallel ? ["EP"] : [];
  const shape = [...parallel, ...expert].join(" x ") || "one rank";
  const unverified = model.isVerified ? "" : ", formulas unverified";
  const npus = `${fit.npus} ${fit.npus === 1 ? "NPU" : "NPUs"}`;
  return `${source} (${model.architecture}${unverified}), ${quantization}, ${shape} on ${npus} with ${request.npuMemoryGib} GiB`;
}

function budgetRows(fit: MemoryFit): readonly (readonly string[])[] {
  const { side } = fit;
  const largest = largestSide(side);
  const sideRow = (name: keyof SideTerms) => [
    `- ${SIDE_NAMES[name]}`,
    gib(side[name]),
    name === largest ? "largest side term" : "",
  ];
  return [
    ["per NPU, in GiB", "", ""],
    ["budget", gib(fit.budgetGiB), "gpuMemoryUtilization x what vLLM sees"],
    [
      "- weights",
      gib(fit.weightsGiB),
      fit.basis === "index" ? "from the checkpoint" : "by formula",
    ],
    ...(fit.visionGiB > 0 ? [["- image tower", gib(fit.visionGiB), ""]] : []),
    ...SIDE_ORDER.map(sideRow),
    [
      "= pool for the cache",
      gib(fit.kvPoolGiB),
      `at most ${gib(fit.kvPoolAtMostGiB)} seen with the smallest side terms`,
    ],
  ];
}

function cacheLine(fit: MemoryFit, request: FitRequest): string {
  const states =
    fit.stateMiBPerSequence > 0
      ? ` and ${fit.statesPerSequence} x ${fit.stateMiBPerSequence.toFixed(1)} MiB of state per sequence`
      : "";
  return `cache: ${fit.kvBytesPerToken} bytes per token${states}: ${cacheText(fit, request)}`;
}

function leverJson(lever: Lever): object {
  return { ...lever, kvPoolGiB: rounded(lever.kvPoolGiB) };
}

function unknownReason({ architecture }: UnknownFit): string {
  const known = KNOWN_ARCHITECTURES.map(({ name }) => name).join(", ");
  return `no formulas for the architecture ${architecture}; known are ${known}`;
}

function largestSide(side: SideTerms): keyof SideTerms {
  return SIDE_ORDER.reduce((largest, name) => (side[name] > side[largest] ? name : largest));
}

function gib(value: number): string {
  return value.toFixed(2);
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

const SIDE_ORDER = ["peakActivation", "nonTorch", "graph"] as const;

const SIDE_NAMES: Readonly<Record<keyof SideTerms, string>> = {
  peakActivation: "peak activation",
  nonTorch: "HCCL buffers and runtime",
  graph: "captured graphs",
};

const NO_FIGURES = {
  weightsGiBPerNpu: null,
  kvBytesPerTokenPerNpu: null,
  stateMiBPerSequence: null,
  kvPoolGiB: null,
  kvTokens: null,
  maxConcurrency: null,
  basis: null,
};

const WIDTH = 100;
