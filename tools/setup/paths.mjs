import { join, resolve } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";

export const repoDir = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");

/** Everything that set-up produces lies below this folder; git ignores it. */
export const cacheDir = resolve(env["VLLM_ASCEND_CACHE"] || join(repoDir, ".cache"));

export const logDir = join(cacheDir, "log");

/** Sources of the pinned Go modules. */
export const engineSourceDir = join(repoDir, "tools", "engine");

/** `bin/` goes on PATH: the CLI and, beside it, its language host. `official/` and `double/` do not. */
export const engineDir = join(cacheDir, "engine");

/** The engine's home; the user's own is never touched. */
export const pulumiHome = join(cacheDir, "pulumi-home");
