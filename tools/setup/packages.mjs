import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { withLock } from "./lock.mjs";
import { cacheDir, repoDir } from "./paths.mjs";
import { step } from "./progress.mjs";
import { runLogged } from "./run.mjs";

/**
 * Installs the repository's npm packages when they differ from package-lock.json.
 * @returns {Promise<void>}
 */
export async function ensurePackages() {
  if (arePackagesFresh()) return;
  await withLock("packages", async (lock) => {
    if (arePackagesFresh()) return;
    await step("npm packages of the repository", 20, () =>
      npmCi(repoDir, { what: "npm ci", log: "setup-packages", lock }),
    );
  });
}

/**
 * Installs what the lock file in `folder` names: no install scripts, nothing in the user's npm cache.
 * @param {string} folder
 * @param {{what: string, log: string, lock: number}} options
 */
export async function npmCi(folder, { what, log, lock }) {
  // `npm run --silent` would hand its silence down, and the log would be empty.
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=warn"];
  await runLogged("npm", args, {
    what,
    log,
    timeoutSec: 900,
    cwd: folder,
    env: { ...process.env, npm_config_cache: join(cacheDir, "npm") },
    lock,
  });
}

/** @typedef {{packages: Record<string, {version?: string, integrity?: string, optional?: boolean, devOptional?: boolean}>}} LockFile */

/**
 * npm notes what it has installed in a hidden lock file, as its last step.
 * @param {LockFile} wanted package-lock.json
 * @param {LockFile} installed node_modules/.package-lock.json
 */
export function isInstalled(wanted, installed) {
  const paths = Object.keys(wanted.packages).filter((path) => path !== "");
  const known = new Set(paths);
  return (
    Object.keys(installed.packages).every((path) => known.has(path)) &&
    paths.every((path) => {
      const want = wanted.packages[path];
      const have = installed.packages[path];
      if (have === undefined) return want?.optional === true || want?.devOptional === true;
      return have.version === want?.version && have.integrity === want?.integrity;
    })
  );
}

function arePackagesFresh() {
  const hidden = join(repoDir, "node_modules", ".package-lock.json");
  return (
    existsSync(hidden) &&
    isInstalled(readJson(join(repoDir, "package-lock.json")), readJson(hidden))
  );
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}
