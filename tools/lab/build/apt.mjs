import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { outputOf } from "./command.mjs";
import { workDir } from "./paths.mjs";

export const suite = "bookworm";
export const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * @typedef {object} PrivateApt
 * @property {string} config value for APT_CONFIG
 * @property {string} bin a directory with a `wget` for debootstrap
 * @property {NodeJS.ProcessEnv} env
 */

/**
 * An apt of its own on the first of the machine's package sources that is Debian's.
 * @returns {Promise<{mirror: string, apt: PrivateApt}>}
 */
export async function workingApt() {
  const mirrors = await debianMirrors();
  /** @type {string[]} */
  const refusals = [];
  for (const mirror of mirrors) {
    try {
      const apt = makePrivateApt(
        join(workDir, "apt"),
        mirror,
        await outputOf("apt-config", ["dump"]),
      );
      await outputOf("apt-get", ["update", "-qq", "--error-on=any"], { env: apt.env });
      return { mirror, apt };
    } catch (error) {
      refusals.push(`  ${mirror}: ${/** @type {Error} */ (error).message}`);
    }
  }
  throw new Error(
    "The lab's root file systems are made from Debian packages, but no package source of this " +
      `machine gives Debian ${suite}:\n${refusals.join("\n") || "  none is set"}\n` +
      "Set one in /etc/apt/sources.list (component main), check it with `apt-get update`, run again.",
  );
}

/**
 * Downloads packages with all that they need beyond what a root file system has installed.
 * @param {string} directory receives the .deb files
 * @param {{packages: string[], installedIn: string}} options
 * @returns {Promise<void>}
 */
export async function downloadPackages(directory, { packages, installedIn }) {
  const { apt } = await workingApt();
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, "partial"), { recursive: true });
  await outputOf(
    "apt-get",
    [
      ...["install", "-qq", "--download-only", "--no-install-recommends"],
      ...["-o", `Dir::State::status=${join(installedIn, "var/lib/dpkg/status")}`],
      ...["-o", `Dir::Cache::archives=${directory}`, ...packages],
    ],
    { env: apt.env },
  );
}

/**
 * Package sources of the machine that may hold Debian itself, likeliest first. A wrong guess does
 * no harm: its signature is not Debian's.
 * @returns {Promise<string[]>}
 */
async function debianMirrors() {
  const targets = await outputOf("apt-get", [
    "indextargets",
    "--format",
    "$(RELEASE) $(COMPONENT) $(REPO_URI)",
    "Created-By: Packages",
  ]);
  return sortMirrors(targets);
}

/**
 * @param {string} targets lines `<release> <component> <URI>`
 * @returns {string[]}
 */
export function sortMirrors(targets) {
  const sources = targets
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([release, component]) => component === "main" && !/-|\//.test(release ?? "-"))
    .map(([release, , uri]) => ({ uri: uri ?? "", likely: rank(release ?? "", uri ?? "") }))
    .sort((one, other) => other.likely - one.likely);
  return [...new Set(sources.map(({ uri }) => uri))];
}

/** @param {string} release @param {string} uri */
function rank(release, uri) {
  return (/\/debian\/?$/.test(uri) ? 2 : 0) + (release === suite ? 1 : 0);
}

/**
 * An apt with state, cache, sources and hooks of its own; it keeps how the machine reaches its
 * mirrors (proxy, certificates, credentials).
 * @param {string} path
 * @param {string} mirror
 * @param {string} machineConfig output of `apt-config dump`
 * @returns {PrivateApt}
 */
function makePrivateApt(path, mirror, machineConfig) {
  rmSync(path, { recursive: true, force: true });
  for (const directory of [
    ...["etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "etc/trusted.gpg.d"],
    ...["state/lists/partial", "cache/archives/partial", "log", "bin"],
  ]) {
    mkdirSync(join(path, directory), { recursive: true });
  }
  writeFileSync(join(path, "status"), "");
  writeFileSync(
    join(path, "etc/sources.list"),
    `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`,
  );
  const config = join(path, "apt.conf");
  writeFileSync(
    config,
    [
      ...machineConfig
        .split("\n")
        .filter(
          (line) => line.startsWith("Acquire::") && !line.startsWith("Acquire::IndexTargets"),
        ),
      `Dir::Etc "${path}/etc";`,
      'Dir::Etc::netrc "/etc/apt/auth.conf";',
      'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";',
      `Dir::State "${path}/state";`,
      `Dir::State::status "${path}/status";`,
      `Dir::Cache "${path}/cache";`,
      `Dir::Log "${path}/log";`,
      'Acquire::Languages "none";',
      'Acquire::Retries "3";',
      'APT::Sandbox::User "root";',
      "",
    ].join("\n"),
  );
  const bin = join(path, "bin");
  writeFileSync(join(bin, "wget"), wget);
  chmodSync(join(bin, "wget"), 0o755);
  return { config, bin, env: { ...process.env, APT_CONFIG: config, LC_ALL: "C.UTF-8" } };
}

/** debootstrap calls `wget [OPTION...] -O FILE URL`; a fresh machine has no wget but always apt. */
const wget = `#!/bin/sh
while [ $# -gt 3 ]; do shift; done
exec /usr/lib/apt/apt-helper -qq download-file "$3" "$2"
`;
