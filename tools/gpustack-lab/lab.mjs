import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { labDir, sourceDir } from "../lab/build/paths.mjs";
import { removeTree } from "../lab/build/tree.mjs";
import { startTimeOf } from "../lab/hosts/processes.mjs";
import { baseLayer, gpustackLayer } from "../lab/images/products.mjs";

/** The model of the DP2 x TP8 document; the scheduler of the lab knows its shape. */
export const LAB_MODEL = "Eco-Tech/Qwen3.5-397B-A17B-w8a8-mtp";

/**
 * @typedef {object} GpustackFacts
 * @property {string} managementKey
 * @property {string} inferenceKey
 * @property {Record<string, string>} workers address by name
 * @property {string} ifname
 * @property {number} serverSec from nothing to a server that answers
 */

/**
 * Starts a real GPUStack server with three stand-in workers. Root; set-up (`ensureLab` with "gpustack") has to be done
 * before.
 * Everything ends with this process.
 * @returns {Promise<GpustackLab>}
 */
export async function gpustackUp() {
  await removeLeftovers();
  const dir = mkdtempSync(join(runDir, `${process.pid}-`));
  const [upper, work] = [join(dir, "upper"), join(dir, "work")];
  for (const folder of [upper, work]) mkdirSync(folder);
  const child = spawn(
    "setpriv",
    [
      ...["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"],
      ...["/bin/bash", join(sourceDir, "images", "chroot-on-layers.sh")],
      ...[upper, `${gpustackLayer().path}:${baseLayer().path}`],
      ...[fileURLToPath(new URL(".", import.meta.url)), work],
      ...["python3", "-B", "/run/source/gpustack_lab.py", LAB_MODEL],
    ],
    {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" },
      stdio: ["pipe", "pipe", "pipe"],
    },
  );
  const lab = new GpustackLab(dir, child);
  try {
    await lab.open();
    return lab;
  } catch (error) {
    await lab.down();
    throw error;
  }
}

/** Not among the hosts' labs: whoever starts one removes there what he does not know as running. */
const runDir = join(labDir, "gpustack-run");

/** What killed processes left behind; their servers ended with them. */
async function removeLeftovers() {
  mkdirSync(runDir, { recursive: true });
  for (const name of readdirSync(runDir)) {
    if (startTimeOf(Number(name.split("-")[0])) === undefined) await removeTree(join(runDir, name));
  }
}

/** A running server. */
export class GpustackLab {
  /** @type {((answer: Record<string, unknown>) => void)[]} */
  #waiting = [];
  #stderr = "";
  /** @type {import("node:net").Server | undefined} */
  #door;
  /** @type {Promise<void>} */
  #ended;

  /**
   * @param {string} dir
   * @param {import("node:child_process").ChildProcessWithoutNullStreams} child
   */
  constructor(dir, child) {
    this.dir = dir;
    this.child = child;
    this.url = "";
    /** @type {GpustackFacts} */
    this.facts = /** @type {never} */ (undefined);
    child.stderr.on("data", (chunk) => {
      this.#stderr += chunk;
    });
    createInterface({ input: child.stdout }).on("line", (line) =>
      this.#waiting.shift()?.(JSON.parse(line)),
    );
    this.#ended = new Promise((resolve) => {
      child.on("close", () => {
        for (const answer of this.#waiting.splice(0)) answer({ error: this.#stderr.slice(-4000) });
        resolve();
      });
    });
  }

  async open() {
    const { ready } = await this.#answer();
    this.facts = /** @type {GpustackFacts} */ (ready);
    const socket = join(this.dir, "work", "server.sock");
    this.#door = createServer((outside) => {
      const inside = createConnection(socket);
      outside.pipe(inside).pipe(outside);
      for (const [one, other] of [
        [outside, inside],
        [inside, outside],
      ]) {
        one?.on("error", () => other?.destroy());
        one?.on("close", () => other?.destroy());
      }
    });
    const door = this.#door;
    await new Promise((resolve) => door.listen(0, "127.0.0.1", () => resolve(undefined)));
    const address = /** @type {import("node:net").AddressInfo} */ (door.address());
    this.url = `http://127.0.0.1:${address.port}`;
  }

  /** Kills the server as a crash does. */
  stopServer() {
    return this.#do(["stop_server"]);
  }

  /** Resolves when it answers. */
  startServer() {
    return this.#do(["start_server"]);
  }

  /** @param {string} name */
  stopWorker(name) {
    return this.#do(["stop_worker", name]);
  }

  /** @param {string} name */
  startWorker(name) {
    return this.#do(["start_worker", name]);
  }

  /**
   * Any request, as a person with that key would send it.
   * @param {string} method
   * @param {string} path
   * @param {{body?: unknown, key?: string}} [options]
   * @returns {Promise<{status: number, body: any}>}
   */
  async request(method, path, { body, key = this.facts.managementKey } = {}) {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }

  /** What the server and the workers have logged last. @param {number} [lines] */
  report(lines = 40) {
    return ["server.log", "workers.log"]
      .map((name) => {
        const text = readFileSync(join(this.dir, "work", name), "utf8");
        return `--- ${name}\n${text.trimEnd().split("\n").slice(-lines).join("\n")}`;
      })
      .join("\n");
  }

  async down() {
    this.#door?.close();
    this.child.stdin.end();
    const limit = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    await this.#ended;
    clearTimeout(limit);
    await removeTree(this.dir);
  }

  /** @param {string[]} words */
  async #do(words) {
    const answer = this.#answer();
    this.child.stdin.write(`${JSON.stringify(words)}\n`);
    await answer;
  }

  /** @returns {Promise<Record<string, unknown>>} */
  async #answer() {
    const answer = await new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
    const { error } = /** @type {{error?: string}} */ (answer);
    if (error !== undefined) throw new Error(`the GPUStack lab: ${error}`);
    return /** @type {Record<string, unknown>} */ (answer);
  }
}
