import { readdirSync } from "node:fs";
import { join } from "node:path";
import { repoDir } from "../setup/paths.mjs";

/**
 * @typedef {object} Layer
 * @property {string} name
 * @property {string[]} folders
 * @property {import("../setup/toolchain.mjs").Need} need
 * @property {number} timeoutSec of one test, unless the test sets its own
 * @property {boolean} isQuick files that compute and are done in moments: one mocha spreads them over the
 *   cores. Otherwise a file gets a mocha of its own, and files of all such layers run side by side:
 *   none may disturb another.
 * @property {boolean} showTests a line per test below the one of the file
 */

/** @type {readonly Layer[]} */
export const LAYERS = [
  {
    name: "unit",
    folders: [
      ...["core", "components", "cli", "provider", "stacks", "tools", "policy", "templates"],
    ].map((name) => `test/${name}`),
    need: {},
    timeoutSec: 20,
    isQuick: true,
    showTests: false,
  },
  {
    // Programs as such, on this machine: what runs on the hosts with stand-ins for docker, Ray and vLLM,
    // the CLI, the stand-ins themselves. Real processes and real waits, too slow for the layer above.
    name: "processes",
    folders: ["test/node", "test/processes"],
    need: {},
    timeoutSec: 60,
    isQuick: false,
    showTests: false,
  },
  {
    name: "engine",
    folders: ["test/engine"],
    need: { engine: true },
    timeoutSec: 300,
    isQuick: false,
    showTests: true,
  },
  {
    name: "lab",
    folders: ["test/lab"],
    need: { engine: true, lab: true },
    timeoutSec: 600,
    isQuick: false,
    showTests: true,
  },
];

/**
 * Files that take longer than a minute, on two cores with another one beside them. The longest start
 * first, so that none is left alone at the end; what is not listed is taken for a minute.
 * @type {Readonly<Record<string, number>>}
 */
export const EXPECTED_SEC = {
  "test/lab/vllm-data-parallel.test.ts": 450,
  "test/lab/gpustack.test.ts": 480,
  "test/lab/vllm-multiprocessing.test.ts": 420,
  "test/lab/vllm.test.ts": 420,
  "test/lab/recovery-headless.test.ts": 400,
  "test/lab/recovery.test.ts": 380,
  "test/lab/lifecycle.test.ts": 330,
  "test/lab/failures.test.ts": 210,
  "test/lab/preflight.test.ts": 240,
  "test/lab/four-nodes.test.ts": 150,
  "test/lab/arrival.test.ts": 180,
  "test/lab/interruption.test.ts": 270,
  "test/lab/canary.test.ts": 240,
  "test/lab/smoke.test.ts": 180,
  "test/lab/rollback.test.ts": 300,
};

/** @typedef {{layer: Layer, files: string[]}} Selection */

/** @typedef {{layer: Layer, files: readonly string[], expectedSec: number}} Job one process of mocha */

/**
 * @param {readonly Selection[]} selections
 * @returns {Job[]} longest first
 */
export function jobsOf(selections) {
  return selections
    .flatMap(({ layer, files }) =>
      layer.isQuick ? [{ layer, files }] : files.map((file) => ({ layer, files: [file] })),
    )
    .map(({ layer, files }) => ({
      layer,
      files,
      expectedSec: Math.max(...files.map((file) => EXPECTED_SEC[file] ?? 60)),
    }))
    .sort((a, b) => b.expectedSec - a.expectedSec);
}

/**
 * How many files run side by side. Starts of Ray and vLLM use a core each for a minute, and more of them than cores
 * miss their time limits; the largest, two hosts with vLLM, take about 5 GB.
 * @param {{cores: number, availableMemoryGb: number}} machine
 */
export function jobsAtATime({ cores, availableMemoryGb }) {
  return Math.max(1, Math.min(cores, Math.floor(availableMemoryGb / 5)));
}

/**
 * @param {string[]} args of the command line: names of layers, paths below test/, --jobs, options for mocha
 * @param {readonly string[]} files all test files, as paths from the repository
 * @returns {{selections: Selection[], mochaArgs: string[], jobs: number | undefined}}
 */
export function selectTests(args, files) {
  /** @type {string[]} */
  const names = [];
  /** @type {string[]} */
  const paths = [];
  /** @type {string[]} */
  const mochaArgs = [];
  /** @type {number | undefined} */
  let jobs;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "--jobs" || arg === "-j") jobs = positiveInteger(arg, args[++i]);
    else if (OPTIONS_WITH_VALUE.includes(arg)) mochaArgs.push(arg, args[++i] ?? "");
    else if (arg.startsWith("-")) mochaArgs.push(arg);
    else if (LAYERS.some(({ name }) => name === arg)) names.push(arg);
    else paths.push(arg.replace(/^\.\//, "").replace(/\/$/, ""));
  }
  const unknown = paths.filter((path) => !files.some((file) => isBelow(file, path)));
  if (unknown.length > 0) {
    throw new Error(
      `${unknown.join(", ")}: neither a layer (${LAYERS.map(({ name }) => name).join(", ")}) ` +
        "nor a test file or a folder of them",
    );
  }
  const everything = names.length === 0 && paths.length === 0;
  const selections = LAYERS.map((layer) => {
    const own = files.filter((file) => layer.folders.some((folder) => isBelow(file, folder)));
    const isWhole = everything || names.includes(layer.name);
    return {
      layer,
      files: own.filter((file) => isWhole || paths.some((path) => isBelow(file, path))),
    };
  }).filter(({ layer, files: own }) => own.length > 0 || everything || names.includes(layer.name));
  return { selections, mochaArgs, jobs };
}

/** @returns {string[]} paths from the repository, sorted */
export function findTestFiles() {
  return readdirSync(join(repoDir, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts"))
    .map((path) => `test/${path}`)
    .sort();
}

/** @param {string} option @param {string | undefined} value */
function positiveInteger(option, value = "") {
  if (/^[1-9]\d*$/.test(value)) return Number(value);
  throw new Error(`${option}: how many files at a time, a whole number above 0, got "${value}"`);
}

/** @param {string} file @param {string} path */
function isBelow(file, path) {
  return file === path || file.startsWith(`${path}/`);
}

const OPTIONS_WITH_VALUE = ["-g", "--grep", "-f", "--fgrep", "-t", "--timeout"];
