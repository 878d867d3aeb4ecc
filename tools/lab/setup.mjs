import { arch, argv } from "node:process";
import { fileURLToPath } from "node:url";
import { withLock } from "../setup/lock.mjs";
import { say } from "../setup/progress.mjs";
import { messageOf } from "../setup/run.mjs";
import { ensureLabPart, isLabPartFresh } from "./build/part.mjs";
import { products } from "./build/paths.mjs";
import { labParts, removeIntermediates } from "./images/products.mjs";

/** @typedef {import("./images/products.mjs").ProductName} ProductName */

/**
 * Brings everything that the lab builds and caches up to date, and says where it lies. Safe to run
 * twice at once and after a crash: finished parts are kept, half-built ones are built anew.
 * @param {{images: ProductName[]}} wanted no image: the root file system of the hosts only
 * @returns {Promise<typeof products>}
 */
export async function ensureLab({ images: names }) {
  if (arch !== "x64") {
    throw new Error(`The lab's images exist for x86-64 only; this machine is ${arch}.`);
  }
  const wanted = labParts(names);
  if (!wanted.every(isLabPartFresh)) {
    await withLock("lab", async () => {
      for (const part of wanted) await ensureLabPart(part);
      await removeIntermediates();
    });
  }
  return products;
}

/** @type {Record<string, ProductName[]>} */
const targets = {
  rootfs: [],
  ray: ["ray"],
  vllm: ["vllm"],
  gpustack: ["gpustack"],
  all: ["ray", "vllm", "gpustack"],
};

if (argv[1] === fileURLToPath(import.meta.url)) {
  const target = argv[2] ?? "all";
  const names = targets[target];
  try {
    if (names === undefined) {
      throw new Error(`unknown target "${target}"; known: ${Object.keys(targets).join(", ")}`);
    }
    const { rootfs: root, golden: roots, gpustack } = await ensureLab({ images: names });
    const made = names.map((name) => (name === "gpustack" ? gpustack : roots[name]));
    say(`ready: ${[root, ...made].join(" ")}`);
  } catch (error) {
    say(messageOf(error));
    process.exitCode = 1;
  }
}
