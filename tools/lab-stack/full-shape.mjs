import { availableMemoryGb } from "../setup/machine.mjs";

/** The three topologies, in the order in which people meet them. */
export const TOPOLOGIES = /** @type {const} */ (["ray", "data-parallel", "multiprocessing"]);

/**
 * What 16 ranks on two hosts need beside everything else on the machine. Measured with all of vLLM's processes: 12.6 GB at most.
 */
const FULL_SHAPE_GB = 14;

/** @throws Error when the machine cannot carry the 16 ranks of the full shapes */
export function requireMemoryForFullShape() {
  const availableGb = availableMemoryGb();
  if (availableGb >= FULL_SHAPE_GB) return;
  throw new Error(
    `16 ranks of vLLM need ${FULL_SHAPE_GB} GB of free memory, this machine has ${availableGb.toFixed(1)} GB; ` +
      "stop what uses it (labs: npm run lab -- list; the demo: npm run demo:down), or leave out --full for 4 ranks of the same topology",
  );
}
