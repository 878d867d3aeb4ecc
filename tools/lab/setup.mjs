import { join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { withLock } from "./build/lock.mjs";
import { products, sourceDir } from "./build/paths.mjs";
import { say, step } from "./build/progress.mjs";
import { ensureTree, hashInputs } from "./build/stamp.mjs";
import { buildLabRootfs } from "./rootfs/lab-rootfs.mjs";

/**
 * Brings everything that the lab builds and caches up to date and returns where it lies.
 * @param {{images: ("ray" | "vllm")[]}} wanted
 * @returns {Promise<typeof products>}
 */
export async function ensureLab({ images }) {
  await withLock(async () => {
    await ensureRootfs();
    void images;
  });
  return products;
}

async function ensureRootfs() {
  const inputs = hashInputs(sourceDir, [join(sourceDir, "rootfs")]);
  await ensureTree({
    name: "rootfs",
    path: products.rootfs,
    inputs,
    build: (tree) => step("root file system of the lab hosts", 120, () => buildLabRootfs(tree)),
  });
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await ensureLab({ images: [] });
  } catch (error) {
    say(/** @type {Error} */ (error).message);
    process.exitCode = 1;
  }
}
