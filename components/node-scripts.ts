import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { NODE_SCRIPT_NAMES, type NodeScripts } from "../core/render/stage-script.js";

/** Reads the static files that run on the hosts, from the package that this module belongs to. */
export function loadNodeScripts(): NodeScripts {
  const dir = join(packageRoot(), "node");
  return Object.fromEntries(
    NODE_SCRIPT_NAMES.map((name) => [name, readFileSync(join(dir, name), "utf8")]),
  ) as NodeScripts;
}

/** The module lies one level deeper in `dist/` than in the source tree. */
function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, "node", "commit.sh"))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error("the folder node/ of pulumi-vllm-ascend is missing");
    dir = parent;
  }
  return dir;
}
