import { spawn } from "node:child_process";
import { PreviewFormatError, parsePreview } from "../core/changes/preview.js";
import { StepError, UsageError } from "./errors.js";

/**
 * Runs the engine and gives what it printed on standard output.
 *
 * @throws StepError with what pulumi said, which holds no secrets; UsageError when there is no pulumi
 */
export async function pulumiOutput(args: readonly string[]): Promise<string> {
  const child = spawn("pulumi", [...args, "--non-interactive"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const read = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (piece: string) => {
      read[name] += piece;
    });
  }
  const code = await ended(child);
  if (code === 0) return read.stdout;
  throw new StepError(
    `pulumi ${args.join(" ")} ended with ${code}:\n${failure(read.stdout, read.stderr)}`,
  );
}

/** Runs the engine on this terminal. @returns its exit code */
export function pulumiHere(args: readonly string[]): Promise<number> {
  return ended(spawn("pulumi", args, { stdio: "inherit" }));
}

function ended(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) =>
      reject(new UsageError(`pulumi cannot be started: ${error.message}`)),
    );
    child.on("close", (status) => resolve(status ?? 1));
  });
}

/** With `--json`, pulumi puts errors of the program into the JSON. */
function failure(stdout: string, stderr: string): string {
  try {
    return [...parsePreview(stdout).errors, stderr].join("\n").trim();
  } catch (error) {
    if (error instanceof PreviewFormatError) return `${stdout}${stderr}`.trim();
    throw error;
  }
}
