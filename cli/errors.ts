/** The exit codes of every command. */
export const EXIT_OK = 0;
export const EXIT_FINDING = 1;
export const EXIT_USAGE = 2;
/** Ctrl-C: 128 and the number of SIGINT, as shells have it. */
export const EXIT_INTERRUPTED = 130;

/** A mistake in how the command was called, or in a file that it reads: message without stack, exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Something on a host, or on this machine, did not work: message without stack, exit code 1. */
export class StepError extends Error {
  override readonly name = "StepError";
}

/** The words of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
