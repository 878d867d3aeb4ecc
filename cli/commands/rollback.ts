import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { renderText } from "../../core/changes/render-summary.js";
import { type Deployment, rollbackTarget } from "../../core/history/deployments.js";
import { planHash } from "../../core/plan/gate-plan.js";
import { EXIT_FINDING, EXIT_OK, StepError, UsageError } from "../errors.js";
import { positiveInteger } from "../numbers.js";
import { pulumiHere } from "../pulumi.js";
import { addStackOptions, type LoadedStack, loadStack, type StackOptions } from "../stack.js";
import { withConfig } from "../stack-file.js";
import { readHistory } from "./history.js";
import { runPreview, summarize } from "./summary.js";

interface RollbackOptions extends StackOptions {
  readonly to?: number;
  readonly write?: true;
  readonly allowDowntimeFor?: string;
}

/** `vllm-cluster rollback`: a second engine run with what was deployed before. */
export function addRollbackCommand(program: Command): void {
  addStackOptions(program.command("rollback"))
    .summary("deploy again what was deployed before")
    .description(
      "Takes the cluster of the newest update that succeeded with another plan than the stack file's (see history), shows\n" +
        "what going back restarts, asks, writes it into the stack file with the consent to that plan, and runs `pulumi up`.\n" +
        "Only needed where nothing goes back by itself: after containers were replaced, or when what was deployed serves\n" +
        "but is not wanted. Secrets stay as they are. Nothing is committed to git: do that, else the next deployment\n" +
        "goes forward again.",
    )
    .option("--to <number>", "the update of `vllm-cluster history` that is meant", positiveInteger)
    .option("--write", "only write the stack file, for a pull request; runs no `pulumi up`")
    .option(
      "--allow-downtime-for <hash>",
      "agree to this plan without being asked; the summary prints the hash",
    )
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster rollback --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster rollback --stack qwen3-235b-ray-tp8-pp2 --to 12 --write
  vllm-cluster rollback --stack qwen3-235b-ray-tp8-pp2 --allow-downtime-for 1f0c9a7be2d35c48`,
    )
    .action(async (options: RollbackOptions) => {
      process.exitCode = await rollback(options);
    });
}

async function rollback(options: RollbackOptions): Promise<number> {
  const stack = loadStack(options);
  const before = readFileSync(stack.file, "utf8");
  const key = (name: string) => `${stack.namespace}:${name}`;
  if (stack.gpustack !== undefined) {
    throw new UsageError(
      "this stack deploys through GPUStack, which keeps revisions of its own; revert the stack file in git and run `pulumi up`",
    );
  }
  const target = rollbackTarget(await readHistory(stack), planHash(stack.plan), options.to);
  if (typeof target === "string") throw new StepError(target);
  const cluster = { [key("cluster")]: target.cluster };
  process.stderr.write(`${describe(target)}\n\n`);
  process.stdout.write(await summaryOf(stack, withConfig(before, cluster)));

  const text = withConfig(before, { ...cluster, [key("allowDowntimeFor")]: target.plan });
  if (options.write) {
    replaceFile(stack.file, text);
    process.stderr.write(`\n${stack.file} is written, with the consent to plan ${target.plan}.\n`);
    return EXIT_OK;
  }
  if (!(await isAgreed(target, options))) {
    process.stderr.write("nothing was changed\n");
    return EXIT_FINDING;
  }
  replaceFile(stack.file, text);
  const args = ["up", "--yes", "--skip-preview", "--stack", stack.name];
  const code = await pulumiHere([...args, ...configFile(options)]);
  process.stderr.write(
    `\n${stack.file} says now what ${code === 0 ? "runs" : "was tried"}; it is not committed: git diff ${stack.file}\n`,
  );
  return code === 0 ? EXIT_OK : EXIT_FINDING;
}

function describe({ number, startedAt, plan, release }: Deployment): string {
  return `going back to update ${number} of ${startedAt.slice(0, 10)}: plan ${plan}, serve release ${release}`;
}

/** What the engine says about it, from a copy: the stack file is not touched before somebody has agreed. */
async function summaryOf(stack: LoadedStack, text: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "vllm-cluster-rollback-"));
  try {
    const file = join(dir, "stack.yaml");
    writeFileSync(file, text, { mode: 0o600 });
    const preview = await runPreview(["--stack", stack.name, "--config-file", file]);
    return renderText(summarize(preview, stack.name));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Whoever answers has just read what restarts; without a terminal the hash must be given. */
async function isAgreed(
  { plan }: Deployment,
  { allowDowntimeFor }: RollbackOptions,
): Promise<boolean> {
  if (allowDowntimeFor === plan) return true;
  if (allowDowntimeFor !== undefined) {
    throw new UsageError(`--allow-downtime-for ${allowDowntimeFor}: this would be plan ${plan}`);
  }
  if (!process.stdin.isTTY) {
    throw new UsageError(`nobody can be asked here: add --allow-downtime-for ${plan}, or --write`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(
      "\nGo back, and stop what runs for it? Only yes counts: ",
    );
    return answer.trim() === "yes";
  } finally {
    terminal.close();
  }
}

/** The old file or the new one, never a part. */
function replaceFile(file: string, text: string): void {
  const beside = `${file}.rollback`;
  writeFileSync(beside, text, { mode: statSync(file).mode & 0o777 });
  renameSync(beside, file);
}

function configFile({ file }: RollbackOptions): readonly string[] {
  return file === undefined ? [] : ["--config-file", file];
}
