import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCgroups, removeCgroups } from "./cgroups.mjs";
import { killedWithUs, openConsole } from "./console.mjs";
import { runInHost } from "./enter.mjs";
import { plugIn, releaseNamespace, setLink, unplug } from "./network.mjs";
import { recordOf, waitFor } from "./processes.mjs";

/**
 * One host: what is plugged in, switched on and off. Its first process is systemd.
 *
 * @typedef {"off" | "booting" | "up" | "failed"} HostState
 *   "up": systemd has started sshd and docker, or has nothing left to start
 *
 * @typedef {object} HostOptions
 * @property {string} name
 * @property {number} octet last number of its address
 * @property {import("./network.mjs").Fabric} fabric
 * @property {ReturnType<ReturnType<typeof import("./paths.mjs").labPaths>["node"]>} paths
 * @property {string} fabricDir
 * @property {string} rootfs
 * @property {string} models directory on the machine, or ""
 * @property {string[]} cgroups
 * @property {(line: string) => void} log
 */
export class Host {
  /** @type {HostState} */
  state = "off";
  reason = "not switched on yet";
  boots = 0;
  linkUp = true;
  bootSec = 0;

  /** @type {import("node:child_process").ChildProcess | undefined} */
  #process;
  /** @type {import("./network.mjs").NetworkNamespace | undefined} */
  #network;
  /** @type {string | undefined} */
  #tty;
  /** The next end of the host's processes is a pulled plug, not a shutdown. */
  #cut = false;
  /** @type {HostOptions} */
  #options;

  /** @param {HostOptions} options */
  constructor(options) {
    this.#options = options;
  }

  get name() {
    return this.#options.name;
  }

  status() {
    const init = this.state === "off" ? undefined : this.#initPid();
    return {
      name: this.name,
      state: this.state,
      reason: this.reason,
      boots: this.boots,
      bootSec: this.bootSec,
      linkUp: this.linkUp,
      init: init === undefined ? null : recordOf(init),
    };
  }

