import { ensureDist } from "../../tools/setup/dist.mjs";
import { ensureToolchain, type Toolchain } from "../../tools/setup/toolchain.mjs";

let ready: Promise<Toolchain> | undefined;

/** The engine with its plugins and the compiled CLI; set-up is done once per process and only where it is stale. */
export function engineToolchain(): Promise<Toolchain> {
  ready ??= ensureToolchain({ need: { engine: true } }).then(async (toolchain) => {
    await ensureDist(toolchain);
    return toolchain;
  });
  return ready;
}
