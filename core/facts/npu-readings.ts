import type { Finding } from "./check.js";
import { HCCN_QUERIES, type HccnQuery } from "./hccn-tool/queries.js";
import type { HostFacts, ToolOutput } from "./host-facts.js";
import { NPU_SMI_QUERIES, type NpuSmiQuery } from "./npu-smi/queries.js";
import {
  type Reading,
  type ReadingContext,
  readOutput,
  type ToolQuery,
  unknownReading,
} from "./reading.js";

/** The type of the value that a query gives. */
type ValueOf<Q> = Q extends ToolQuery<infer T> ? T : never;

/** What an NPU's NIC said to a query, or why there is no answer. */
export function hccnReading<Q extends HccnQuery>(
  facts: HostFacts,
  npu: number,
  query: Q,
): Reading<ValueOf<(typeof HCCN_QUERIES)[Q]>> {
  const key = `${npu} hccn_tool ${query}`;
  const context = facts.clockSec === undefined ? {} : { nowSec: facts.clockSec };
  const tool = HCCN_QUERIES[query] as ToolQuery<ValueOf<(typeof HCCN_QUERIES)[Q]>>;
  return remembered(facts, key, () => readTool(tool, facts.npuOutputs.get(key), context));
}

/** What npu-smi said about an NPU, or about `all` of them. */
export function smiReading<Q extends NpuSmiQuery>(
  facts: HostFacts,
  npu: number | "all",
  query: Q,
): Reading<ValueOf<(typeof NPU_SMI_QUERIES)[Q]>> {
  const key = `${npu} npu-smi ${query}`;
  const tool = NPU_SMI_QUERIES[query] as ToolQuery<ValueOf<(typeof NPU_SMI_QUERIES)[Q]>>;
  return remembered(facts, key, () => readTool(tool, facts.npuOutputs.get(key)));
}

/** Every NPU is compared with every other one, so that an output is read some hundred times in a large cluster. */
const READINGS = new WeakMap<HostFacts, Map<string, Reading>>();

function remembered<T>(facts: HostFacts, key: string, read: () => Reading<T>): Reading<T> {
  const readings = READINGS.get(facts) ?? new Map<string, Reading>();
  READINGS.set(facts, readings);
  const known = readings.get(key) ?? read();
  readings.set(key, known);
  return known as Reading<T>;
}

export function readTool<T>(
  query: ToolQuery<T>,
  output: ToolOutput | undefined,
  context: ReadingContext = {},
): Reading<T> {
  if (output === undefined) return unknownReading("the host gave no answer");
  switch (output.state) {
    case "hangs":
      return unknownReading(NO_ANSWER);
    case "missing":
      return unknownReading("the tool is not there");
    case "ended":
      return readOutput(query, output.text, output.exitCode, context);
    default:
      return output satisfies never;
  }
}

/** A reading that is no pass as a finding. `unknown` is a finding of its own kind, unless it must block. */
export function readingFinding(
  reading: Reading,
  finding: Pick<Finding, "code" | "fix"> & { readonly npu?: number; readonly what: string },
  options: { readonly unknown: "fail" | "unknown" } = { unknown: "unknown" },
): readonly Finding[] {
  const { code, fix, npu, what } = finding;
  const common = { ...(npu === undefined ? {} : { npu }), ...rawOf(reading) };
  switch (reading.verdict) {
    case "pass":
      return [];
    case "unknown":
      return options.unknown === "fail"
        ? [
            {
              code,
              result: "fail",
              detail: `${what} is not known: ${reading.detail}`,
              fix,
              ...common,
            },
          ]
        : [
            {
              ...({ code: "FACT_UNKNOWN", result: "unknown" } as const),
              detail: `${what} could not be judged: ${reading.detail}`,
              fix: "run the query by hand on the host; the start goes on and may fail there",
              ...common,
            },
          ];
    default:
      return [{ code, result: reading.verdict, detail: reading.detail, fix, ...common }];
  }
}

function rawOf({ raw }: Reading): { readonly raw?: string } {
  return raw === undefined || raw === "" ? {} : { raw: raw.slice(0, MAX_RAW) };
}

export const NO_ANSWER = "no answer within its time";
const MAX_RAW = 2000;
