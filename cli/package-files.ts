import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** A static script of `node/`, from the package that this module belongs to. */
export function readNodeScript(name: string): string {
  return readFileSync(join(packageRoot(), "node", name), "utf8");
}

/** The version of the package. */
export function packageVersion(): string {
  const text = readFileSync(join(packageRoot(), "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** The module lies one level deeper in `dist/` than in the source tree. */
function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, "node", "facts.sh"))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error("the folder node/ of pulumi-vllm-ascend is missing");
    dir = parent;
  }
  return dir;
}
