#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { addChatCommand } from "./commands/chat.js";
import { addCommentCommand } from "./commands/comment.js";
import { addCompleteCommand } from "./commands/complete.js";
import { addDoctorCommand } from "./commands/doctor.js";
import { addDriftCommand } from "./commands/drift.js";
import { addFactsCommand } from "./commands/facts.js";
import { addFirewallCommand } from "./commands/firewall.js";
import { addFitCommand } from "./commands/fit.js";
import { addGateCommand } from "./commands/gate.js";
import { addGpustackCommand } from "./commands/gpustack.js";
import { addHistoryCommand } from "./commands/history.js";
import { addHostkeysCommand } from "./commands/hostkeys.js";
import { addLintCommand } from "./commands/lint.js";
import { addLogsCommand } from "./commands/logs.js";
import { addRenderCommand } from "./commands/render.js";
import { addRollbackCommand } from "./commands/rollback.js";
import { addSmokeCommand } from "./commands/smoke.js";
import { addStatusCommand } from "./commands/status.js";
import { addSummaryCommand } from "./commands/summary.js";
import { addSwitchCommands } from "./commands/switch.js";
import { EXIT_FINDING, EXIT_OK, EXIT_USAGE, StepError, UsageError } from "./errors.js";
import { packageVersion } from "./package-files.js";

const program = new Command("vllm-cluster")
  .description("Looks at and operates the clusters that pulumi-vllm-ascend has made.")
  .version(packageVersion())
  .showHelpAfterError("(add --help for the options and examples)")
  .configureHelp({ sortSubcommands: false })
  .exitOverride()
  .addHelpText(
    "after",
    "\nExit codes: 0 ok, 1 finding or failure, 2 wrong usage or stack file, 130 Ctrl-C.",
  );

addRenderCommand(program);
addSummaryCommand(program);
addCommentCommand(program);
addFitCommand(program);
addLintCommand(program);
addFirewallCommand(program);
addHostkeysCommand(program);
addDoctorCommand(program);
addGateCommand(program);
addSmokeCommand(program);
addFactsCommand(program);
addStatusCommand(program);
addDriftCommand(program);
addLogsCommand(program);
addSwitchCommands(program);
addHistoryCommand(program);
addRollbackCommand(program);
addCompleteCommand(program);
addChatCommand(program);
addGpustackCommand(program);

// `… | head` closes the pipe early: what it wanted it has, and the exit code is the pipe's other end's business.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT_OK);
});

// Options of commands are usage errors too; commander copies exitOverride only to commands made after it was set.
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** The exit code for an error, after its message is printed; only a bug of this program shows a stack. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  if (error instanceof UsageError || error instanceof StepError) {
    process.stderr.write(`vllm-cluster: ${error.message}\n`);
    return error instanceof UsageError ? EXIT_USAGE : EXIT_FINDING;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`vllm-cluster: a bug of this program, please report it: ${text}\n`);
  return EXIT_FINDING;
}
