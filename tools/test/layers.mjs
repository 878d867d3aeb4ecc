import { readdirSync } from "node:fs";
import { join } from "node:path";
import { repoDir } from "../setup/paths.mjs";

/**
 * @typedef {object} Layer
 * @property {string} name
 * @property {string[]} folders
 * @property {import("../setup/toolchain.mjs").Need} need
 * @property {number} timeoutSec of one test, unless the test sets its own
 * @property {boolean} isParallel files side by side: no file of the layer may disturb another
 * @property {boolean} showTests one line per test instead of one per file
 */

/** @type {readonly Layer[]} */
export const LAYERS = [
  {
    name: "unit",
    folders: ["core", "components", "cli", "stacks", "tools"].map((name) => `test/${name}`),
    need: {},
    timeoutSec: 20,
    isParallel: true,
    showTests: false,
  },
  {
    // What runs on the hosts, with stand-ins for docker, Ray and vLLM: real processes and real waits,
    // too slow for the layer above.
    name: "node",
    folders: ["test/node"],
    need: {},
    timeoutSec: 60,
    isParallel: false,
    showTests: false,
  },
  {
    name: "engine",
    folders: ["test/engine"],
    need: { engine: true },
    timeoutSec: 300,
    isParallel: false,
    showTests: true,
  },
  {
    name: "lab",
    folders: ["test/lab"],
    need: { engine: true, lab: true },
    timeoutSec: 600,
    isParallel: false,
    showTests: true,
  },
];

/** @typedef {{layer: Layer, files: string[]}} Selection */

/**
 * @param {string[]} args of the command line: names of layers, paths below test/, options for mocha
 * @param {readonly string[]} files all test files, as paths from the repository
 * @returns {{selections: Selection[], mochaArgs: string[]}}
 */
export function selectTests(args, files) {
  /** @type {string[]} */
  const names = [];
  /** @type {string[]} */
  const paths = [];
  /** @type {string[]} */
  const mochaArgs = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (OPTIONS_WITH_VALUE.includes(arg)) mochaArgs.push(arg, args[++i] ?? "");
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
  return { selections, mochaArgs };
}

/** @returns {string[]} paths from the repository, sorted */
export function findTestFiles() {
  return readdirSync(join(repoDir, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts"))
    .map((path) => `test/${path}`)
    .sort();
}

/** @param {string} file @param {string} path */
function isBelow(file, path) {
  return file === path || file.startsWith(`${path}/`);
}

const OPTIONS_WITH_VALUE = ["-g", "--grep", "-f", "--fgrep", "-t", "--timeout"];
