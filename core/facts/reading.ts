/** `unknown`: could not be understood. Never counted as a pass. */
export type Verdict = "pass" | "warn" | "fail" | "unknown";

/** What one output of a tool says, judged by itself: what needs other NPUs or other hosts is judged by the gate. */
export interface Reading<T = unknown> {
  readonly verdict: Verdict;
  /** One line for people, with the value that was read or the reason why none was. */
  readonly detail: string;
  /** Absent or partial when the verdict is `unknown`. */
  readonly value?: T;
  /** The output itself, when the verdict is `unknown`. */
  readonly raw?: string;
}

/** What a parser may know beside the output. */
export interface ReadingContext {
  /** The clock in seconds since 1970, for the ends of certificates. */
  readonly nowSec?: number;
}

/** One query of a tool: how its outputs are told apart and read. */
export interface ToolQuery<T = unknown> {
  /** The first line of one output; the outputs of a loop over NPUs are split before it. */
  readonly begins: RegExp;
  /** The same for outputs that have gone through `grep` and have lost that line. */
  readonly beginsFiltered?: RegExp;
  readonly parse: (lines: readonly string[], context: ReadingContext) => Reading<T>;
}

/**
 * Reads the output of a query, or those of a loop over NPUs. Never throws, and always gives at least one reading.
 *
 * @see the CANN tools answer `Command execute failed!` for every failure (vllm-ascend#10224)
 */
export function readOutputs<T>(
  query: ToolQuery<T>,
  text: string,
  context: ReadingContext = {},
): readonly Reading<T>[] {
  const all = toolLines(text);
  const isWhole = query.beginsFiltered === undefined || all.some((line) => query.begins.test(line));
  const begins = isWhole ? query.begins : query.beginsFiltered!;
  return splitBlocks(all, begins).map((lines) => {
    const reading = lines.some((line) => FAILURE.test(line))
      ? unknownReading<T>(lines.find((line) => FAILURE.test(line))!)
      : lines.length === 0
        ? unknownReading<T>("no output")
        : query.parse(lines, context);
    return reading.verdict === "unknown" ? { ...reading, raw: lines.join("\n") } : reading;
  });
}

/**
 * Reads the output of a query about one NPU.
 *
 * @param exitCode of the tool: a failed tool is never a pass, whatever it printed
 */
export function readOutput<T>(
  query: ToolQuery<T>,
  text: string,
  exitCode: number,
  context: ReadingContext = {},
): Reading<T> {
  const [reading, ...others] = readOutputs(query, text, context);
  if (others.length > 0) {
    return { ...unknownReading<T>(`${others.length + 1} outputs instead of one`), raw: text };
  }
  const isHidden = reading!.verdict === "pass" || reading!.verdict === "warn";
  if (exitCode === 0 || !isHidden) return reading!;
  return {
    ...unknownReading<T>(`exit code ${exitCode}, although it says: ${reading!.detail}`),
    raw: text,
  };
}

export function reading<T>(verdict: Verdict, detail: string, value: T): Reading<T> {
  return { verdict, detail, value };
}

export function unknownReading<T>(detail: string): Reading<T> {
  return { verdict: "unknown", detail };
}

/** The worst of some verdicts: a failure outweighs what is unknown, that outweighs a warning. */
export function worstVerdict(verdicts: readonly Verdict[]): Verdict {
  return VERDICTS_BY_WEIGHT.find((verdict) => verdicts.includes(verdict)) ?? "pass";
}

/** The captured group of the first line that matches. */
export function firstMatch(lines: readonly string[], pattern: RegExp): string | undefined {
  for (const line of lines) {
    const value = pattern.exec(line)?.[1];
    if (value !== undefined) return value.trim();
  }
  return undefined;
}

/** `key : value` lines in their order; the blanks around the colon differ between builds, a value may hold colons. */
export function keyValues(lines: readonly string[]): readonly (readonly [string, string])[] {
  return lines.flatMap((line): [string, string][] => {
    const match = /^([^:]*[^:\s])\s*:(?:\s+|$)?(.*)$/.exec(line);
    return match === null ? [] : [[match[1]!, match[2]!.trim()]];
  });
}

/** A number without sign that is the whole text. */
export function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Lines without blanks at their ends; empty ones are left out, the layouts of builds differ in them. */
function toolLines(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.replaceAll("\r", "").trim())
    .filter((line) => line !== "");
}

function splitBlocks(lines: readonly string[], begins: RegExp): readonly (readonly string[])[] {
  const blocks: string[][] = [];
  let hasBegun = false;
  for (const line of lines) {
    const isFirst = begins.test(line) || FAILURE.test(line);
    if (blocks.length === 0 || (isFirst && hasBegun)) blocks.push([]);
    if (isFirst) hasBegun = true;
    blocks.at(-1)!.push(line);
  }
  return blocks.length === 0 ? [[]] : blocks;
}

const FAILURE = /^command execute failed/i;
const VERDICTS_BY_WEIGHT: readonly Verdict[] = ["fail", "unknown", "warn"];
