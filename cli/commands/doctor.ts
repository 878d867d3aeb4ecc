import { spawnSync } from "node:child_process";
import type { Command } from "commander";
import {
  judgeOperator,
  type OperatorCheck,
  type OperatorFacts,
} from "../../core/facts/operator.js";
import { timeBudget } from "../../core/facts/peer-request.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { CELL_TEXT, renderGateReport, renderTimeBudget } from "../gate-report.js";
import { runGate, runLogins } from "../run-gate.js";
import { addStackOptions, loadGatePlan, type StackOptions } from "../stack.js";
import { textTable } from "../text-table.js";

interface DoctorOptions extends StackOptions {
  readonly preflight?: true;
  readonly json?: true;
}

/** `vllm-cluster doctor`: the operator's machine, and on demand the hosts. */
export function addDoctorCommand(program: Command): void {
  addStackOptions(program.command("doctor"))
    .summary("check this machine, and with --stack the logins of the hosts")
    .description(
      "Checks what `pulumi up` and this program need on this machine. With --stack also whether each host takes the login, gives root and\n" +
        "has docker; with --preflight everything that `gate` checks. Changes nothing. Exit code 1 when something fails.",
    )
    .option("--preflight", "with --stack: the whole preflight")
    .option("--json", "print the result as JSON on standard output")
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster doctor
  vllm-cluster doctor --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster doctor --stack qwen3-235b-ray-tp8-pp2 --preflight`,
    )
    .action(async (options: DoctorOptions) => {
      const machine = judgeOperator(operatorFacts());
      process.stderr.write(renderMachine(machine));
      const hosts = await hostsResult(options);
      if (hosts !== undefined) process.stderr.write(`\n${renderGateReport(hosts)}`);
      if (options.json) {
        process.stdout.write(`${JSON.stringify({ machine, hosts }, undefined, 2)}\n`);
      }
      const isHealthy =
        machine.every(({ result }) => result !== "fail") && hosts?.isPassed !== false;
      process.exitCode = isHealthy ? EXIT_OK : EXIT_FINDING;
    });
}

async function hostsResult(options: DoctorOptions) {
  if (options.stack === undefined && options.file === undefined) return undefined;
  const plan = loadGatePlan(options);
  if (!options.preflight) return runLogins(plan);
  process.stderr.write(`\n${renderTimeBudget(timeBudget(plan, false))}`);
  return (await runGate(plan, { isFull: false })).result;
}

function operatorFacts(): OperatorFacts {
  const agent = run("ssh-add", ["-l"]);
  const state = { 0: "ready", 1: "empty" } as const;
  const keys = agent?.code === 0 ? agent.text.trim().split("\n").length : 0;
  return {
    node: process.versions.node,
    pulumi: run("pulumi", ["version"])?.text,
    ssh: run("ssh", ["-V"])?.text,
    agent: state[agent?.code as 0 | 1] ?? "missing",
    agentKeys: keys,
  };
}

/** Both streams: `ssh -V` prints to standard error. `undefined` when it could not be started or took too long. */
function run(command: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: 10_000,
  });
  return status === null ? undefined : { code: status, text: `${stdout}${stderr}` };
}

function renderMachine(checks: readonly OperatorCheck[]): string {
  const rows = checks.map(({ name, result, detail }) => [name, CELL_TEXT[result], detail]);
  const fixes = checks.flatMap(({ name, fix }) =>
    fix === undefined ? [] : [`fix ${name}: ${fix}`],
  );
  return `${[textTable([["this machine", "", ""], ...rows]), ...fixes].join("\n")}\n`;
}
