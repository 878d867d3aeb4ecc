import { HCCN_QUERIES } from "./hccn-tool/queries.js";
import { NPU_SMI_QUERIES } from "./npu-smi/queries.js";
import {
  type Reading,
  type ReadingContext,
  readOutputs,
  type ToolQuery,
  type Verdict,
  worstVerdict,
} from "./reading.js";

/** The tools of the NPU driver whose outputs can be read, with their queries. */
export const TOOLS: Readonly<Record<ToolName, Readonly<Record<string, ToolQuery>>>> = {
  hccn_tool: HCCN_QUERIES,
  "npu-smi": NPU_SMI_QUERIES,
};

export type ToolName = "hccn_tool" | "npu-smi";

/** What the output of one query says, or those of a loop over NPUs. */
export interface ToolReport {
  readonly tool: ToolName;
  readonly query: string;
  /** The worst of the readings; TLS that differs between them is a failure of its own. */
  readonly verdict: Verdict;
  readonly detail: string;
  /** At least one, in the order of the text. */
  readonly readings: readonly Reading[];
}

/** Reads the text of a query. Never throws for a text; the query must be one of the tool's. */
export function reportTool(
  tool: ToolName,
  query: string,
  text: string,
  context: ReadingContext = {},
): ToolReport {
  const readings = readOutputs(TOOLS[tool][query]!, text, context);
  const isMixed = query === "tls" && differs(readings);
  return {
    tool,
    query,
    verdict: isMixed ? "fail" : worstVerdict(readings.map(({ verdict }) => verdict)),
    detail: isMixed ? "TLS is on for some NPUs and off for others" : summary(readings),
    readings,
  };
}

function differs(readings: readonly Reading[]): boolean {
  const states = readings.flatMap(({ value }) =>
    value === undefined ? [] : [(value as { readonly isEnabled: boolean }).isEnabled],
  );
  return new Set(states).size > 1;
}

function summary(readings: readonly Reading[]): string {
  return [...new Set(readings.map(({ detail }) => detail))].join("; ");
}
