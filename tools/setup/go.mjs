import { mkdirSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { cacheDir, engineDir, engineSourceDir } from "./paths.mjs";
import { runLogged } from "./run.mjs";
import { ensurePart, hashInputs, isFresh } from "./stamp.mjs";
import { pinnedVersions } from "./versions.mjs";

/** Named in every go.mod below tools/engine. */
export const MIN_GO = "1.26.0";

const CLI_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";

/**
 * @typedef {object} GoBuild
 * @property {string} module folder below tools/engine
 * @property {string} title
 * @property {string} output
 * @property {string[]} args of `go build`
 * @property {number} expectedSec on two idle cores, downloads included
 */

/** @returns {{cli: GoBuild, host: GoBuild, command: GoBuild, docker: GoBuild}} */
export function goBuilds() {
  const { pulumi, plugins } = pinnedVersions();
  const plugin = (/** @type {string} */ name) => plugins.find((p) => p.name === name)?.version;
  return {
    cli: {
      module: "cli",
      title: `Pulumi CLI ${pulumi} from Go modules`,
      output: join(engineDir, "bin", "pulumi"),
      args: [
        ...["-tags", "osusergo,grpcnotrace"],
        ...["-ldflags", `-s -w -X ${CLI_VERSION_VARIABLE}=v${pulumi}`],
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
      ],
      expectedSec: 240,
    },
    host: {
      module: "language-nodejs",
      title: "nodejs language host (test double) from Go modules",
      // Anywhere else than beside the CLI the engine warns on every run.
      output: join(engineDir, "bin", "pulumi-language-nodejs"),
      args: ["-ldflags", `-s -w -X main.Version=${pulumi}`, "."],
      expectedSec: 15,
    },
    command: {
      module: "command",
      title: "command plugin (test double) from Go modules",
      output: join(engineDir, "double", "pulumi-resource-command"),
      args: ["-ldflags", `-s -w -X main.Version=${plugin("command")}`, "."],
      expectedSec: 45,
    },
    docker: {
      module: "docker",
      title: "docker plugin (test double) from Go modules",
      output: join(engineDir, "double", "pulumi-resource-docker"),
      args: [
        ...["-tags", "no_compose"],
        ...["-ldflags", `-s -w -X main.Version=${plugin("docker")}`],
        ".",
      ],
      expectedSec: 260,
    },
  };
}

/** @param {GoBuild} build */
export function isBuilt(build) {
  return isFresh(partOf(build));
}

/** @param {GoBuild} build */
export async function ensureBuilt(build) {
  await ensurePart(partOf(build));
}

/** @param {GoBuild} build @returns {string} changes with the sources and the flags */
export function buildInputs(build) {
  const dir = join(engineSourceDir, build.module);
  return hashInputs(dir, [dir], [process.arch, ...build.args]);
}

/** @param {GoBuild} build @returns {import("./stamp.mjs").Part} */
function partOf(build) {
  return {
    name: `go-${build.module}`,
    title: build.title,
    inputs: buildInputs(build),
    outputs: [build.output],
    expectedSec: build.expectedSec,
    make: async (lock) => {
      const partial = `${build.output}.partial`;
      mkdirSync(dirname(partial), { recursive: true });
      await runLogged("go", ["build", "-trimpath", "-o", partial, ...build.args], {
        what: `Building the ${build.title}`,
        log: `setup-go-${build.module}`,
        timeoutSec: 3600,
        cwd: join(engineSourceDir, build.module),
        env: goEnv(),
        lock,
      });
      renameSync(partial, build.output);
    },
  };
}

/**
 * The user's Go settings (proxy, private modules) are read; nothing is written outside the cache.
 * @returns {NodeJS.ProcessEnv}
 */
export function goEnv() {
  const config = process.env["XDG_CONFIG_HOME"] || join(homedir(), ".config");
  const root = join(cacheDir, "go");
  return {
    ...process.env,
    CGO_ENABLED: "0",
    GOTOOLCHAIN: "local",
    GOFLAGS: "-mod=readonly -modcacherw -buildvcs=false",
    GOWORK: "off",
    GOPATH: root,
    GOMODCACHE: join(root, "mod"),
    GOCACHE: join(root, "build"),
    GOTMPDIR: makeFolder(join(root, "tmp")),
    GOENV: process.env["GOENV"] || join(config, "go", "env"),
    XDG_CONFIG_HOME: join(root, "config"), // go keeps usage counters there
  };
}

/** @param {string} path */
function makeFolder(path) {
  mkdirSync(path, { recursive: true });
  return path;
}
