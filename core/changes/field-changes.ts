import { stableJson } from "../render/stable-json.js";

/** One field that differs; `undefined` where it is absent. */
export interface FieldChange {
  readonly path: string;
  /** Nodes on which it is the same change; empty for what belongs to no node. */
  readonly nodes: readonly string[];
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** The leaves in which two JSON values differ, sorted by path. Elements of arrays are named by their `name`. */
export function fieldChanges(before: unknown, after: unknown): FieldChange[] {
  const old = leaves(before);
  const now = leaves(after);
  return [...new Set([...old.keys(), ...now.keys()])]
    .filter((path) => old.get(path) !== now.get(path))
    .sort()
    .map((path) => ({ path, nodes: [], before: old.get(path), after: now.get(path) }));
}

/** The same for values by node; what is the same change on several nodes is one change. Nodes that only one side has are left out. */
export function nodeFieldChanges(before: ByNode, after: ByNode): FieldChange[] {
  const folded = new Map<string, FieldChange>();
  for (const node of Object.keys(after).filter((name) => name in before)) {
    for (const change of fieldChanges(before[node], after[node])) {
      const key = stableJson([change.path, change.before ?? null, change.after ?? null]);
      const nodes = [...(folded.get(key)?.nodes ?? []), node];
      folded.set(key, { ...change, nodes });
    }
  }
  return [...folded.values()];
}

export type ByNode = Readonly<Record<string, unknown>>;

function leaves(value: unknown, path = "", into = new Map<string, string>()): Map<string, string> {
  if (Array.isArray(value) && value.length > 0 && value.every(hasName)) {
    for (const element of value) leaves(element, join(path, element.name), into);
  } else if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) leaves(inner, join(path, key), into);
  } else if (value !== undefined) {
    into.set(path, typeof value === "string" ? value : stableJson(value));
  }
  return into;
}

function hasName(value: unknown): value is { readonly name: string } {
  return (
    value !== null && typeof value === "object" && "name" in value && typeof value.name === "string"
  );
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}
