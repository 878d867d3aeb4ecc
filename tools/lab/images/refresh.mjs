import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { withLock } from "../../setup/lock.mjs";
import { say } from "../../setup/progress.mjs";
import { ensureLabPart } from "../build/part.mjs";
import { sourceDir, workDir } from "../build/paths.mjs";
import { removeTree } from "../build/tree.mjs";
import { runInLayers } from "./layers.mjs";
import { baseLayer, builderLayer, rayLayer, removeIntermediates, vllmLayer } from "./products.mjs";

/**
 * For whoever changes a version: writes the files of this folder that are generated.
 * `node tools/lab/images/refresh.mjs locks`: gpustack.lock, ray.lock and vllm.lock from *.in.
 * `node tools/lab/images/refresh.mjs flags`: the stand-in's table of flags from the real vLLM.
 */
const refreshes = {
  locks: async (/** @type {number} */ lock) => {
    await ensureLabPart(builderLayer());
    const locks = await inChroot(
      [builderLayer(), baseLayer()],
      "relock.sh",
      "Resolving the locks",
      lock,
    );
    for (const name of ["gpustack.lock", "ray.lock", "vllm.lock"]) {
      copyFileSync(join(locks, name), join(sourceDir, "images", name));
    }
  },
  flags: async (/** @type {number} */ lock) => {
    const layers = [vllmLayer(), rayLayer(), baseLayer()];
    for (const layer of layers) await ensureLabPart(layer);
    const output = await inChroot(layers, "dump-flags.sh", "Reading the flags of vllm serve", lock);
    const table = readFileSync(join(output, "vllm-flags.json"), "utf8");
    writeFileSync(join(sourceDir, "images/standin/vllm_standin/vllm-flags.json"), table);
  },
};

/**
 * @param {import("../build/part.mjs").LabPart[]} layers topmost first
 * @param {string} script writes its results to /run/cache/output
 * @param {string} what
 * @param {number} lock
 * @returns {Promise<string>} the directory of the results
 */
async function inChroot(layers, script, what, lock) {
  const scratch = join(workDir, "refresh");
  const cache = join(workDir, "uv-cache");
  await removeTree(scratch);
  mkdirSync(scratch, { recursive: true });
  await runInLayers(scratch, {
    lower: layers.map(({ path }) => path),
    cache,
    lock,
    command: [`/run/source/${script}`],
    what,
  });
  return join(cache, "output");
}

const refresh = refreshes[/** @type {keyof typeof refreshes} */ (argv[2])];
if (refresh === undefined) {
  say("usage: refresh.mjs locks|flags");
  process.exitCode = 2;
} else {
  await withLock("lab", async (lock) => {
    await refresh(lock);
    await removeIntermediates();
  });
  say("written; format with npm run fix, look at the difference, build and run the lab tests");
}
