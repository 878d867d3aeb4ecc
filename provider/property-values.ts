import { isSecretVariable } from "../core/gpustack/secret-names.js";

/**
 * Property values as the engine sends them to a Node provider: secrets are wrapped in a marked object, and what a preview
 * does not know yet is a marker string. Whatever a provider answers without the wrapping is stored in clear.
 */

const SIGNATURE_KEY = "4dabf18193072939515e22adb298388d";
const SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";
/** What is not known before the deployment. */
export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type PropertyMap = Readonly<Record<string, unknown>>;

/** The plain values, secrets included. */
export function unwrapped(value: unknown): unknown {
  if (isSecret(value)) return unwrapped(value["value"]);
  if (Array.isArray(value)) return value.map(unwrapped);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unwrapped(inner)]));
}

/**
 * A plain value with secrets wrapped where one of the templates has a secret, at any depth: what was secret stays secret.
 * `undefined` is left out, because the engine cannot take it.
 */
export function wrapLike(value: unknown, ...templates: readonly unknown[]): unknown {
  if (templates.some(isSecret)) return secret(clean(value));
  if (Array.isArray(value)) {
    const lists = templates.filter((template) => Array.isArray(template)) as unknown[][];
    return value.map((inner, index) => wrapLike(inner, ...lists.map((list) => list[index])));
  }
  if (!isRecord(value)) return value;
  const records = templates.filter(isRecord);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([key, inner]) => [key, wrapLike(inner, ...records.map((record) => record[key]))]),
  );
}

/** The same value with the variables wrapped that are secrets by their names: what a server tells is marked nowhere. */
export function wrapSecretEnv(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(wrapSecretEnv);
  if (!isRecord(value) || isSecret(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "env" && isRecord(inner) && !isSecret(inner)
        ? wrapVariables(inner)
        : wrapSecretEnv(inner),
    ]),
  );
}

function wrapVariables(env: PropertyMap): PropertyMap {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [
      name,
      typeof value === "string" && isSecretVariable(name, value) ? secret(value) : value,
    ]),
  );
}

/** Marks a value as secret. */
export function secret(value: unknown): PropertyMap {
  return { [SIGNATURE_KEY]: SECRET_SIGNATURE, value };
}

/** Every string inside a secret, with the path of it. */
export function secretStrings(value: unknown, path = ""): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const visit = (inner: unknown, at: string, isInside: boolean): void => {
    if (isSecret(inner)) visit(inner["value"], at, true);
    else if (typeof inner === "string") {
      if (isInside) found.set(inner, at);
    } else if (Array.isArray(inner)) {
      inner.forEach((one, index) => {
        visit(one, `${at}[${index}]`, isInside);
      });
    } else if (isRecord(inner)) {
      for (const [key, one] of Object.entries(inner)) {
        visit(one, at === "" ? key : `${at}.${key}`, isInside);
      }
    }
  };
  visit(value, path, false);
  return found;
}

/** Whether a value, or a part of it, is not known yet. */
export function hasUnknown(value: unknown): boolean {
  if (value === UNKNOWN) return true;
  if (Array.isArray(value)) return value.some(hasUnknown);
  return isRecord(value) && Object.values(value).some(hasUnknown);
}

/** The value at a path of keys and indexes. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let inner = value;
  for (const key of path) {
    if (inner === UNKNOWN) return UNKNOWN;
    if (typeof inner !== "object" || inner === null) return undefined;
    inner = (inner as Record<PropertyKey, unknown>)[key];
  }
  return inner;
}

function clean(value: unknown): Json {
  return JSON.parse(JSON.stringify(value ?? null)) as Json;
}

function isSecret(value: unknown): value is { value: unknown } {
  return isRecord(value) && value[SIGNATURE_KEY] === SECRET_SIGNATURE;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
