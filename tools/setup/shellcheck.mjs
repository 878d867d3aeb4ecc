import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { workingApt } from "../lab/build/apt.mjs";
import { withLock } from "./lock.mjs";
import { cacheDir } from "./paths.mjs";
import { capture } from "./run.mjs";
import { ensurePart } from "./stamp.mjs";

/** Of Debian 12, with the two libraries that not every machine has. */
const PACKAGES = ["shellcheck=0.9.0-1", "libffi8", "libgmp10"];

/**
 * shellcheck, unpacked from Debian's package; nothing is installed on the machine.
 * @returns {Promise<{path: string, env: NodeJS.ProcessEnv}>}
 */
export async function ensureShellcheck() {
  const target = join(cacheDir, "shellcheck");
  const path = join(target, "usr", "bin", "shellcheck");
  await ensurePart({
    name: "shellcheck",
    title: "shellcheck from Debian",
    inputs: PACKAGES.join(" "),
    outputs: [path],
    expectedSec: 15,
    make: async () => {
      const partial = `${target}.partial`;
      rmSync(partial, { recursive: true, force: true });
      mkdirSync(partial, { recursive: true });
      // The lab's private apt is one folder: its lock keeps a lab set-up from using it meanwhile.
      await withLock("lab", async () => {
        const { apt } = await workingApt();
        await must("apt-get", ["download", "-qq", ...PACKAGES], { cwd: partial, env: apt.env });
      });
      for (const file of readdirSync(partial)) {
        await must("dpkg-deb", ["--extract", join(partial, file), partial], {});
        rmSync(join(partial, file));
      }
      rmSync(target, { recursive: true, force: true });
      renameSync(partial, target);
    },
  });
  const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  return {
    path,
    env: { ...process.env, LD_LIBRARY_PATH: join(target, "usr", "lib", triplet) },
  };
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv}} options
 */
async function must(command, args, options) {
  const { ok, stdout, stderr } = await capture(command, args, { ...options, timeoutMs: 300_000 });
  if (!ok) throw new Error(`${command} ${args.join(" ")}: ${(stderr || stdout).trim()}`);
}
