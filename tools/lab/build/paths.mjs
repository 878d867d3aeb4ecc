import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const repository = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

/** Everything that set-up produces lies below this folder; git ignores it. */
export const cacheDir = resolve(process.env["VLLM_ASCEND_CACHE"] || join(repository, ".cache"));

export const labDir = join(cacheDir, "lab");
export const logDir = join(cacheDir, "log");

/** Sources of the lab: `tools/lab`. */
export const sourceDir = join(repository, "tools", "lab");

/**
 * What finished builds leave behind. `golden.<image>` is a dockerd data root (`image`, `overlay2`)
 * that a host copies by hard links; `models` holds one directory per model.
 */
export const products = {
  rootfs: join(labDir, "rootfs"),
  golden: { ray: join(labDir, "golden", "ray"), vllm: join(labDir, "golden", "vllm") },
  models: join(labDir, "models"),
};

/** Intermediate trees; gone again once the products that need them are complete. */
export const workDir = join(labDir, "build");
