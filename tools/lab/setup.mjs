import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { suite } from "./build/apt.mjs";
import { withLock } from "./build/lock.mjs";
import { products, sourceDir, workDir } from "./build/paths.mjs";
import { say, step } from "./build/progress.mjs";
import { ensureTree, hashInputs, isFresh } from "./build/stamp.mjs";
import { removeTree } from "./build/tree.mjs";
import { buildGoldenRoot } from "./images/golden.mjs";
import { images } from "./images/images.mjs";
import {
  basePackages,
  buildBaseLayer,
  buildBuilderLayer,
  builderPackages,
  buildRayLayer,
  buildStandinLayer,
  buildVllmLayer,
} from "./images/layers.mjs";
import { buildStandinModel, buildTinyModel, tinyModels } from "./images/models.mjs";
import { buildLabRootfs } from "./rootfs/lab-rootfs.mjs";

/** @typedef {keyof typeof images} ImageName */

/**
 * One thing that set-up makes. `needs` are made first, if this one is stale.
 * @typedef {object} Product
 * @property {string} name
 * @property {string} path
 * @property {string} inputs hash of everything its content depends on
 * @property {string} title
 * @property {number} expectedSec
 * @property {Product[]} needs
 * @property {(tree: string) => Promise<void>} build
 */

/**
 * Brings everything that the lab builds and caches up to date, and says where it lies. Safe to run
 * twice at once and after a crash: finished parts are kept, half-built ones are built anew.
 * @param {{images: ImageName[]}} wanted no image: the root file system of the hosts only
 * @returns {Promise<typeof products>}
 */
export async function ensureLab({ images: names }) {
  const wanted = [rootfs(), ...names.flatMap(forImage)];
  if (!wanted.every(isFresh)) {
    await withLock(async () => {
      for (const product of wanted) await ensure(product);
      await removeIntermediates();
    });
  }
  return products;
}

/** @param {Product} product */
async function ensure(product) {
  if (isFresh(product)) return;
  for (const need of product.needs) await ensure(need);
  await ensureTree({
    ...product,
    build: (tree) => step(product.title, product.expectedSec, () => product.build(tree)),
  });
}

/** Stays: what a change of the stand-in needs, so that it takes seconds. */
async function removeIntermediates() {
  const kept = [baseLayer(), rayLayer()].map(({ path }) => path);
  for (const name of existsSync(workDir) ? readdirSync(workDir) : []) {
    const path = join(workDir, name);
    if (!kept.includes(path)) await removeTree(path);
  }
}

/** @param {ImageName} name @returns {Product[]} */
function forImage(name) {
  if (name === "ray") return [standinModel(), goldenRay()];
  return [tinyModel("tiny-dense"), tinyModel("tiny-moe"), goldenVllm()];
}

/** @returns {Product} */
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

/** @returns {Product} */
function baseLayer() {
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

/** @returns {Product} */
function builderLayer() {
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
    build: (tree) => buildBuilderLayer(tree, base.path),
  };
}

/** @returns {Product} */
function rayLayer() {
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
    build: (tree) => buildRayLayer(tree, [builder.path, base.path]),
  };
}

/** @returns {Product} */
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

/** @returns {Product} */
function vllmLayer() {
  const [base, builder, ray] = [baseLayer(), builderLayer(), rayLayer()];
  return {
    name: "layer-vllm",
    path: join(workDir, "layer-vllm"),
    inputs: hashSources(["images/vllm.lock", "images/vllm", "images/finish-vllm.sh"], [ray.inputs]),
    title: "vLLM layer of the image, 1.1 GB of downloads",
    expectedSec: 150,
    needs: [builder, ray],
    build: (tree) => buildVllmLayer(tree, [builder.path, ray.path, base.path]),
  };
}

/** @returns {Product} */
function goldenRay() {
  return golden("ray", [baseLayer(), rayLayer(), standinLayer()], 15);
}

/** @returns {Product} */
function goldenVllm() {
  return golden("vllm", [baseLayer(), rayLayer(), vllmLayer()], 90);
}

/**
 * @param {ImageName} name
 * @param {Product[]} layers bottom first
 * @param {number} expectedSec
 * @returns {Product}
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
    build: (tree) =>
      buildGoldenRoot(tree, {
        tag,
        env,
        layers: layers.map((layer) => ({ name: layer.name, tree: layer.path })),
      }),
  };
}

/** @returns {Product} */
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

/** @param {keyof typeof tinyModels} name @returns {Product} */
function tinyModel(name) {
  const layers = [vllmLayer(), rayLayer(), baseLayer()];
  return {
    name: `model-${name}`,
    path: join(products.models, name),
    inputs: hashSources(["images/vllm/make_tiny_model.py", "images/vllm.lock"], [tinyModels[name]]),
    title: `model ${name}`,
    expectedSec: 10,
    needs: layers,
    build: (tree) =>
      buildTinyModel(tree, {
        kind: tinyModels[name],
        layers: layers.map(({ path }) => path),
      }),
  };
}

/** @param {string[]} paths below tools/lab @param {unknown[]} [values] */
function hashSources(paths, values) {
  return hashInputs(
    sourceDir,
    paths.map((path) => join(sourceDir, path)),
    values,
  );
}

/** @type {Record<string, ImageName[]>} */
const targets = { rootfs: [], ray: ["ray"], vllm: ["vllm"], all: ["ray", "vllm"] };

if (argv[1] === fileURLToPath(import.meta.url)) {
  const target = argv[2] ?? "all";
  const names = targets[target];
  try {
    if (names === undefined) {
      throw new Error(`unknown target "${target}"; known: ${Object.keys(targets).join(", ")}`);
    }
    const { rootfs: root, golden: roots, models } = await ensureLab({ images: names });
    say(
      `ready: ${[root, ...names.map((name) => roots[name]), ...(names.length ? [models] : [])].join(" ")}`,
    );
  } catch (error) {
    say(/** @type {Error} */ (error).message);
    process.exitCode = 1;
  }
}
