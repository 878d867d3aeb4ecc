import { cpSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { npmCi } from "./packages.mjs";
import { cacheDir, repoDir } from "./paths.mjs";
import { capture, findOnPath } from "./run.mjs";
import { ensurePart, hashInputs } from "./stamp.mjs";
import { isAtLeast } from "./versions.mjs";

/** The Pulumi SDK needs it since 3.249. */
const MIN_NODE = "22.12.0";

/** @typedef {{path: string, version: string, source: "machine" | "npm package"}} NodeChoice */

/**
 * Node for the engine, the tests and the linters: the machine's when it is new enough, else the
 * pinned npm package of the platform.
 * @returns {Promise<NodeChoice>}
 */
export async function ensureNode() {
  const own = findOnPath("node");
  const found = own === undefined ? undefined : await nodeVersion(own);
  if (own !== undefined && found !== undefined && isAtLeast(found, MIN_NODE)) {
    return { path: own, version: found, source: "machine" };
  }
  const path = await ensureNodePackage();
  const version = await nodeVersion(path);
  if (version === undefined) {
    throw new Error(
      `${path} does not start on this machine: install Node ${MIN_NODE} or newer and put it on PATH`,
    );
  }
  return { path, version, source: "npm package" };
}

async function ensureNodePackage() {
  const source = join(repoDir, "tools", "node");
  const target = join(cacheDir, "node");
  const path = join(target, "node_modules", `node-linux-${process.arch}`, "bin", "node");
  await ensurePart({
    name: "node",
    title: "Node 22 from npm",
    inputs: hashInputs(source, [source], [process.arch]),
    outputs: [path],
    expectedSec: 10,
    make: async (lock) => {
      const partial = `${target}.partial`;
      rmSync(partial, { recursive: true, force: true });
      mkdirSync(dirname(partial), { recursive: true });
      cpSync(source, partial, { recursive: true });
      // The package `node` would run an install script; the platform packages are only files.
      await npmCi(partial, { what: "npm ci of tools/node", log: "setup-node", lock });
      rmSync(target, { recursive: true, force: true });
      renameSync(partial, target);
    },
  });
  return path;
}

/** @param {string} node @returns {Promise<string | undefined>} */
async function nodeVersion(node) {
  const { ok, stdout } = await capture(node, ["-v"]);
  return ok ? stdout.trim().replace(/^v/, "") : undefined;
}
