import type { FlagKind } from "./flag-kind.js";

/** A value of `extraArgs`. */
export type FlagValue = string | number | boolean | Readonly<Record<string, unknown>>;

/**
 * What is wrong with a value for a flag, as "requirement, way out", or `undefined`. Only what argparse would refuse for
 * certain; `false` leaves a flag out and is right for all.
 */
export function flagValueProblem(kind: FlagKind, value: FlagValue): string | undefined {
  if (value === false) return undefined;
  if (kind === "bare") {
    return value === true ? undefined : "takes no value; write true, or false to leave it out";
  }
  if (value === true) return `takes a value; write ${EXAMPLES[kind]}`;
  return isAccepted(kind, value) ? undefined : `must be ${EXAMPLES[kind]}`;
}

function isAccepted(kind: Exclude<FlagKind, "bare">, value: Exclude<FlagValue, boolean>): boolean {
  switch (kind) {
    case "text":
      return true;
    case "integer":
      return typeof value === "number" ? Number.isInteger(value) : matches(value, /^[+-]?\d+$/);
    case "float":
      return typeof value === "number" || matches(value, /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i);
    case "size":
      return typeof value === "number"
        ? Number.isInteger(value)
        : matches(value, /^(-1|auto|\d+(\.\d+)?[kmgt]?)$/i);
    case "json":
      return typeof value !== "string" || isJson(value);
  }
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === "string" && pattern.test(value.trim());
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const EXAMPLES: Readonly<Record<Exclude<FlagKind, "bare">, string>> = {
  text: "a text",
  integer: "a whole number",
  float: "a number",
  json: "a map, or JSON as text",
  size: "a whole number, with k, m, g or t (1000) or K, M, G or T (1024) as suffix if you like",
};
