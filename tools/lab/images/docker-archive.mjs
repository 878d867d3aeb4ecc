import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

/**
 * @typedef {object} Layer
 * @property {string} name
 * @property {string} tree directory whose content the layer is
 */

/**
 * Writes an image in the format of `docker save`, unpacked, from directory trees: one layer each.
 * No docker is needed, and the same trees and settings give the same image id.
 * @param {string} directory empty
 * @param {object} image
 * @param {string} image.tag
 * @param {Layer[]} image.layers bottom first
 * @param {Record<string, string>} image.env
 * @returns {Promise<string>} the image id
 */
export async function writeDockerArchive(directory, { tag, layers, env }) {
  mkdirSync(directory, { recursive: true });
  /** @type {string[]} */
  const digests = [];
  for (const layer of layers) {
    digests.push(`sha256:${await writeTar(layer.tree, join(directory, `${layer.name}.tar`))}`);
  }
  const config = JSON.stringify({
    architecture: "amd64",
    os: "linux",
    created: epoch,
    config: {
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      Cmd: ["/bin/bash"],
      WorkingDir: "/root",
    },
    rootfs: { type: "layers", diff_ids: digests },
    history: layers.map(({ name }) => ({ created: epoch, created_by: `lab layer ${name}` })),
  });
  const id = createHash("sha256").update(config).digest("hex");
  writeFileSync(join(directory, `${id}.json`), config);
  writeFileSync(
    join(directory, "manifest.json"),
    JSON.stringify([
      {
        Config: `${id}.json`,
        RepoTags: [tag],
        Layers: layers.map(({ name }) => `${name}.tar`),
      },
    ]),
  );
  return `sha256:${id}`;
}

const epoch = "1970-01-01T00:00:00Z";

/**
 * @param {string} tree
 * @param {string} path
 * @returns {Promise<string>} SHA-256 of the tar file
 */
async function writeTar(tree, path) {
  const tar = spawn(
    "tar",
    [
      ...["--create", "--file=-", "--sort=name", "--mtime=@0", "--numeric-owner"],
      ...["--format=gnu", "--one-file-system", `--directory=${tree}`, "."],
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let complaint = "";
  tar.stderr.on("data", (part) => {
    complaint += part;
  });
  /** @type {Promise<number | null>} */
  const exit = new Promise((resolve, reject) => {
    tar.on("error", reject);
    tar.on("close", resolve);
  });
  const hash = createHash("sha256");
  await pipeline(
    tar.stdout,
    async function* (parts) {
      for await (const part of parts) {
        hash.update(part);
        yield part;
      }
    },
    createWriteStream(path),
  );
  const code = await exit;
  if (code !== 0)
    throw new Error(`Packing the image layer ${tree} failed (exit ${code}): ${complaint}`);
  return hash.digest("hex");
}
