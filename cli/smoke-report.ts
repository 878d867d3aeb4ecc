import { npuRange } from "../core/facts/checks/npu-network.js";
import type { SmokeFinding, SmokeResult } from "../core/smoke/judge-smoke.js";
import { CELL_TEXT } from "./gate-report.js";
import { textTable, wrapText } from "./text-table.js";

/** The result of a smoke run for people: verdict, stages with their times, then each finding with its fix. */
export function renderSmokeReport(result: SmokeResult): string {
  return [
    wrapText(verdict(result), WIDTH, "  "),
    ...(result.stages.length > 1 ? ["", stageTable(result)] : []),
    ...grouped(result.findings).map(renderFinding),
    "",
  ].join("\n");
}

function verdict({ cluster, result, isPassed, engine, busy, passedAtSec }: SmokeResult): string {
  const run = `smoke run of cluster ${cluster}`;
  const seconds = passedAtSec ?? 0;
  switch (result) {
    case "unchanged":
      return `${run}: not run, it passed on ${new Date(seconds * 1000).toISOString().slice(0, 16)}Z with the same image, driver, NPUs, addresses and environment`;
    case "passed":
      return `${run} passed: ${engine["device"]} with ${engine["backend"]}, vLLM ${engine["vllm"]}, torch ${engine["torch"]}`;
    case "hosts-only": {
      const [[node, holder] = ["", ""]] = Object.entries(busy);
      return `${run} passed without NPUs: ${node} is busy with ${holder}, so matrix products and collectives of NPUs were left out; \`vllm-cluster smoke\` tries them after \`vllm-cluster stop\``;
    }
    case "failed":
      return `${run} ${isPassed ? "failed, which the stack accepts" : "FAILED; nothing was loaded"}`;
  }
}

function stageTable({ stages }: SmokeResult): string {
  return textTable([
    ["stage", "", "seconds"],
    ...stages.map(({ name, isPassed, sec }) => [
      STAGE_TITLES[name] ?? name,
      CELL_TEXT[isPassed ? "pass" : "fail"],
      sec.toFixed(1),
    ]),
  ]);
}

interface FindingGroup extends SmokeFinding {
  readonly npus: readonly number[];
}

/** One finding for all NPUs of a node of which the same is to be said. */
function grouped(findings: readonly SmokeFinding[]): readonly FindingGroup[] {
  const groups = new Map<string, FindingGroup & { npus: number[] }>();
  for (const found of findings) {
    const { code, node, npu, detail, peer, accepted } = found;
    const other = peer?.replace(/ rank \d+$/, "");
    const key = JSON.stringify([code, node, detail, other, accepted, npu === undefined]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { ...found, npus: npu === undefined ? [] : [npu] });
    else if (npu !== undefined) group.npus.push(npu);
  }
  return [...groups.values()];
}

function renderFinding(finding: FindingGroup): string {
  const { node, code, result, npus, rank, peer, detail, tail, accepted, fix } = finding;
  const isOne = npus.length === 1;
  const about = npus.length === 0 ? "" : ` NPU ${npuRange(npus)}${isOne ? ` (rank ${rank})` : ""}`;
  const other =
    peer === undefined ? "" : ` <-> ${isOne || rank === undefined ? peer : peer.split(" ")[0]}`;
  return [
    "",
    wrapText(
      `${CELL_TEXT[result].padEnd(4)}  ${node}${about}${other}  ${code}: ${detail}`,
      WIDTH,
      INDENT,
    ),
    ...tail.map((line) => `${INDENT}| ${line.replaceAll(/\p{Cc}/gu, "?").slice(0, WIDTH - 8)}`),
    ...(accepted === undefined
      ? []
      : [wrapText(`${INDENT}accepted until ${accepted.until}: ${accepted.reason}`, WIDTH, INDENT)]),
    wrapText(`${INDENT}fix: ${fix}`, WIDTH, `${INDENT}     `),
  ].join("\n");
}

const STAGE_TITLES: Readonly<Record<string, string>> = {
  join: "all nodes",
  threads: "threads",
  engine: "import of vLLM",
  hosts: "TCP between nodes",
  npu: "matrix products",
  node: "collectives in nodes",
  pairs: "collectives of pairs",
  all: "collectives of all",
};
const WIDTH = 100;
const INDENT = "      ";
