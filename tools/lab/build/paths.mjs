import { join } from "node:path";
import { cacheDir, repoDir } from "../../setup/paths.mjs";

export const labDir = join(cacheDir, "lab");

/** Sources of the lab: `tools/lab`. */
export const sourceDir = join(repoDir, "tools", "lab");

/**
 * What finished builds leave behind. `golden.<image>` is a dockerd data root (`image`, `overlay2`)
 * that a host copies by hard links; `models` holds one directory per model.
 */
export const products = {
  rootfs: join(labDir, "rootfs"),
  golden: { ray: join(labDir, "golden", "ray"), vllm: join(labDir, "golden", "vllm") },
  models: join(labDir, "models"),
  /** GPUStack and PostgreSQL; the upper directory over `baseLayer`. */
  gpustack: join(labDir, "gpustack"),
};

/** Intermediate trees; gone again once the products that need them are complete. */
export const workDir = join(labDir, "build");
