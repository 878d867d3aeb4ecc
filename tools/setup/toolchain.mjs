import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findProblems, renderFindings } from "./checks.mjs";
import { engineEnv, ensureEngine, planEngine } from "./engine.mjs";
import { inspectMachine } from "./machine.mjs";
import { ensureNode } from "./node.mjs";
import { ensurePackages } from "./packages.mjs";
import { cacheDir, repoDir } from "./paths.mjs";

/** @typedef {{engine?: boolean, lab?: boolean}} Need the lab needs the engine too */

/**
 * @typedef {object} Toolchain
 * @property {NodeJS.ProcessEnv} env for every process that uses the toolchain; has no backend and no passphrase
 * @property {string} node path
 * @property {string} nodeVersion
 * @property {string | undefined} pulumi path; undefined when the engine was not asked for
 * @property {{name: string, version: string, kind: "official" | "double"}[]} plugins
 * @property {unknown} lab what `ensureLab` of tools/lab/setup.mjs returned
 * @property {string} summary one line: what is in use, official or double
 */

export class PreflightError extends Error {
  /** @param {import("./checks.mjs").Finding[]} findings */
  constructor(findings) {
    super(`this machine is not ready:\n${renderFindings(findings)}`);
    this.findings = findings;
  }
}

/**
 * What is missing on the machine for `need`; changes nothing.
 * @param {Need} need
 * @returns {Promise<import("./checks.mjs").Finding[]>}
 */
export async function checkMachine(need) {
  return (await preflight(need)).findings;
}

/**
 * Brings everything that `need` takes up to date: checks the machine, then installs, downloads or
 * builds what is missing below the cache. Packages and Node are always part of it.
 * @param {{need: Need}} options
 * @returns {Promise<Toolchain>}
 */
export async function ensureToolchain({ need }) {
  const { findings, plan } = await preflight(need);
  if (findings.length > 0) throw new PreflightError(findings);
  await ensurePackages();
  const node = await ensureNode();
  const engine = plan === undefined ? undefined : await ensureEngine(plan);
  const lab = need.lab === true ? await ensureLab() : undefined;
  return {
    env: engineEnv(engine, node.path),
    node: node.path,
    nodeVersion: node.version,
    pulumi: engine?.pulumi,
    plugins: engine?.plugins ?? [],
    lab,
    summary: describeToolchain({ node, engine }),
  };
}

/**
 * One line for the top of every run.
 * @param {{node: import("./node.mjs").NodeChoice, engine: import("./engine.mjs").Engine | undefined}} parts
 */
export function describeToolchain({ node, engine }) {
  const parts = [`Node ${node.version} (${node.source})`];
  if (engine !== undefined) {
    const source = {
      machine: "machine's own",
      official: "official",
      built: "built from Go modules",
    };
    const kind = { official: "official", double: "test double" };
    parts.push(
      `Pulumi ${engine.version} (${source[engine.source]})`,
      `nodejs language host (${kind[engine.host]})`,
      ...engine.plugins.map((p) => `${p.name} plugin ${p.version} (${kind[p.kind]})`),
    );
  }
  return `toolchain: ${parts.join(", ")}`;
}

/** @param {Need} need */
async function preflight(need) {
  const plan = need.engine || need.lab ? await planEngine() : undefined;
  const machine = await inspectMachine({ overlay: need.lab === true && process.getuid?.() === 0 });
  const findings = findProblems(machine, {
    engine: plan !== undefined,
    lab: need.lab === true,
    build: plan?.needsGo === true,
    labBuild: !existsSync(join(cacheDir, "lab", "golden", "vllm")),
  });
  return { findings, plan };
}

/** The lab has its own set-up; see tools/lab/setup.mjs. */
async function ensureLab() {
  const setup = join(repoDir, "tools", "lab", "setup.mjs");
  const { ensureLab: make } = await import(pathToFileURL(setup).href);
  return make({ images: ["ray", "vllm", "gpustack"] });
}
