import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { HOST_SCRIPT_NAMES, type NodeScripts } from "../core/render/stage-script.js";

/** Reads the static files that run on the hosts, from the package that this module belongs to. */
export function loadNodeScripts(): NodeScripts {
  const dir = join(packageRoot(), "node");
  const modules = readdirSync(join(dir, "supervisor"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".py"))
    .map((path) => path.replaceAll("\\", "/"));
  return {
    host: readFiles(dir, HOST_SCRIPT_NAMES) as NodeScripts["host"],
    supervisor: readFiles(join(dir, "supervisor"), modules),
  };
}

function readFiles(dir: string, names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(dir, name), "utf8")]));
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
