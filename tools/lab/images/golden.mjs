import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runLogged } from "../../setup/run.mjs";
import { products, sourceDir, workDir } from "../build/paths.mjs";
import { removeTree } from "../build/tree.mjs";
import { writeDockerArchive } from "./docker-archive.mjs";

/**
 * Makes a dockerd data root that holds one image: `image/`, `overlay2/` and the file `image-id`. A
 * lab host gets it in two seconds and without disk: `cp -a image`, `cp -al overlay2`.
 * @param {string} tree
 * @param {object} image
 * @param {string} image.name
 * @param {string} image.tag
 * @param {import("./docker-archive.mjs").Layer[]} image.layers bottom first
 * @param {Record<string, string>} image.env
 * @param {number} image.lock
 * @returns {Promise<void>}
 */
export async function buildGoldenRoot(tree, { name, lock, ...image }) {
  const archive = join(workDir, "archive");
  const scratch = join(workDir, "dockerd");
  for (const leftover of [archive, scratch]) await removeTree(leftover);
  mkdirSync(scratch, { recursive: true });
  const id = await writeDockerArchive(archive, image);
  await runLogged(
    "unshare",
    [
      ...["--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"],
      ...["/bin/bash", join(sourceDir, "images", "load-image.sh")],
      ...[products.rootfs, scratch, archive],
    ],
    {
      what: `Loading ${image.tag} into a dockerd`,
      log: `lab-load-${name}`,
      lock,
      timeoutSec: 1800,
    },
  );
  for (const part of ["image", "overlay2"])
    renameSync(join(scratch, "data", part), join(tree, part));
  writeFileSync(join(tree, "image-id"), `${id}\n`);
  for (const leftover of [archive, scratch]) await removeTree(leftover);
}
