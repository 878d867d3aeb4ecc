import { MIN_GO } from "./go.mjs";
import { isAtLeast } from "./versions.mjs";

/**
 * @typedef {object} Wanted what is about to run
 * @property {boolean} engine
 * @property {boolean} lab
 * @property {boolean} build something is built from Go modules
 * @property {boolean} labBuild the lab's root filesystem or images are not there yet
 */

/** @typedef {"all" | "engine" | "lab"} Scope what cannot run while the problem lasts */
/** @typedef {{check: string, scope: Scope, problem: string, remedy: string}} Finding */

/**
 * @typedef {object} Check
 * @property {string} name
 * @property {Scope} scope
 * @property {(wanted: Wanted) => boolean} [when]
 * @property {(machine: import("./machine.mjs").Machine, wanted: Wanted) => string | undefined} problem
 * @property {string} remedy
 */

/** @type {readonly Check[]} */
export const CHECKS = [
  {
    name: "platform",
    scope: "all",
    problem: ({ platform, arch }) =>
      platform === "linux" && ["x64", "arm64"].includes(arch)
        ? undefined
        : `${platform} on ${arch}`,
    remedy: "use Linux on x64 or arm64",
  },
  {
    name: "node",
    scope: "all",
    problem: ({ nodeVersion }) =>
      isAtLeast(nodeVersion, "20.0.0") ? undefined : `Node ${nodeVersion}`,
    remedy: "install Node 20 or newer with npm",
  },
  tools("base tools", "all", ["git", "npm", "tar", "flock", "setpriv"], "git npm tar util-linux"),
  tools("ssh client", "engine", ["ssh", "ssh-keygen", "ssh-agent", "ssh-add"], "openssh-client"),
  {
    name: "go",
    scope: "engine",
    when: ({ build }) => build,
    problem: ({ goVersion }) => {
      if (goVersion === undefined) return "no `go` on PATH";
      return isAtLeast(goVersion, MIN_GO) ? undefined : `${goVersion} on PATH`;
    },
    remedy:
      `put Go ${MIN_GO} or newer on PATH (Debian 12's own is too old), ` +
      "or install the official Pulumi CLI and plugins: see docs/toolchain.md",
  },
  {
    name: "disk for the engine",
    scope: "engine",
    when: ({ build }) => build,
    problem: ({ freeDiskGb }) => atLeast(freeDiskGb, 6, "GB free on the disk of the cache"),
    remedy: "free some space, or set VLLM_ASCEND_CACHE to a folder on another disk",
  },
  {
    name: "memory for the engine",
    scope: "engine",
    when: ({ build }) => build,
    problem: ({ availableMemoryGb }) => atLeast(availableMemoryGb, 2, "GB of memory available"),
    remedy: "end other programs: the largest compiler process takes 1.4 GB",
  },
  {
    name: "lab platform",
    scope: "lab",
    problem: ({ arch }) =>
      arch === "x64" ? undefined : `the lab's images exist for x64, not ${arch}`,
    remedy: "use an x64 machine for the lab; unit and engine tests run here",
  },
  {
    name: "root",
    scope: "lab",
    problem: ({ isRoot }) => (isRoot ? undefined : "not root"),
    remedy:
      "run as root: the lab's hosts are namespaces with mounts and network devices of their own",
  },
  tools(
    "lab tools",
    "lab",
    ["apt-get", "dpkg-deb", "ip", "mount", "nsenter", "unshare"],
    "apt dpkg iproute2 mount util-linux",
  ),
  {
    name: "overlay filesystem",
    scope: "lab",
    problem: ({ overlayProblem }) => overlayProblem,
    remedy:
      "the kernel must offer overlayfs (modprobe overlay) to root, and VLLM_ASCEND_CACHE must lie on " +
      "an ordinary filesystem such as ext4 or xfs, not on an overlay or NFS",
  },
  {
    name: "disk for the lab",
    scope: "lab",
    problem: ({ freeDiskGb }, { labBuild }) =>
      atLeast(freeDiskGb, labBuild ? 20 : 5, "GB free on the disk of the cache"),
    remedy: "free some space, or set VLLM_ASCEND_CACHE to a folder on another disk",
  },
  {
    name: "memory for the lab",
    scope: "lab",
    problem: ({ availableMemoryGb }) => atLeast(availableMemoryGb, 8, "GB of memory available"),
    remedy: "end other programs, or use a larger machine: two hosts with vLLM take about 5 GB",
  },
];

/**
 * All findings at once, so that one round of repairs is enough.
 * @param {import("./machine.mjs").Machine} machine
 * @param {Wanted} wanted
 * @returns {Finding[]}
 */
export function findProblems(machine, wanted) {
  return CHECKS.filter(
    ({ scope, when }) => isWanted(scope, wanted) && (when === undefined || when(wanted)),
  ).flatMap(({ name, scope, problem, remedy }) => {
    const found = problem(machine, wanted);
    return found === undefined ? [] : [{ check: name, scope, problem: found, remedy }];
  });
}

/** @param {Finding[]} findings */
export function renderFindings(findings) {
  return findings
    .map(({ check, problem, remedy }) => `  ${check}: ${problem}\n    remedy: ${remedy}`)
    .join("\n");
}

/** @param {Scope} scope @param {Wanted} wanted */
function isWanted(scope, { engine, lab }) {
  return scope === "all" || (scope === "engine" && engine) || (scope === "lab" && lab);
}

/**
 * @param {string} name
 * @param {Scope} scope
 * @param {string[]} programs
 * @param {string} packages of Debian
 * @returns {Check}
 */
function tools(name, scope, programs, packages) {
  return {
    name,
    scope,
    problem: (machine) => {
      const missing = programs.filter((program) => machine.tools[program] === undefined);
      return missing.length === 0 ? undefined : `not on PATH: ${missing.join(", ")}`;
    },
    remedy: `install the Debian packages that have them (of ${packages})`,
  };
}

/** @param {number} found @param {number} wanted @param {string} what */
function atLeast(found, wanted, what) {
  return found >= wanted ? undefined : `${found.toFixed(1)} ${what}, wanted ${wanted}`;
}
