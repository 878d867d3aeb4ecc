import { z } from "zod";
import { type ClusterSpec, clusterSpecSchema } from "./cluster-spec.js";
import { checkClusterRules } from "./rules.js";
import { ClusterSpecError, type SpecIssue } from "./spec-issue.js";
import { checkTopologyFields, specOfTopology } from "./topology-fields.js";

/**
 * Turns the raw value of `vllm-ascend:cluster` into a spec with all defaults.
 *
 * @throws ClusterSpecError with every issue: those of single fields, or, when all fields are well-formed, those
 *   between fields.
 */
export function parseClusterSpec(raw: unknown): ClusterSpec {
  const parsed = clusterSpecSchema.safeParse(raw, { reportInput: true });
  if (!parsed.success) throw new ClusterSpecError(parsed.error.issues.flatMap(toSpecIssues));
  const spec = specOfTopology(parsed.data);
  const issues = [...checkTopologyFields(parsed.data), ...checkClusterRules(spec)];
  if (issues.length > 0) throw new ClusterSpecError(issues);
  return spec;
}

function toSpecIssues(issue: z.core.$ZodIssue): SpecIssue[] {
  const path = z.core.toDotPath(issue.path);
  if (issue.code === "unrecognized_keys") {
    const known = knownKeysAt(issue.path);
    return issue.keys.map((key) => ({
      path: path === "" ? key : `${path}.${key}`,
      reason: unknownKeyReason(key, known),
    }));
  }
  return [{ path, reason: `${lowerFirst(issue.message)}${gotText(issue)}` }];
}

function unknownKeyReason(key: string, known: readonly string[]): string {
  const near = nearestKey(key, known);
  return near === undefined
    ? `unknown key; known here: ${known.join(", ")}`
    : `unknown key; did you mean "${near}"?`;
}

function gotText(issue: z.core.$ZodIssue): string {
  if (!("input" in issue)) return "";
  if (issue.input === undefined) return "; the field is required";
  const text = JSON.stringify(issue.input) ?? typeof issue.input;
  return `, got ${text.length > 80 ? `${text.slice(0, 77)}...` : text}`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
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
  return last instanceof z.ZodObject ? Object.keys(last.shape) : [];
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

function nearestKey(key: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(fold(key), fold(candidate)) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.max(2, Math.floor(key.length / 3))
    ? best.candidate
    : undefined;
}

/** `max_model_len` and `max-model-len` are the same word as `maxModelLen` to a reader of vLLM's documentation. */
function fold(key: string): string {
  return key.toLowerCase().replaceAll(/[_-]/g, "");
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const substitute = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(previous[column]! + 1, current[column - 1]! + 1, substitute));
    }
    previous = current;
  }
  return previous[b.length]!;
}
