import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { HOST_SCRIPT_NAMES, type NodeScripts } from "../core/render/stage-script.js";

/** Reads the static files that run on the hosts, from the package that this module belongs to. */
export function loadNodeScripts(): NodeScripts {
  // By its own name a package finds itself, from the source tree as from `dist/`.
  const manifest = createRequire(import.meta.url).resolve("pulumi-vllm-ascend/package.json");
  const dir = join(dirname(manifest), "node");
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
