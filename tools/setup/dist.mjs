import { chmodSync } from "node:fs";
import { join } from "node:path";
import { repoDir } from "./paths.mjs";
import { runLogged } from "./run.mjs";
import { ensurePart, hashInputs } from "./stamp.mjs";

const SOURCES = ["components", "core", "cli", "provider", "tsconfig.json", "tsconfig.build.json"];

/**
 * Compiles the package into `dist/`, where `npx vllm-cluster` and the preflight of every `pulumi up` find the CLI.
 * @param {{node: string, env: NodeJS.ProcessEnv}} toolchain
 */
export async function ensureDist({ node, env }) {
  const cli = join(repoDir, "dist", "cli", "main.js");
  await ensurePart({
    name: "dist",
    title: "vllm-cluster compiled from its source",
    inputs: hashInputs(
      repoDir,
      SOURCES.map((source) => join(repoDir, source)),
    ),
    outputs: [cli],
    expectedSec: 10,
    make: async (lock) => {
      const compiler = join(repoDir, "node_modules", "typescript", "bin", "tsc");
      await runLogged(node, [compiler, "-p", "tsconfig.build.json"], {
        what: "tsc",
        log: "setup-dist",
        timeoutSec: 300,
        cwd: repoDir,
        env,
        lock,
      });
      chmodSync(cli, 0o755);
    },
  });
}
