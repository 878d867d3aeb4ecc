import { realpathSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { buildInputs, ensureBuilt, goBuilds, isBuilt } from "./go.mjs";
import {
  ChecksumError,
  ensureOfficial,
  isOfficialInstalled,
  officialBin,
  probeOfficial,
} from "./official.mjs";
import { engineDir, pulumiHome } from "./paths.mjs";
import { say } from "./progress.mjs";
import { capture, findOnPath, isExecutable, messageOf, runLogged } from "./run.mjs";
import { ensurePart, readStamp } from "./stamp.mjs";
import { isSuitableEngine, pinnedVersions } from "./versions.mjs";

/**
 * Where a part comes from. `machine`: what the user has installed; `official`: the official binary in
 * the cache or its download; `built`: made from Go modules (a plugin or language host is then a double).
 * @typedef {"machine" | "official" | "built"} Source
 */

/** @typedef {{name: string, version: string, source: Source, machineBinary: string | undefined}} PluginPlan */

/**
 * @typedef {object} EnginePlan
 * @property {{source: Source, machine: MachineEngine | undefined}} cli
 * @property {PluginPlan[]} plugins
 * @property {import("./official.mjs").Offer | undefined} offer of official downloads, when asked for
 * @property {boolean} needsGo something is to be built
 */

/** @typedef {{path: string, version: string}} MachineEngine */

/**
 * @typedef {object} Engine
 * @property {string} pulumi path of the CLI
 * @property {string} version
 * @property {Source} source
 * @property {"official" | "double"} host the nodejs language host
 * @property {{name: string, version: string, kind: "official" | "double"}[]} plugins
 */

/**
 * Decides where each part comes from, without changing anything.
 * @returns {Promise<EnginePlan>}
 */
export async function planEngine() {
  const pins = pinnedVersions();
  const builds = goBuilds();
  const machine = await findMachineEngine(pins.pulumi);
  const cli = {
    machine: machine !== undefined,
    official: isOfficialInstalled(pins.pulumi),
    built: isBuilt(builds.cli) && isBuilt(builds.host),
  };
  const plugins = pins.plugins.map(({ name, version }) => {
    const machineBinary = findMachinePlugin(name, version);
    const stamp = readStamp(pluginPart(name, version).name);
    return {
      name,
      version,
      machineBinary,
      has: {
        machine: machineBinary !== undefined,
        official: stamp === officialStamp(version),
        built: stamp === doubleStamp(name),
      },
    };
  });
  const isOpen = (/** @type {Availability} */ has) => !has.machine && !has.official && !has.built;
  const offer =
    isOpen(cli) || plugins.some(({ has }) => isOpen(has))
      ? await probeOfficial(pins.pulumi)
      : undefined;
  const reachable = offer?.reachable === true;
  const plan = {
    cli: { source: chooseSource(cli, reachable), machine },
    plugins: plugins.map(({ name, version, machineBinary, has }) => ({
      name,
      version,
      machineBinary,
      source: chooseSource(has, reachable),
    })),
    offer,
  };
  const needsGo =
    (plan.cli.source === "built" && !cli.built) ||
    plan.plugins.some((p, i) => p.source === "built" && plugins[i]?.has.built !== true);
  return { ...plan, needsGo };
}

/** @typedef {{machine: boolean, official: boolean, built: boolean}} Availability */

/**
 * What is there is taken, official before built; only what is missing is fetched or built.
 * @param {Availability} has
 * @param {boolean} reachable official downloads are possible
 * @returns {Source}
 */
export function chooseSource(has, reachable) {
  if (has.machine) return "machine";
  if (has.official) return "official";
  if (has.built) return "built";
  return reachable ? "official" : "built";
}

/**
 * Makes what the plan names. A download that breaks off falls back to the build.
 * @param {EnginePlan} plan
 * @returns {Promise<Engine>}
 */
export async function ensureEngine(plan) {
  if (plan.offer?.reachable === false) {
    say(
      `official Pulumi downloads are not reachable (${plan.offer.reason}): using pinned Go modules`,
    );
  }
  const cli = await ensureCli(plan);
  /** @type {Engine["plugins"]} */
  const plugins = [];
  for (const plugin of plan.plugins) plugins.push(await ensurePlugin(plugin, cli.pulumi));
  return { ...cli, plugins };
}

/**
 * The environment in which the engine runs: nothing of the user's Pulumi settings reaches it.
 * @param {Engine | undefined} engine
 * @param {string} node path of the Node binary to use
 * @returns {NodeJS.ProcessEnv}
 */
export function engineEnv(engine, node) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("PULUMI_"));
  const first = [dirname(node), ...(engine === undefined ? [] : [dirname(engine.pulumi)])];
  return {
    ...Object.fromEntries(inherited),
    PATH: withFirst(first, process.env["PATH"] ?? ""),
    PULUMI_HOME: pulumiHome,
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    // A plugin that happens to lie on PATH would win over the pinned one in PULUMI_HOME.
    PULUMI_IGNORE_AMBIENT_PLUGINS: "true",
  };
}

/**
 * Puts folders before all others, but leaves PATH alone where it finds the same programs anyway: a
 * folder such as /usr/bin must not move in front of the user's own order.
 * @param {string[]} folders
 * @param {string} path
 */
