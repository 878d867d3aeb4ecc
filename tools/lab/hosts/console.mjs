import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";

/**
 * A pseudo terminal whose output goes to a file: the serial console of one host. script(1) makes
 * it, since Node cannot; on Debian it is always there (package bsdutils, essential).
 * @param {string} logFile
 * @returns {Promise<string>} path of the terminal
 */
export function openConsole(logFile) {
  return new Promise((resolve, reject) => {
    const holder = spawn(
      ...killedWithUs("script", ["--quiet", "--command", "tty; exec sleep infinity", "/dev/null"]),
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const log = createWriteStream(logFile, { flags: "a" });
    holder.on("error", reject);
    holder.on("exit", () => reject(new Error("script(1) ended: no console for the host")));
    holder.stdout.once("data", (first) => {
      const [tty = "", ...rest] = first.toString().split("\r\n");
      log.write(rest.join("\r\n"));
      holder.stdout.pipe(log);
      resolve(tty);
    });
  });
}

/**
 * Arguments for `spawn`, so that the command is killed when this process ends for whatever reason.
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {[string, string[]]}
 */
export function killedWithUs(command, args) {
  return ["setpriv", ["--pdeathsig", "KILL", command, ...args]];
}
