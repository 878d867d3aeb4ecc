import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { labDir } from "./paths.mjs";
import { refuseIfMounted, removeTree } from "./tree.mjs";

/**
 * Brings a directory up to date: kept when its stamp names the same inputs, else built beside its
 * place and moved there when complete, so that a path never shows half a tree.
 * @param {object} product
 * @param {string} product.name
 * @param {string} product.path
 * @param {string} product.inputs hash of everything the content depends on
 * @param {(tree: string) => Promise<void>} product.build fills the empty directory `tree`
 * @returns {Promise<void>}
 */
export async function ensureTree({ name, path, inputs, build }) {
  if (isFresh({ name, path, inputs })) return;
  refuseIfMounted(path);
  rmSync(stampOf(name), { force: true });
  const partial = `${path}.partial`;
  await removeTree(partial);
  mkdirSync(partial, { recursive: true });
  await build(partial);
  await removeTree(path);
  renameSync(partial, path);
  mkdirSync(dirname(stampOf(name)), { recursive: true });
  writeFileSync(stampOf(name), `${inputs}\n`);
}

/** @param {{name: string, path: string, inputs: string}} product */
export function isFresh({ name, path, inputs }) {
  return (
    existsSync(path) &&
    existsSync(stampOf(name)) &&
    readFileSync(stampOf(name), "utf8").trim() === inputs
  );
}

/**
 * Hash over files (directories with all that is below) and literal values.
 * @param {string} root paths enter the hash relative to this directory
 * @param {string[]} paths
 * @param {unknown[]} [values]
 */
export function hashInputs(root, paths, values = []) {
  const hash = createHash("sha256");
  for (const file of paths.flatMap(filesBelow).sort()) {
    const executable = (statSync(file).mode & 0o111) !== 0;
    hash
      .update(`${relative(root, file)}\0${executable}\0`)
      .update(readFileSync(file))
      .update("\0");
  }
  hash.update(JSON.stringify(values));
  return hash.digest("hex");
}

/** @param {string} path @returns {string[]} */
function filesBelow(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .filter((name) => name !== "__pycache__")
    .flatMap((name) => filesBelow(join(path, name)));
}

/** @param {string} name */
function stampOf(name) {
  return join(labDir, "stamp", name);
}
