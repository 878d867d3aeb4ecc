import type { ImageSpec } from "./cluster-spec.js";

/**
 * The version of vLLM in the image: `image.vllmVersion`, else the tag. vllm-ascend's versions are vLLM's:
 * `v0.18.0rc1` and `v0.18.0-a3` hold vLLM 0.18.0 (vllm-ascend docs `community/versioning_policy.md`).
 *
 * @returns `undefined` when neither says it, e.g. for the tag `main`.
 */
export function vllmVersion({ reference, vllmVersion }: ImageSpec): string | undefined {
  if (vllmVersion !== undefined) return vllmVersion;
  const tag = reference.slice(reference.lastIndexOf(":") + 1);
  return /^v?(\d+\.\d+\.\d+)(?:rc\d+|\.?post\d+)?(?:-[a-z0-9.-]+)?$/.exec(tag)?.[1];
}

/** Whether Ray has token authentication: from 2.52.0 on (Ray docs `ray-security/token-auth`). An unknown version counts as older. */
export function hasRayToken({ rayVersion }: ImageSpec): boolean {
  return rayVersion !== undefined && !isOlder(rayVersion, "2.52.0");
}

/** Whether a version is older than another, both `major.minor.patch`. */
export function isOlder(version: string, than: string): boolean {
  const [a, b] = [version.split(".").map(Number), than.split(".").map(Number)];
  const index = a.findIndex((part, at) => part !== b[at]);
  return index !== -1 && a[index]! < b[index]!;
}
