import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** By its own name a package finds itself, from the source tree as from `dist/`. */
const manifest = createRequire(import.meta.url).resolve("pulumi-vllm-ascend/package.json");

/** A static script of `node/`, from the package that this module belongs to. */
export function readNodeScript(name: string): string {
  return readFileSync(join(dirname(manifest), "node", name), "utf8");
}

/** The version of the package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
}
