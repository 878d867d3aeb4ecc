import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repoDir } from "./paths.mjs";

/** @typedef {{major: number, minor: number, patch: number}} Version */

/**
 * The versions that the product is built for; package.json is where they are pinned.
 * @returns {{pulumi: string, plugins: {name: string, version: string}[]}}
 */
export function pinnedVersions() {
  const manifest = JSON.parse(readFileSync(join(repoDir, "package.json"), "utf8"));
  /** @type {Record<string, string>} */
  const pins = manifest.devDependencies;
  const pin = (/** @type {string} */ name) => {
    const version = pins[name];
    if (version === undefined || parseVersion(version) === undefined) {
      throw new Error(
        `package.json: devDependencies must pin ${name} to one version, got ${version}`,
      );
    }
    return version;
  };
  return {
    pulumi: pin("@pulumi/pulumi"),
    plugins: ["command", "docker"].map((name) => ({ name, version: pin(`@pulumi/${name}`) })),
  };
}

/**
 * @param {string} text such as `v3.259.0`, `go1.26.8` or `3.260.0-alpha.1`
 * @returns {Version | undefined}
 */
export function parseVersion(text) {
  const match = /^(?:v|go)?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?$/.exec(text.trim());
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0) };
}

/**
 * An installed engine is good when it is of the pinned major version and not older than the pin:
 * the program's SDK expects at least the features of its own version.
 * @param {string} found
 * @param {string} pinned
 */
export function isSuitableEngine(found, pinned) {
  const a = parseVersion(found);
  const b = parseVersion(pinned);
  return a !== undefined && b !== undefined && a.major === b.major && !isBefore(a, b);
}

/** @param {string} found @param {string} wanted */
export function isAtLeast(found, wanted) {
  const a = parseVersion(found);
  const b = parseVersion(wanted);
  return a !== undefined && b !== undefined && !isBefore(a, b);
}

/** @param {Version} a @param {Version} b */
function isBefore(a, b) {
  return (a.major - b.major || a.minor - b.minor || a.patch - b.patch) < 0;
}
