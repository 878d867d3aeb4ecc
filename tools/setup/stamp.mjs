import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { withLock } from "./lock.mjs";
import { cacheDir } from "./paths.mjs";
import { step } from "./progress.mjs";

/**
 * @typedef {object} Part one thing that set-up makes once and keeps
 * @property {string} name of its stamp, lock and log
 * @property {string} title for the progress line
 * @property {string} inputs whatever the content depends on, as one string
 * @property {string[]} outputs paths that exist when the part is complete
 * @property {number} expectedSec on two idle cores
 * @property {(lock: number) => Promise<void>} make puts the outputs in place only when complete
 */

/**
 * Makes a part unless its stamp names the same inputs.
 * @param {Part} part
 * @returns {Promise<void>}
 */
export async function ensurePart(part) {
  if (isFresh(part)) return;
  await withLock(part.name, async (lock) => {
    if (isFresh(part)) return; // made by the set-up that held the lock
    rmSync(stampPath(part.name), { force: true });
    await step(part.title, part.expectedSec, () => part.make(lock));
    mkdirSync(join(cacheDir, "stamp"), { recursive: true });
    writeFileSync(stampPath(part.name), `${part.inputs}\n`);
  });
}

/** @param {Pick<Part, "name" | "inputs" | "outputs">} part */
export function isFresh({ name, inputs, outputs }) {
  return readStamp(name) === inputs && outputs.every((path) => existsSync(path));
}

/** @param {string} name @returns {string | undefined} */
export function readStamp(name) {
  const path = stampPath(name);
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

/**
 * Hash over files (folders with all that is below) and literal values.
 * @param {string} root paths enter the hash relative to this folder
 * @param {string[]} paths
 * @param {string[]} [values]
 */
export function hashInputs(root, paths, values = []) {
  const hash = createHash("sha256");
  for (const file of paths.flatMap(filesBelow).sort()) {
    hash
      .update(`${relative(root, file)}\0`)
      .update(readFileSync(file))
      .update("\0");
  }
  return hash.update(JSON.stringify(values)).digest("hex").slice(0, 32);
}

/** @param {string} path @returns {string[]} */
function filesBelow(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => filesBelow(join(path, name)));
}

/** @param {string} name */
function stampPath(name) {
  return join(cacheDir, "stamp", name);
}
