import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { HOST_SCRIPT_NAMES, type NodeScripts } from "../core/render/stage-script.js";

/** By its own name a package finds itself, from the source tree as from `dist/`. */
const manifest = createRequire(import.meta.url).resolve("pulumi-vllm-ascend/package.json");

/** A static script of `node/`, from the package that this module belongs to. */
export function readNodeScript(name: string): string {
  return readFileSync(join(dirname(manifest), "node", name), "utf8");
}

/** What is staged on every node; `components/node-scripts.ts` reads the same for `pulumi up` (a test compares them). */
export function readNodeScripts(): NodeScripts {
  const modules = readdirSync(join(dirname(manifest), "node", "supervisor"), {
    recursive: true,
    encoding: "utf8",
  })
    .filter((path) => path.endsWith(".py"))
    .map((path) => path.replaceAll("\\", "/"));
  const read = (names: readonly string[], folder = "") =>
    Object.fromEntries(names.map((name) => [name, readNodeScript(`${folder}${name}`)]));
  return {
    host: read(HOST_SCRIPT_NAMES) as NodeScripts["host"],
    supervisor: read(modules, "supervisor/"),
  };
}

/** The version of the package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
}
