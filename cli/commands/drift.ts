import type { Command } from "commander";
import { parseDriftAnswer } from "../../core/drift/drift-answer.js";
import { type DriftFinding, isDrifted, isRepairable } from "../../core/drift/drift-finding.js";
import { driftRequest } from "../../core/drift/drift-request.js";
import { judgeDrift, type NodeAnswer } from "../../core/drift/judge-drift.js";
import { parseHostFacts } from "../../core/facts/host-facts.js";
import type { ClusterPlan } from "../../core/plan/cluster-plan.js";
import { renderRepairScript } from "../../core/render/repair-script.js";
import type { NodeScripts } from "../../core/render/stage-script.js";
import { renderDriftReport } from "../drift-report.js";
import { EXIT_FINDING, EXIT_OK, StepError } from "../errors.js";
import { readNodeScript, readNodeScripts } from "../package-files.js";
import { runOnNodes } from "../ssh.js";
import { addStackOptions, loadStackPlan, type StackOptions } from "../stack.js";

interface DriftOptions extends StackOptions {
  readonly json?: true;
  readonly repair?: true;
}

/** `vllm-cluster drift`: what on the hosts is not as the plan has it. */
export function addDriftCommand(program: Command): void {
  addStackOptions(program.command("drift"))
    .summary("what on the hosts is not as the stack file plans it")
    .description(
      "Compares containers, image ids, staged files, boot units, secret files, command lines and environment of the\n" +
        "running processes, driver and boot of every host with the plan; says what the next `pulumi up` does about each\n" +
        "difference, and what puts it right. Changes nothing without --repair.\n" +
        "Exit code 0: no drift; 1: drift, or a host that could not be asked; 2: wrong usage or stack file.",
    )
    .option("--json", "print the findings as JSON")
    .option(
      "--repair",
      "stage again what was changed by hand on the hosts; restarts nothing, and refuses a stack file that was not deployed",
    )
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster drift --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster drift --stack qwen3-235b-ray-tp8-pp2 --json | jq '.findings[] | select(.level == "drift")'
  vllm-cluster drift --stack qwen3-235b-ray-tp8-pp2 --repair`,
    )
    .action(async (options: DriftOptions) => {
      const plan = loadStackPlan(
        options,
        "`pulumi preview --refresh` compares its deployments with the server",
      );
      const scripts = readNodeScripts();
      let findings = await findDrift(plan, scripts);
      if (options.repair) {
        await repair(plan, scripts, findings);
        findings = await findDrift(plan, scripts);
      }
      process.stdout.write(
        options.json
          ? `${JSON.stringify({ cluster: plan.cluster, findings }, undefined, 2)}\n`
          : renderDriftReport(plan.cluster, findings),
      );
      process.exitCode = isDrifted(findings) ? EXIT_FINDING : EXIT_OK;
    });
}

async function findDrift(
  plan: ClusterPlan,
  scripts: NodeScripts,
): Promise<readonly DriftFinding[]> {
  const functions = ["drift-facts.sh", "facts.sh"].map(readNodeScript).join("");
  const runs = await runOnNodes(plan.nodes, (node) => ({
    text: `${functions}${driftRequest(plan, node, scripts)}`,
    // The script becomes root by itself.
    as: "login",
    deadlineSec: DEADLINE_SEC,
  }));
  const answers = plan.nodes.map((node, index): NodeAnswer => {
    const { stdout, failure } = runs[index]!;
    if (failure !== undefined) return { node, problem: failure };
    const facts = parseHostFacts(stdout);
    if (facts.isComplete && facts.root?.isOk === true) {
      return { node, facts, drift: parseDriftAnswer(stdout) };
    }
    const cause = facts.root?.isOk === false ? facts.root.text : "the host's answer was cut short";
    return { node, problem: { cause, next: "vllm-cluster gate" } };
  });
  return judgeDrift(plan, answers, scripts);
}

/** Runs what `pulumi up` has run when it staged these nodes; Pulumi's state stays right, because nothing in it changes. */
async function repair(
  plan: ClusterPlan,
  scripts: NodeScripts,
  findings: readonly DriftFinding[],
): Promise<void> {
  const pending = findings.find(({ kind }) => kind === "release");
  if (pending !== undefined) {
    throw new StepError(
      `the stack file is not what was deployed (${pending.found}): nothing was repaired\nnext: ${pending.next}`,
    );
  }
  const names = new Set(findings.filter(isRepairable).map(({ node }) => node));
  const nodes = plan.nodes.filter(({ name }) => names.has(name));
  const runs = await runOnNodes(nodes, (node) => ({
    text: renderRepairScript(plan, node, scripts),
    as: "root",
    deadlineSec: DEADLINE_SEC,
  }));
  const failed = runs.filter(({ code }) => code !== 0);
  for (const { node } of runs.filter(({ code }) => code === 0)) {
    process.stderr.write(`${node}: staged again\n`);
  }
  if (failed.length === 0) return;
  const reasons = failed.map(
    ({ node, failure, stderr }) => `${node}: ${failure?.cause ?? stderr.trim()}`,
  );
  throw new StepError(reasons.join("\n"));
}

const DEADLINE_SEC = 150;
