import { capture } from "../../setup/run.mjs";

/**
 * Output of a short command that has to succeed.
 * @param {string} command
 * @param {string[]} args
 * @param {{env?: NodeJS.ProcessEnv, cwd?: string}} [options]
 * @returns {Promise<string>}
 */
export async function outputOf(command, args, options) {
  const { ok, stdout, stderr } = await capture(command, args, { ...options, timeoutMs: 300_000 });
  if (!ok) throw new Error(`${command} ${args.join(" ")}: ${stderr.trim() || "failed"}`);
  return stdout;
}
