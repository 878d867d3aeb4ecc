import { isOlder } from "../spec/image-version.js";

/** A way in which others run code on a server, in a range of versions. */
export interface Vulnerability {
  readonly product: "vLLM" | "Ray";
  /** Identifier of the CVE. */
  readonly id: string;
  /** Identifier of GitHub's advisory, where there is one. */
  readonly advisory: string | null;
  /** First version that has it; `null` = from the beginning. */
  readonly since: string | null;
  /** First version without it. */
  readonly fixed: string;
  /** Who runs code, and through what. */
  readonly through: string;
}

/**
 * Remote code execution in vLLM and Ray, as of 2026-11; a new one is a new row. Ranges are those of the advisories; for CVE-2025-30165,
 * which was never repaired in the V0 engine, the first version after those that it names. What is older than 0.7.0 has more than is
 * listed. CVE-2023-48022 (Ray without authentication) belongs to no version: `RAY_WITHOUT_AUTHENTICATION` tells of it. Ray's
 * CVE-2025-62593 needs the dashboard, which the plan turns off.
 */
export const KNOWN_VULNERABILITIES: readonly Vulnerability[] = [
  {
    product: "vLLM",
    id: "CVE-2025-24357",
    advisory: "GHSA-rh4j-5rhw-hr54",
    since: null,
    fixed: "0.7.0",
    through: "weights in pickle format",
  },
  {
    product: "vLLM",
    id: "CVE-2025-29783",
    advisory: "GHSA-x3m8-f7g5-qhm7",
    since: "0.6.5",
    fixed: "0.8.0",
    through: "ports of the Mooncake transfer",
  },
  {
    product: "vLLM",
    id: "CVE-2025-32444",
    advisory: "GHSA-hj4w-hm2g-p6w5",
    since: "0.6.5",
    fixed: "0.8.5",
    through: "ports of the Mooncake transfer",
  },
  {
    product: "vLLM",
    id: "CVE-2025-47277",
    advisory: "GHSA-hjq4-87xh-g4fv",
    since: "0.6.5",
    fixed: "0.8.5",
    through: "port of PyNcclPipe",
  },
  {
    product: "vLLM",
    id: "CVE-2025-30165",
    advisory: "GHSA-9pcc-gvx5-r5wm",
    since: "0.5.2",
    fixed: "0.9.0",
    through: "ZeroMQ between the nodes (pickle), V0 engine",
  },
  {
    product: "vLLM",
    id: "CVE-2025-62164",
    advisory: "GHSA-mrw7-hf4f-83pf",
    since: "0.10.2",
    fixed: "0.11.1",
    through: "prompt embeddings in a request",
  },
  {
    product: "vLLM",
    id: "CVE-2025-66448",
    advisory: "GHSA-8fr4-5q9j-m8gm",
    since: null,
    fixed: "0.11.1",
    through: "a model's config.json, without trust-remote-code",
  },
  {
    product: "vLLM",
    id: "CVE-2026-22807",
    advisory: "GHSA-2pc9-4j83-qjmr",
    since: "0.10.1",
    fixed: "0.14.0",
    through: "a model's auto_map, without trust-remote-code",
  },
  {
    product: "vLLM",
    id: "CVE-2026-22778",
    advisory: "GHSA-4r2x-xpjr-7cvv",
    since: "0.8.3",
    fixed: "0.14.1",
    through: "a video in a request, multimodal models",
  },
  {
    product: "vLLM",
    id: "CVE-2026-27893",
    advisory: "GHSA-7972-pg2x-xr59",
    since: "0.10.1",
    fixed: "0.18.0",
    through: "parts of some models, without trust-remote-code",
  },
  {
    product: "Ray",
    id: "CVE-2023-6019",
    advisory: null,
    since: null,
    fixed: "2.8.1",
    through: "port of the dashboard agent",
  },
];

/** What is known of a version; nothing for an unknown version. */
export function vulnerabilitiesOf(
  product: Vulnerability["product"],
  version: string | undefined,
): readonly Vulnerability[] {
  if (version === undefined) return [];
  return KNOWN_VULNERABILITIES.filter(
    (row) =>
      row.product === product &&
      (row.since === null || !isOlder(version, row.since)) &&
      isOlder(version, row.fixed),
  );
}
