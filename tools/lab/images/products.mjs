import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { hashInputs } from "../../setup/stamp.mjs";
import { suite } from "../build/apt.mjs";
import { products, sourceDir, workDir } from "../build/paths.mjs";
import { removeTree } from "../build/tree.mjs";
import { buildLabRootfs } from "../rootfs/lab-rootfs.mjs";
import { buildGoldenRoot } from "./golden.mjs";
import { images } from "./images.mjs";
import {
  basePackages,
  buildBaseLayer,
  buildBuilderLayer,
  builderPackages,
  buildGpustackLayer,
  buildRayLayer,
  buildStandinLayer,
  buildVllmLayer,
  gpustackPackages,
} from "./layers.mjs";
import { buildStandinModel, buildTinyModel, tinyModels } from "./models.mjs";

/** @typedef {keyof typeof images} ImageName */

/** @typedef {import("../build/part.mjs").LabPart} LabPart */

/** @typedef {ImageName | "gpustack"} ProductName what can be asked for beside the hosts */

/**
 * What the hosts of a lab need.
 * @param {ProductName[]} names
 * @returns {LabPart[]}
 */
export function labParts(names) {
  return [rootfs(), ...names.flatMap(forImage)];
}

/**
 * Removes what building has left. What a change of the stand-in needs stays, so that it takes seconds.
 * @returns {Promise<void>}
 */
export async function removeIntermediates() {
  const kept = [baseLayer(), rayLayer()].map(({ path }) => path);
  for (const name of existsSync(workDir) ? readdirSync(workDir) : []) {
    const path = join(workDir, name);
    if (!kept.includes(path)) await removeTree(path);
  }
}

/** @param {ProductName} name @returns {LabPart[]} */
function forImage(name) {
  if (name === "gpustack") return [gpustackLayer()];
  if (name === "ray") return [standinModel(), goldenRay()];
  return [tinyModel("tiny-dense"), tinyModel("tiny-moe"), goldenVllm()];
}

/** @returns {LabPart} */
function rootfs() {
  return {
    name: "rootfs",
    path: products.rootfs,
    inputs: hashSources(["rootfs", "build/debian.mjs"], [suite]),
    title: "root file system of the lab hosts",
    expectedSec: 100,
    needs: [],
    build: buildLabRootfs,
  };
}

/** @returns {LabPart} */
export function baseLayer() {
  return {
    name: "layer-base",
    path: join(workDir, "layer-base"),
    inputs: hashSources(["build/debian.mjs"], [suite, basePackages]),
    title: "Debian layer of the images",
    expectedSec: 70,
    needs: [],
    build: buildBaseLayer,
  };
}

/** @returns {LabPart} */
export function builderLayer() {
  const base = baseLayer();
  return {
    name: "layer-builder",
    path: join(workDir, "layer-builder"),
    inputs: hashSources(
      ["images/uv.lock", "images/install-builder.sh"],
      [base.inputs, builderPackages],
    ),
    title: "compiler and uv for building the images",
    expectedSec: 15,
    needs: [base],
    build: (tree, lock) => buildBuilderLayer(tree, base.path, lock),
  };
}

/** @returns {LabPart} */
export function rayLayer() {
  const [base, builder] = [baseLayer(), builderLayer()];
  return {
    name: "layer-ray",
    path: join(workDir, "layer-ray"),
    inputs: hashSources(
      ["images/ray.lock", "images/install-locked.sh", "images/compile-python.sh"],
      [base.inputs],
    ),
    title: "Ray layer of the images",
    expectedSec: 10,
    needs: [builder],
    build: (tree, lock) => buildRayLayer(tree, [builder.path, base.path], lock),
  };
}

/** @returns {LabPart} */
function standinLayer() {
  return {
    name: "layer-standin",
    path: join(workDir, "layer-standin"),
    inputs: hashSources(["images/standin"]),
    title: "stand-in vllm layer of the Ray image",
    expectedSec: 1,
    needs: [],
    build: buildStandinLayer,
  };
}

/** @returns {LabPart} */
export function vllmLayer() {
  const [base, builder, ray] = [baseLayer(), builderLayer(), rayLayer()];
  return {
    name: "layer-vllm",
    path: join(workDir, "layer-vllm"),
    inputs: hashSources(["images/vllm.lock", "images/vllm", "images/finish-vllm.sh"], [ray.inputs]),
    title: "vLLM layer of the image, 1.1 GB of downloads",
    expectedSec: 150,
    needs: [builder, ray],
    build: (tree, lock) => buildVllmLayer(tree, [builder.path, ray.path, base.path], lock),
  };
}

/** @returns {LabPart} the server of tools/gpustack-lab; no host and no image contains it */
export function gpustackLayer() {
  const [base, builder] = [baseLayer(), builderLayer()];
  return {
    name: "gpustack",
    path: products.gpustack,
    inputs: hashSources(
      ["gpustack.lock", "install-locked.sh", "compile-python.sh", "unpack-packages.sh"].map(
        (name) => `images/${name}`,
      ),
      [base.inputs, gpustackPackages],
    ),
    title: "GPUStack server and PostgreSQL",
    expectedSec: 60,
    needs: [builder],
    build: (tree, lock) =>
      buildGpustackLayer(tree, { builder: builder.path, base: base.path, lock }),
  };
}

/** @returns {LabPart} */
function goldenRay() {
  return golden("ray", [baseLayer(), rayLayer(), standinLayer()], 15);
}

/** @returns {LabPart} */
function goldenVllm() {
  return golden("vllm", [baseLayer(), rayLayer(), vllmLayer()], 90);
}

/**
 * @param {ImageName} name
 * @param {LabPart[]} layers bottom first
 * @param {number} expectedSec
 * @returns {LabPart}
 */
function golden(name, layers, expectedSec) {
  const { tag, env } = images[name];
  return {
    name: `golden-${name}`,
    path: products.golden[name],
    inputs: hashSources(
      ["images/docker-archive.mjs", "images/load-image.sh"],
      [tag, env, ...layers.map(({ inputs }) => inputs)],
    ),
    title: `image ${tag} in a docker data root`,
    expectedSec,
    needs: [rootfs(), ...layers],
    build: (tree, lock) =>
      buildGoldenRoot(tree, {
        name,
        lock,
        tag,
        env,
        layers: layers.map((layer) => ({ name: layer.name, tree: layer.path })),
      }),
  };
}

/** @returns {LabPart} */
function standinModel() {
  return {
    name: "model-tiny-standin",
    path: join(products.models, "tiny-standin"),
    inputs: hashSources(["images/models.mjs"]),
    title: "model directory for the stand-in",
    expectedSec: 1,
    needs: [],
    build: buildStandinModel,
  };
}

/** @param {keyof typeof tinyModels} name @returns {LabPart} */
function tinyModel(name) {
  const layers = [vllmLayer(), rayLayer(), baseLayer()];
  return {
    name: `model-${name}`,
    path: join(products.models, name),
    inputs: hashSources(["images/vllm/make_tiny_model.py", "images/vllm.lock"], [tinyModels[name]]),
    title: `model ${name}`,
    expectedSec: 10,
    needs: layers,
    build: (tree, lock) =>
      buildTinyModel(tree, {
        lock,
        kind: tinyModels[name],
        layers: layers.map(({ path }) => path),
      }),
  };
}

/** @param {string[]} paths below tools/lab @param {unknown} [values] */
function hashSources(paths, values = []) {
  return hashInputs(
    sourceDir,
    paths.map((path) => join(sourceDir, path)),
    [JSON.stringify(values)],
  );
}
