import type { FlagTable } from "./flag-kind.js";
import { FLAGS_0_18_0 } from "./flags-0.18.0.js";
import { FLAGS_0_23_0 } from "./flags-0.23.0.js";

/** vLLM version -> its flags, read off its own parser by tools/vllm-flags. */
const TABLES: Readonly<Record<string, FlagTable>> = {
  "0.18.0": FLAGS_0_18_0,
  "0.23.0": FLAGS_0_23_0,
};

/** Versions whose flags are known, oldest first. */
export const KNOWN_VLLM_VERSIONS: readonly string[] = Object.keys(TABLES);

/** The flags of `vllm serve` of a version, or `undefined` where nobody has read them off yet. */
export function knownFlags(version: string | undefined): FlagTable | undefined {
  return version === undefined || !Object.hasOwn(TABLES, version) ? undefined : TABLES[version];
}
