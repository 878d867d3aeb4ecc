import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { repoDir } from "../setup/paths.mjs";

/**
 * @typedef {import("../../core/spec/cluster-spec.js").ClusterSpecInput} ClusterSpecInput
 *
 * @typedef {object} ProjectOptions
 * @property {string} dir where the copy lives; everything that Pulumi writes goes below it
 * @property {string} stack
 * @property {NodeJS.ProcessEnv} env of the toolchain
 * @property {string} agentSocket ssh-agent that holds the lab's key
 */

const LINKED = ["node_modules", "components", "core", "cli", "node", "provider", "dist"];
const COPIED = ["Pulumi.yaml", "package.json", "index.ts"];

/**
 * The program of this repository on a copy of its own: same code (by links), own stack files, own state. `pulumi stack init`
 * writes into stack files, and neither those in git nor the user's state may change.
 */
export class LabProject {
  /** @param {ProjectOptions} options */
  constructor({ dir, stack, env, agentSocket }) {
    this.dir = dir;
    this.stack = stack;
    this.stackFile = join(dir, "stacks", `Pulumi.${stack}.yaml`);
    mkdirSync(join(dir, "stacks"), { recursive: true });
    mkdirSync(join(dir, "state"), { recursive: true });
    for (const name of COPIED) copyFileSync(join(repoDir, name), join(dir, name));
    for (const name of LINKED) {
      if (!existsSync(join(dir, name))) symlinkSync(join(repoDir, name), join(dir, name));
    }
    /** @type {NodeJS.ProcessEnv} */
    this.env = {
      ...env,
      SSH_AUTH_SOCK: agentSocket,
      PULUMI_BACKEND_URL: `file://${join(dir, "state")}`,
      PULUMI_CONFIG_PASSPHRASE_FILE: passphraseFile(dir),
    };
  }

  /** Creates the stack unless it is there. */
  async init() {
    await this.pulumi(["stack", "select", "--create", this.stack], { quiet: true });
  }

  /**
   * Writes `vllm-ascend:cluster`; the rest of the stack file stays.
   * @param {ClusterSpecInput} cluster
   */
  setCluster(cluster) {
    return this.setConfig("cluster", cluster);
  }

  /**
   * Writes one key of the stack file; `undefined` removes it.
   * @param {string} key
   * @param {unknown} value
   */
  async setConfig(key, value) {
    const { parse, stringify } = await import("yaml");
    const file = existsSync(this.stackFile) ? parse(readFileSync(this.stackFile, "utf8")) : {};
    const config = { ...file?.config, [`vllm-ascend:${key}`]: value };
    writeFileSync(this.stackFile, stringify({ ...file, config }));
  }

  /** @param {string} apiKey */
  async setApiKey(apiKey) {
    await this.pulumi(["config", "set", "--secret", "apiKey", "--stack", this.stack], {
      quiet: true,
      input: apiKey,
    });
  }

  /** @returns {Promise<Record<string, any>>} */
  async outputs() {
    const { stdout } = await this.pulumi(["stack", "output", "--json", "--stack", this.stack], {
      quiet: true,
    });
    return JSON.parse(stdout);
  }

  /**
   * Runs the CLI in this project.
   * @param {readonly string[]} args
   * @param {{quiet?: boolean, input?: string, allowFailure?: boolean}} [options] quiet: nothing on the terminal
   * @returns {Promise<{code: number, stdout: string, stderr: string}>}
   * @throws Error with the output when the command fails, unless `allowFailure`
   */
  async pulumi(args, options = {}) {
    return this.run(["pulumi", ...args, "--non-interactive"], options);
  }

  /**
   * Runs `vllm-cluster` as a user of the package would.
   * @param {readonly string[]} args
   * @param {{quiet?: boolean, allowFailure?: boolean}} [options]
   */
  async vllmCluster(args, options = {}) {
    return this.run(["node", join(this.dir, "dist", "cli", "main.js"), ...args], options);
  }

  /**
   * @param {readonly string[]} argv
   * @param {{quiet?: boolean, input?: string, allowFailure?: boolean}} options
   * @returns {Promise<{code: number, stdout: string, stderr: string}>}
   */
  async run([command = "", ...args], { quiet, input, allowFailure }) {
    const child = spawn(command, args, { cwd: this.dir, env: this.env, stdio: "pipe" });
    const collected = { stdout: "", stderr: "" };
    for (const name of /** @type {const} */ (["stdout", "stderr"])) {
      child[name].setEncoding("utf8").on("data", (text) => {
        collected[name] += text;
        if (quiet !== true) process[name].write(text);
      });
    }
    child.stdin.on("error", () => {});
    child.stdin.end(input ?? "");
    /** @type {number} */
    const code = await new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status) => resolve(status ?? 1));
    });
    if (code !== 0 && allowFailure !== true) {
      throw new Error(
        `${[command, ...args].join(" ")} ended with ${code}\n${quiet === true ? collected.stdout + collected.stderr : ""}`,
      );
    }
    return { code, ...collected };
  }

  /** Removes the copy with its state. */
  remove() {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** @param {string} dir */
function passphraseFile(dir) {
  const file = join(dir, "passphrase");
  if (!existsSync(file)) writeFileSync(file, randomBytes(24).toString("hex"), { mode: 0o600 });
  return file;
}
