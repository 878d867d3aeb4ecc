import type { ClusterPlan } from "../plan/cluster-plan.js";
import { catalogModel } from "./catalog.js";
import { cacheText, fitLine, leverLine } from "./fit-text.js";
import { type FitVerdict, judgeFit } from "./judge-fit.js";
import { checkLayout } from "./layout.js";
import { fitLevers } from "./levers.js";

/** What can be said of a plan's memory fit without its hosts. */
export interface PlanFit {
  /** `unknown`: not a model of the catalog; the preflight reads its config on the hosts. */
  readonly verdict: FitVerdict | "unknown";
  /** One line for people. */
  readonly text: string;
}

/** Judges a plan by the name of its model, which is what a preview knows. */
export function fitOfPlan({ model: { path: modelPath }, memory }: ClusterPlan): PlanFit {
  const known = catalogModel(modelPath);
  if (known === undefined) {
    const text = `memory fit: unknown here: the name of ${modelPath} is none of the built-in ones; the preflight reads its config on the hosts`;
    return { verdict: "unknown", text };
  }
  const { model } = known;
  const [issue] = checkLayout(model, memory.demand.layout);
  if (issue !== undefined) {
    const text = `memory fit: no: vLLM refuses this layout for ${known.name}: ${issue.field} ${issue.reason}`;
    return { verdict: "no", text };
  }
  const request = { ...memory.demand, model, quantization: memory.quantization };
  const fit = judgeFit(request);
  const [largest] = fit.verdict === "fits" ? [] : fitLevers(request);
  const lever = largest === undefined ? "" : `; largest lever: ${leverLine(largest, fit.npus)}`;
  const text = `${fitLine(fit, request)}; ${cacheText(fit, request)}; taken for ${known.name} in ${memory.quantization} by its name${lever}`;
  return { verdict: fit.verdict, text };
}
