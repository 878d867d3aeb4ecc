import { existsSync, mkdirSync, readFileSync, statfsSync } from "node:fs";
import { freemem } from "node:os";
import { join } from "node:path";
import { goEnv } from "./go.mjs";
import { cacheDir } from "./paths.mjs";
import { capture, findOnPath } from "./run.mjs";

const TOOLS = [
  ...["git", "go", "npm", "tar", "flock", "setpriv"],
  ...["ssh", "ssh-keygen", "ssh-agent", "ssh-add"],
  ...["apt-get", "dpkg-deb", "ip", "mount", "nsenter", "unshare"],
];

/**
 * @typedef {object} Machine what the preflight knows of the machine
 * @property {string} platform
 * @property {string} arch
 * @property {string} nodeVersion
 * @property {boolean} isRoot
 * @property {Record<string, string | undefined>} tools paths by name
 * @property {string | undefined} goVersion
 * @property {number} freeDiskGb where the cache lies
 * @property {number} availableMemoryGb
 * @property {string | undefined} overlayProblem why an overlay cannot be mounted on the cache's disk
 */

/**
 * @param {{overlay: boolean}} what the overlay is tried out only when it is needed
 * @returns {Promise<Machine>}
 */
export async function inspectMachine({ overlay }) {
  const tools = Object.fromEntries(TOOLS.map((name) => [name, findOnPath(name)]));
  mkdirSync(cacheDir, { recursive: true });
  const disk = statfsSync(cacheDir);
  return {
    platform: process.platform,
    arch: process.arch,
    nodeVersion: process.versions.node,
    isRoot: process.getuid?.() === 0,
    tools,
    goVersion: tools["go"] === undefined ? undefined : await goVersion(tools["go"]),
    freeDiskGb: (disk.bavail * disk.bsize) / 1e9,
    availableMemoryGb: availableMemoryGb(),
    overlayProblem: overlay ? await tryOverlay() : undefined,
  };
}

/** @param {string} go @returns {Promise<string | undefined>} */
async function goVersion(go) {
  const { ok, stdout } = await capture(go, ["env", "GOVERSION"], { env: goEnv() });
  return ok ? stdout.trim() : undefined;
}

/** Memory that new processes can have without swapping, in units of 10^9 bytes. */
export function availableMemoryGb() {
  const path = "/proc/meminfo";
  const kib = existsSync(path)
    ? /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync(path, "utf8"))?.[1]
    : undefined;
  return (kib === undefined ? freemem() : Number(kib) * 1024) / 1e9;
}

/** Mounts one in a mount namespace of its own, which takes everything away again. */
async function tryOverlay() {
  const dir = join(cacheDir, "overlay-check");
  const script = `
    trap 'umount "$1/merged" 2>/dev/null; rm -rf "$1"' EXIT
    mkdir -p "$1/lower" "$1/upper" "$1/work" "$1/merged" &&
    mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/merged" &&
    touch "$1/merged/file"`;
  const args = [
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    script,
    "sh",
    `${dir}.${process.pid}`,
  ];
  const { ok, stderr } = await capture("unshare", args);
  return ok ? undefined : stderr.trim().split("\n")[0] || "unshare --mount failed";
}
