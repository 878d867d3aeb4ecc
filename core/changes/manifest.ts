import { fieldChanges } from "./field-changes.js";
import type { Inputs } from "./preview.js";

/** A JSON object in a string; anything else, also what the engine does not know yet, is `undefined`. */
export function parseManifest(text: unknown): Inputs | undefined {
  if (typeof text !== "string") return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === "object" ? (value as Inputs) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether going from one manifest of a commit to another stops what runs: a manifest with the same release, containers and
 * secrets is only a record. One that is not known yet names something that is replaced, and stops it.
 */
export function stopsGroup(before: unknown, after: unknown): boolean {
  const old = parseManifest(before);
  const now = parseManifest(after);
  if (old === undefined || now === undefined) return true;
  const identity = ({ release, containers, secrets }: Inputs) => ({ release, containers, secrets });
  return fieldChanges(identity(old), identity(now)).length > 0;
}
