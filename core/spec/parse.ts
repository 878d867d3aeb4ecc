import { z } from "zod";
import { type ClusterSpec, clusterSpecSchema } from "./cluster-spec.js";
import { nearestWord } from "./nearest.js";
import { checkClusterRules } from "./rules.js";
import { ClusterSpecError, lowerFirst, type SpecIssue, shortened } from "./spec-issue.js";
import { checkTopologyFields, specOfTopology } from "./topology-fields.js";

/**
 * Turns the raw value of `vllm-ascend:cluster` into a spec with all defaults.
 *
 * @throws ClusterSpecError with every issue: those of single fields, or, when all fields are well-formed, those
 *   between fields.
 */
export function parseClusterSpec(raw: unknown): ClusterSpec {
  const parsed = clusterSpecSchema.safeParse(raw, { reportInput: true });
  const fieldIssues = [
    ...prototypeKeys(raw),
    ...(parsed.success ? [] : parsed.error.issues.flatMap(toSpecIssues)),
  ];
  if (!parsed.success || fieldIssues.length > 0) throw new ClusterSpecError(fieldIssues);
  const spec = specOfTopology(parsed.data);
  const issues = [...checkTopologyFields(parsed.data), ...checkClusterRules(spec)];
  if (issues.length > 0) throw new ClusterSpecError(issues);
  return spec;
}

/** zod drops keys of this name without a word. */
function prototypeKeys(value: unknown, path: readonly PropertyKey[] = []): readonly SpecIssue[] {
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, inner]): readonly SpecIssue[] => {
    const innerPath = [...path, Array.isArray(value) ? Number(key) : key];
    return key === "__proto__"
      ? [{ path: pathText(innerPath), reason: "unknown key; remove it" }]
      : prototypeKeys(inner, innerPath);
  });
}

function toSpecIssues(issue: z.core.$ZodIssue): SpecIssue[] {
  const path = pathText(issue.path);
  if (issue.code === "unrecognized_keys") {
    const known = knownKeysAt(issue.path);
    return issue.keys.map((key) => ({
      path: pathText([...issue.path, key]),
      reason: unknownKeyReason(key, known),
    }));
  }
  if (issue.code === "invalid_key") {
    const reason = issue.issues.map(({ message }) => lowerFirst(message)).join("; ");
    return [{ path, reason: `the key ${reason}` }];
  }
  return [{ path, reason: `${lowerFirst(issue.message)}${gotText(issue)}` }];
}

/** A key of 100 KB is as good as its beginning. */
function pathText(path: readonly PropertyKey[]): string {
  return z.core.toDotPath(
    path.map((step) => (typeof step === "string" ? shortened(step, 100) : step)),
  );
}

function unknownKeyReason(key: string, known: readonly string[]): string {
  const near = nearestWord(key, known);
  return near === undefined
    ? `unknown key; known here: ${known.join(", ")}`
    : `unknown key; did you mean "${near}"?`;
}

function gotText(issue: z.core.$ZodIssue): string {
  if (!("input" in issue)) return "";
  if (issue.input === undefined) return "; the field is required";
  const { input } = issue;
  // JSON has no word for NaN and infinity, and none for functions.
  const text = typeof input === "number" ? String(input) : JSON.stringify(input);
  return `, got ${shortened(text ?? typeof input, 80)}`;
}

/** The keys that the schema knows at a path; array indexes step into the element. */
function knownKeysAt(path: readonly PropertyKey[]): readonly string[] {
  let schema: unknown = clusterSpecSchema;
  for (const step of path) {
    schema = unwrap(schema);
    if (schema instanceof z.ZodObject) schema = schema.shape[String(step)];
    else if (schema instanceof z.ZodArray) schema = schema.element;
    else return [];
  }
  const last = unwrap(schema);
  if (last instanceof z.ZodObject) return Object.keys(last.shape);
  return last instanceof z.ZodRecord && last.keyType instanceof z.ZodEnum
    ? last.keyType.options.map(String)
    : [];
}

function unwrap(schema: unknown): unknown {
  let inner = schema;
  while (
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault ||
    inner instanceof z.ZodOptional
  ) {
    inner = inner.unwrap();
  }
  return inner;
}