  async powerOn() {
    if (this.#process !== undefined) throw new Error(`${this.name} is switched on already`);
    const { paths, cgroups, fabric, octet, log } = this.#options;
    this.state = "booting";
    this.reason = "booting";
    this.boots += 1;
    this.#cut = false;
    try {
      removeCgroups(cgroups);
      createCgroups(cgroups);
      this.#tty ??= await openConsole(paths.console);
      this.#network = await plugIn(fabric, { octet, linkUp: this.linkUp });
    } catch (error) {
      this.state = "failed";
      this.reason = /** @type {Error} */ (error).message;
      throw error;
    }
    log(`${this.name}: power on, boot ${this.boots}`);
    this.#setPower("on");
    const begin = Date.now();
    const child = spawn(
      ...killedWithUs("nsenter", [
        `--net=${this.#network.path}`,
        ...["unshare", "--pid", "--fork", "--kill-child", "--"],
        ...["bash", join(scripts, "boot.sh"), ...cgroups],
      ]),
      { stdio: ["ignore", "inherit", "inherit"], env: this.#environment(this.#tty) },
    );
    this.#process = child;
    child.on("exit", (code, signal) => this.#ended(code, signal));
    this.#watchBoot(child, begin).catch((error) => {
      if (this.#process !== child) return;
      this.state = "failed";
      this.reason = /** @type {Error} */ (error).message;
      log(`${this.name}: ${this.reason}`);
    });
  }

  /**
   * Pulls the plug: first the network is gone, so that peers hear nothing more, then all processes.
   */
  async cutPower() {
    const child = this.#process;
    if (child === undefined) return;
    this.#cut = true;
    await setLink(this.#options.fabric, { octet: this.#options.octet, linkUp: false });
    const init = this.#initPid();
    // Without a first process yet, the end of unshare takes it along.
    process.kill(init ?? /** @type {number} */ (child.pid), "SIGKILL");
    await this.#off(child, 20);
  }

  /** Shuts down as at `systemctl poweroff`; pulls the plug when that takes too long. */
  async shutDown(timeoutSec = 60) {
    const child = this.#process;
    const init = this.#initPid();
    if (child === undefined || init === undefined) return this.cutPower();
    process.kill(init, signalPowerOff);
    try {
      await this.#off(child, timeoutSec);
    } catch {
      this.#options.log(`${this.name}: no shutdown within ${timeoutSec} s, plug pulled`);
      await this.cutPower();
    }
  }

  reboot() {
    const init = this.#initPid();
    if (init === undefined) throw new Error(`${this.name} is off`);
    process.kill(init, signalReboot);
  }

  /** @param {boolean} linkUp */
  async setLink(linkUp) {
    this.linkUp = linkUp;
    if (this.#process === undefined) return;
    await setLink(this.#options.fabric, { octet: this.#options.octet, linkUp });
  }

  /**
   * @param {number} boot number of the boot to wait for
   * @param {number} timeoutSec
   */
  waitUp(boot, timeoutSec) {
    return waitFor(
      () => {
        if (this.state === "failed") throw new Error(`${this.name} did not boot: ${this.reason}`);
        return this.state === "up" && this.boots >= boot ? true : undefined;
      },
      { timeoutSec, what: () => `${this.name} is not up: ${this.reason}` },
    );
  }

  /** @param {import("node:child_process").ChildProcess} child @param {number} timeoutSec */
  async #off(child, timeoutSec) {
    await waitFor(() => (this.#process === child ? undefined : true), {
      timeoutSec,
      everyMs: 20,
      what: `${this.name} did not end`,
    });
  }

  /** @param {import("node:child_process").ChildProcess} child @param {number} begin */
  async #watchBoot(child, begin) {
    const ready = async () => {
      if (this.#process !== child) return "ended";
      const init = this.#initPid();
      if (init === undefined) return undefined;
      const { code } = await runInHost(recordOf(init), ["sh", "-c", bootedScript], {
        timeoutSec: 10,
      }).catch(() => ({ code: 1 }));
      return code === 0 ? "up" : undefined;
    };
    const outcome = await waitFor(ready, {
      timeoutSec: bootTimeoutSec,
      everyMs: 200,
      what: `sshd and docker did not start; see ${this.#options.paths.console}`,
    });
    if (outcome !== "up" || this.#process !== child) return;
    this.bootSec = (Date.now() - begin) / 1000;
    this.state = "up";
    this.reason = `up after ${this.bootSec.toFixed(1)} s`;
    this.#options.log(`${this.name}: ${this.reason}`);
  }

  /**
   * The kernel ends a process namespace whose first process calls reboot(2) with SIGHUP (reboot) or
   * SIGINT (power off, halt); unshare(1) ends as its child did.
   * @param {number | null} code @param {NodeJS.Signals | null} signal
   */
  async #ended(code, signal) {
    const { fabric, octet, cgroups, log } = this.#options;
    const rebooted = signal === "SIGHUP" && !this.#cut;
    const shutDown = signal === "SIGINT";
    this.reason = this.#cut
      ? "power cut"
      : shutDown
        ? "shut down"
        : `systemd ended: ${signal ?? code}`;
    this.state = this.#cut || shutDown || rebooted ? "off" : "failed";
    log(`${this.name}: ${rebooted ? "reboot" : this.reason}`);
    this.#setPower("off");
    await unplug(fabric, octet).catch(() => {});
    if (this.#network !== undefined) releaseNamespace(this.#network);
    this.#network = undefined;
    removeCgroups(cgroups);
    this.#process = undefined;
    if (rebooted) await this.powerOn().catch((error) => log(`${this.name}: ${error.message}`));
  }

  /** @returns {number | undefined} first process of the host, as the machine numbers it */
  #initPid() {
    const parent = this.#process?.pid;
    if (parent === undefined) return undefined;
    try {
      const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim();
      return children === "" ? undefined : Number(children.split(" ")[0]);
    } catch {
      return undefined;
    }
  }

  /** @param {string | undefined} tty */
  #environment(tty) {
    const { name, paths, rootfs, fabricDir, models } = this.#options;
    return {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      LAB_HOST: name,
      LAB_ROOTFS: rootfs,
      LAB_NODE_DIR: paths.dir,
      LAB_CONSOLE: tty,
      LAB_FABRIC: fabricDir,
      LAB_MODELS: models,
    };
  }

  /** The stand-in NPUs of the other hosts read it: without power there is no answer to a ping. */
  #setPower(/** @type {"on" | "off"} */ power) {
    writeFileSync(join(this.#options.fabricDir, this.name, "power"), `${power}\n`);
  }
}

const scripts = dirname(fileURLToPath(import.meta.url));
const bootTimeoutSec = 180;

/**
 * A unit that waits (for late NPUs, say) keeps systemd "starting", so sshd and docker suffice; a
 * host on which one of them is broken is up, too, once nothing is left to start.
 */
const bootedScript =
  "(systemctl --quiet is-active ssh.service && systemctl --quiet is-active docker.service) || " +
  "systemctl is-system-running | grep -qxE 'running|degraded'";

// systemd(1), section "Signals": SIGRTMIN+4 starts poweroff.target, SIGRTMIN+5 reboot.target.
const signalPowerOff = 34 + 4;
const signalReboot = 34 + 5;
