import type { ClusterPlan, NodePlan } from "../plan/cluster-plan.js";
import { renderBootUnit } from "./boot-unit.js";
import { shellQuote } from "./quote.js";
import { type NodeScripts, renderStageScript } from "./stage-script.js";

/**
 * Stages a node again and installs its boot unit, for `bash -s`: the very steps of `pulumi up`, which refuse a foreign owner and
 * replace only what differs. Nothing that runs is touched; a unit that is not active is started.
 */
export function renderRepairScript(
  plan: ClusterPlan,
  node: NodePlan,
  scripts: NodeScripts,
): string {
  const boot = shellQuote(`${plan.baseDir}/bin/boot.sh`);
  return [
    renderStageScript(plan, node, scripts).trimEnd(),
    // The end of the text is the end of the unit: a stream that is cut stages, and installs no half unit.
    `printf '%s' ${shellQuote(renderBootUnit(plan, node))} | bash ${boot} install ${plan.unitName}`,
    "",
  ].join("\n");
}
