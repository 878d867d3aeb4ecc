import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { runLogged } from "../../setup/run.mjs";
import { downloadPackages } from "../build/apt.mjs";
import { outputOf } from "../build/command.mjs";
import { bootstrapDebian } from "../build/debian.mjs";
import { sourceDir, workDir } from "../build/paths.mjs";
import { removeTree } from "../build/tree.mjs";

const imageSource = join(sourceDir, "images");
const uvCache = join(workDir, "uv-cache");

/** vLLM links libgomp and libnuma; the other packages are what one looks around with in a container. */
export const basePackages = [
  ...["python3", "libgomp1", "libnuma1"],
  ...["iproute2", "procps", "curl", "ca-certificates"],
];

/** python3-venv brings pip, which brings uv; gcc and binutils make the CUDA stubs. */
export const builderPackages = ["python3-venv", "gcc", "libc6-dev", "binutils"];

/** The server's database; as little of it as starts. */
export const gpustackPackages = ["postgresql-15"];

/** Debian part of both images. @param {string} tree @param {number} lock */
export async function buildBaseLayer(tree, lock) {
  await bootstrapDebian(tree, { packages: basePackages, log: "lab-layer-base", lock });
  for (const unused of ["usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/info"]) {
    for (const name of readdirSync(join(tree, unused))) {
      rmSync(join(tree, unused, name), { recursive: true });
    }
  }
  // Docker gives each container its own; while building, the machine's is mounted here.
  for (const file of ["etc/resolv.conf", "etc/hostname"]) writeFileSync(join(tree, file), "");
}

/**
 * Compiler, pip and uv above the base: used while building, part of no image.
 * @param {string} tree
 * @param {string} base
 * @param {number} lock
 */
export async function buildBuilderLayer(tree, base, lock) {
  const debs = join(workDir, "builder-debs");
  await downloadPackages(debs, { packages: builderPackages, installedIn: base });
  await runInLayers(tree, {
    lower: [base],
    lock,
    cache: debs,
    command: ["/run/source/install-builder.sh"],
    what: "Installing compiler, pip and uv into the builder layer",
  });
  await removeTree(debs);
}

/**
 * Python environment with Ray.
 * @param {string} tree
 * @param {string[]} lower
 * @param {number} lock
 */
export async function buildRayLayer(tree, lower, lock) {
  await runInLayers(tree, {
    lower,
    lock,
    command: ["/run/source/install-locked.sh", "ray.lock"],
    what: "Installing Ray",
  });
  await compilePython(tree, lower, lock);
}

/**
 * vLLM and torch, made to run without a GPU and without CUDA, above Ray's layer.
 * @param {string} tree
 * @param {string[]} lower
 * @param {number} lock
 */
export async function buildVllmLayer(tree, lower, lock) {
  await runInLayers(tree, {
    lower,
    lock,
    command: ["/run/source/install-locked.sh", "vllm.lock"],
    what: "Installing vLLM",
  });
  await runInLayers(tree, {
    lower,
    lock,
    command: ["/run/source/finish-vllm.sh"],
    what: "Making vLLM run without CUDA",
  });
  await compilePython(tree, lower, lock);
  // 2.3 GB that the next step, loading the image, would have to find beside its own 10 GB.
  await removeTree(uvCache);
}

/**
 * Python environment with the GPUStack server, and the programs of PostgreSQL.
 * @param {string} tree
 * @param {{builder: string, base: string, lock: number}} options
 */
export async function buildGpustackLayer(tree, { builder, base, lock }) {
  const debs = join(workDir, "gpustack-debs");
  await downloadPackages(debs, { packages: gpustackPackages, installedIn: base });
  await runInLayers(tree, {
    lower: [base],
    lock,
    cache: debs,
    command: ["/run/source/unpack-packages.sh"],
    what: "Unpacking PostgreSQL",
  });
  await removeTree(debs);
  await runInLayers(tree, {
    lower: [builder, base],
    lock,
    command: ["/run/source/install-locked.sh", "gpustack.lock"],
    what: "Installing GPUStack",
  });
  await compilePython(tree, [builder, base], lock);
  await removeTree(uvCache);
}

/**
 * The stand-in `vllm` of the Ray image.
 * @param {string} tree
 */
export async function buildStandinLayer(tree) {
  const source = join(imageSource, "standin");
  const venv = join(tree, "opt/venv");
  cpSync(join(source, "bin"), join(venv, "bin"), { recursive: true });
  for (const name of ["vllm_standin", "vllm", "torch"]) {
    cpSync(join(source, name), join(venv, "lib/python3.11/site-packages", name), {
      recursive: true,
      filter: (path) => !path.endsWith("__pycache__"),
    });
  }
}

/** @param {string} tree @param {string[]} lower @param {number} lock */
async function compilePython(tree, lower, lock) {
  await runInLayers(tree, {
    lower,
    lock,
    command: ["/run/source/compile-python.sh"],
    what: "Compiling Python byte code",
  });
}

/**
 * Runs a command in a chroot of stacked layers; what it writes lands in `tree`.
 * @param {string} tree
 * @param {object} options
 * @param {string[]} options.lower layers below, topmost first
 * @param {number} options.lock
 * @param {string} [options.cache] directory that is seen as /run/cache
 * @param {string[]} options.command a bash script of the chroot and its arguments
 * @param {string} options.what
 */
export async function runInLayers(tree, { lower, lock, cache, command, what }) {
  await runLogged(
    "unshare",
    [
      ...["--mount", "--pid", "--fork", "--kill-child"],
      ...["/bin/bash", join(imageSource, "chroot-on-layers.sh")],
      ...[tree, lower.join(":"), imageSource, cache ?? uvCache, "/bin/bash", ...command],
    ],
    { what, log: `lab-${logName(command)}`, lock, timeoutSec: 3600, env: buildEnvironment() },
  );
  for (const leftover of [`${tree}.root`, `${tree}.work`]) await removeTree(leftover);
  await refuseDeletions(tree);
}

/** @param {string[]} command */
function logName([script = "", ...args]) {
  return [basename(script, ".sh"), ...args.map((arg) => basename(arg, ".lock"))].join("-");
}

/**
 * An overlay marks a deleted file by a device 0:0, which an image layer does not know.
 * @param {string} tree
 */
async function refuseDeletions(tree) {
  const deleted = (await outputOf("find", [tree, "-type", "c"])).trim();
  if (deleted !== "") {
    throw new Error(
      `Image layers can only add files, but this build deletes files below:\n${deleted}`,
    );
  }
}

/** How the machine reaches its Python package index, and nothing else of its environment. */
function buildEnvironment() {
  /** @type {NodeJS.ProcessEnv} */
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  for (const [name, value] of Object.entries(process.env)) {
    if (
      /^(https?|no|all)_proxy$|^(UV|PIP)_(INDEX_URL|DEFAULT_INDEX|EXTRA_INDEX_URL)$/i.test(name)
    ) {
      env[name] = value;
    }
  }
  env["SSL_CERT_FILE"] = process.env["SSL_CERT_FILE"] ?? process.env["PIP_CERT"];
  env["UV_DEFAULT_INDEX"] ??= env["PIP_INDEX_URL"];
  return env;
}
