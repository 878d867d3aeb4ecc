import { mkdirSync, renameSync } from "node:fs";
import { ensurePart, isFresh } from "../../setup/stamp.mjs";
import { refuseIfMounted, removeTree } from "./tree.mjs";

/**
 * A directory that the lab's set-up makes.
 * @typedef {object} LabPart
 * @property {string} name
 * @property {string} path
 * @property {string} inputs hash of everything its content depends on
 * @property {string} title
 * @property {number} expectedSec
 * @property {LabPart[]} needs made first, if this one is stale
 * @property {(tree: string, lock: number) => Promise<void>} build fills the empty directory `tree`
 */

/**
 * Makes what is stale, the needs first. A tree is built beside its place and moved there when
 * complete, so that a path never shows half a tree.
 * @param {LabPart} part
 * @returns {Promise<void>}
 */
export async function ensureLabPart(part) {
  if (isLabPartFresh(part)) return;
  for (const need of part.needs) await ensureLabPart(need);
  const { path } = part;
  await ensurePart({
    ...asPart(part),
    make: async (lock) => {
      refuseIfMounted(path);
      const partial = `${path}.partial`;
      await removeTree(partial);
      mkdirSync(partial, { recursive: true });
      await part.build(partial, lock);
      await removeTree(path);
      renameSync(partial, path);
    },
  });
}

/** @param {LabPart} part */
export function isLabPartFresh(part) {
  return isFresh(asPart(part));
}

/** @param {LabPart} part */
function asPart({ name, path, inputs, title, expectedSec }) {
  return { name: `lab-${name}`, title, inputs, outputs: [path], expectedSec };
}
