import type { DiffResult } from "@pulumi/pulumi/provider/index.js";
import type { z } from "zod";
import type { InputIssue } from "../core/gpustack/rules.js";
import { lowerFirst } from "../core/spec/spec-issue.js";
import type { GpustackApi } from "./gpustack-api.js";
import { hasUnknown, type PropertyMap, UNKNOWN, valueAt } from "./property-values.js";

/** What an operation works with, beside the values. */
export interface Context {
  readonly api: GpustackApi;
  /** Key of scope `inference`; with it a start ends with an answered completion. */
  readonly inferenceKey?: string;
  /** Ends waiting when the operator presses Ctrl-C. */
  readonly signal: AbortSignal;
  /** One line of progress, shown while the operation runs. */
  readonly report: (line: string) => void;
}

/** The life of one kind of resource, in plain values: wrapping of secrets is the caller's. */
export interface ResourceKind {
  check(inputs: unknown): CheckedInputs;
  /** Never asks the server: previews work without it. */
  diff(id: string, olds: PropertyMap, news: PropertyMap): DiffResult;
  create(context: Context, inputs: PropertyMap): Promise<{ id: string; outs: PropertyMap }>;
  /** `undefined`: it is gone. Without `props` it is an import. */
  read(context: Context, id: string, props: PropertyMap): Promise<ReadState | undefined>;
  update(context: Context, olds: PropertyMap, news: PropertyMap): Promise<PropertyMap>;
  delete(context: Context, props: PropertyMap): Promise<void>;
}

export interface ReadState {
  readonly id: string;
  readonly props: PropertyMap;
  readonly inputs: PropertyMap;
}

export interface CheckedInputs {
  /** With defaults; as given where something is not known yet. */
  readonly inputs: unknown;
  readonly issues: readonly InputIssue[];
}

/**
 * An operation that has failed after it has changed something: what the server holds now goes into the state, so that going
 * back to the program that worked is a change.
 */
export class PartialFailure extends Error {
  override readonly name = "PartialFailure";

  constructor(
    message: string,
    readonly id: string,
    readonly properties: PropertyMap,
  ) {
    super(message);
  }
}

/** Inputs that the server or the rules refuse before anything was changed. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";

  constructor(issues: readonly InputIssue[]) {
    super(issues.map(({ property, reason }) => `${property}: ${reason}`).join("\n"));
  }
}

/** Parses inputs; what is not known yet is not complained about, and rules wait until everything is known. */
export function checkInputs<T extends z.ZodType>(
  schema: T,
  inputs: unknown,
  rules: (parsed: z.output<T>) => readonly InputIssue[],
): CheckedInputs {
  const parsed = schema.safeParse(inputs);
  if (parsed.success) {
    return { inputs: parsed.data, issues: hasUnknown(inputs) ? [] : rules(parsed.data) };
  }
  const issues = parsed.error.issues
    .filter(({ path }) => valueAt(inputs, path) !== UNKNOWN)
    .map(({ path, message }) => ({ property: propertyPath(path), reason: lowerFirst(message) }));
  return { inputs, issues };
}

function propertyPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}