export function withFirst(folders, path) {
  const present = path.split(delimiter);
  return [...folders.filter((folder) => !present.includes(folder)), path].join(delimiter);
}

/** @param {EnginePlan} plan */
async function ensureCli(plan) {
  const pins = pinnedVersions();
  if (plan.cli.source === "machine" && plan.cli.machine !== undefined) {
    const { path, version } = plan.cli.machine;
    return {
      pulumi: path,
      version,
      source: plan.cli.source,
      host: /** @type {const} */ ("official"),
    };
  }
  if (plan.cli.source === "official" && (await isOfficialMade(pins.pulumi, plan))) {
    return {
      pulumi: join(officialBin(), "pulumi"),
      version: pins.pulumi,
      source: plan.cli.source,
      host: /** @type {const} */ ("official"),
    };
  }
  const { cli, host } = goBuilds();
  await ensureBuilt(cli);
  await ensureBuilt(host);
  return {
    pulumi: join(engineDir, "bin", "pulumi"),
    version: pins.pulumi,
    source: /** @type {const} */ ("built"),
    host: /** @type {const} */ ("double"),
  };
}

/** @param {string} version @param {EnginePlan} plan */
async function isOfficialMade(version, plan) {
  if (isOfficialInstalled(version)) return true;
  if (plan.offer?.reachable !== true) return false;
  try {
    await ensureOfficial(version, plan.offer.checksum);
    return true;
  } catch (error) {
    if (error instanceof ChecksumError) throw error;
    say(`the official Pulumi CLI cannot be downloaded (${messageOf(error)}): building it instead`);
    return false;
  }
}

/**
 * @param {PluginPlan} plugin
 * @param {string} pulumi
 * @returns {Promise<Engine["plugins"][number]>}
 */
async function ensurePlugin({ name, version, source, machineBinary }, pulumi) {
  const part = pluginPart(name, version);
  const install = async (/** @type {string[]} */ args, /** @type {number} */ lock) =>
    runLogged(pulumi, ["plugin", "install", "resource", name, version, "--reinstall", ...args], {
      what: `Installing the ${name} plugin`,
      log: `setup-${part.name}`,
      timeoutSec: 600,
      env: { ...process.env, PULUMI_HOME: pulumiHome, PULUMI_SKIP_UPDATE_CHECK: "true" },
      lock,
    });
  if (source !== "built") {
    try {
      await ensurePart({
        ...part,
        title: `official ${name} plugin ${version}`,
        inputs: officialStamp(version),
        expectedSec: machineBinary === undefined ? 20 : 2,
        make: (lock) => install(machineBinary === undefined ? [] : ["--file", machineBinary], lock),
      });
      return { name, version, kind: "official" };
    } catch (error) {
      say(
        `the official ${name} plugin cannot be installed, building its double: ${messageOf(error)}`,
      );
    }
  }
  const build = name === "docker" ? goBuilds().docker : goBuilds().command;
  await ensureBuilt(build);
  await ensurePart({
    ...part,
    title: `${name} plugin ${version} (test double) into the cache's own Pulumi home`,
    inputs: doubleStamp(name),
    expectedSec: 2,
    make: (lock) => install(["--file", build.output], lock),
  });
  return { name, version, kind: "double" };
}

/** @param {string} name @param {string} version */
function pluginPart(name, version) {
  const folder = join(pulumiHome, "plugins", `resource-${name}-v${version}`);
  return { name: `plugin-${name}`, outputs: [join(folder, `pulumi-resource-${name}`)] };
}

/** @param {string} version */
function officialStamp(version) {
  return `official ${version}`;
}

/** @param {string} name */
function doubleStamp(name) {
  return `double ${buildInputs(name === "docker" ? goBuilds().docker : goBuilds().command)}`;
}

/**
 * A Pulumi CLI on PATH counts only with its language host beside it.
 * @param {string} pinned
 * @returns {Promise<MachineEngine | undefined>}
 */
async function findMachineEngine(pinned) {
  const path = findOnPath("pulumi");
  if (path === undefined) return undefined;
  const { ok, stdout } = await capture(path, ["version"], {
    env: { ...process.env, PULUMI_HOME: pulumiHome, PULUMI_SKIP_UPDATE_CHECK: "true" },
  });
  const version = stdout.trim().replace(/^v/, "");
  if (!ok || !isSuitableEngine(version, pinned)) {
    say(`${path} is not used: version ${version || "unknown"}, wanted ${pinned} or a newer 3.x`);
    return undefined;
  }
  if (!isExecutable(join(dirname(realpathSync(path)), "pulumi-language-nodejs"))) {
    say(`${path} is not used: its language host pulumi-language-nodejs does not lie beside it`);
    return undefined;
  }
  return { path, version };
}

/** @param {string} name @param {string} version @returns {string | undefined} */
function findMachinePlugin(name, version) {
  const home = process.env["PULUMI_HOME"] || join(homedir(), ".pulumi");
  if (home === pulumiHome) return undefined; // an earlier set-up's own environment
  const folder = join(home, "plugins", `resource-${name}-v${version}`);
  const binary = join(folder, `pulumi-resource-${name}`);
  return isExecutable(binary) ? binary : undefined;
}
