import { spawn } from "node:child_process";

/**
 * @typedef {{code: number, stdout: string, stderr: string}} CommandResult
 *   `code` is 128 + n after signal n, 124 after the time-out, as in a shell
 */

/**
 * Runs a command to its end. Never throws because of its exit code.
 * @param {readonly string[]} argv
 * @param {object} [options]
 * @param {string} [options.input]
 * @param {number} [options.timeoutSec] then the command and what it has started is killed; 60
 * @param {Record<string, string | undefined>} [options.env]
 * @param {string} [options.cwd]
 * @param {readonly number[]} [options.descriptors] passed on as descriptors 3, 4, ...
 * @returns {Promise<CommandResult>}
 */
export function run(argv, { input, timeoutSec = 60, env, cwd, descriptors = [] } = {}) {
  return new Promise((resolve, reject) => {
    const [command, ...args] = argv;
    const child = spawn(/** @type {string} */ (command), args, {
      cwd,
      env: env ?? process.env,
      // A group of its own, so that the time-out reaches what the command has started.
      detached: true,
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe", ...descriptors],
    });
    /** @type {Buffer[]} */
    const stdout = [];
    /** @type {Buffer[]} */
    const stderr = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child.pid);
      // A process that left the group could hold the pipes open for ever.
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, timeoutSec * 1000);
    child.stdout?.on("data", (part) => stdout.push(part));
    child.stderr?.on("data", (part) => stderr.push(part));
    // The command may end before it has read its input: its exit code tells, not our EPIPE.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(new Error(`${command} cannot be started: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const number = signal === null ? 0 : (signalNumbers[signal] ?? 0);
      resolve({
        code: timedOut ? 124 : (code ?? 128 + number),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
  });
}

/**
 * Runs a command that has to succeed and returns its standard output.
 * @param {readonly string[]} argv
 * @param {Parameters<typeof run>[1]} [options]
 */
export async function must(argv, options) {
  const { code, stdout, stderr } = await run(argv, options);
  if (code !== 0) {
    const said = (stderr.trim() || stdout.trim()).split("\n").slice(-5).join("\n");
    throw new Error(`${argv.join(" ")}: exit ${code}${said === "" ? "" : `: ${said}`}`);
  }
  return stdout;
}

/** @param {number | undefined} pid */
function killGroup(pid) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

/** @type {Record<string, number>} */
const signalNumbers = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGTERM: 15 };
