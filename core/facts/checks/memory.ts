import { describedFormat, sizesOfCheckpoint } from "../../fit/checkpoint-bytes.js";
import { fitLine, leverLine } from "../../fit/fit-text.js";
import { type FitRequest, judgeFit, type MemoryFit } from "../../fit/judge-fit.js";
import { checkLayout, type LayoutIssue } from "../../fit/layout.js";
import { fitLevers } from "../../fit/levers.js";
import { parseModelConfig } from "../../fit/parse-model-config.js";
import type { GateNode, GatePlan } from "../../plan/gate-plan.js";
import { stableJson } from "../../render/stable-json.js";
import type { Check, CheckContext, Finding } from "../check.js";
import { unknownFact } from "../check.js";
import { modelConfig } from "../facts-request.js";
import { fileText, type HostFacts, weightsBytes } from "../host-facts.js";

/** Whether the model of the host fits into the NPUs, by the sizes of the host's own files. */
export const memoryCheck: Check = { name: "memory", needs: ["root"], judge: judgeOnce };

/** The fit on one host in one line; undefined when it could not be judged. */
export function memoryFitLine(
  plan: GatePlan,
  node: GateNode,
  facts: HostFacts,
): string | undefined {
  const outcome = fitOnHost(plan, node, facts);
  return outcome.kind === "judged" ? fitLine(outcome.fit, outcome.request) : undefined;
}

/** The same plan and the same files fit or do not fit alike: told on the first host of which it is true, not on each. */
function judgeOnce(context: CheckContext): readonly Finding[] {
  const found = judgeMemory(context);
  const first = context.hosts.find(({ node, facts }) =>
    isDeepEqual(judgeMemory({ ...context, node, facts }), found),
  );
  return first === undefined || first.node.name === context.node.name
    ? found
    : found.filter(({ code }) => code !== "MEMORY_FIT" && code !== "MEMORY_TIGHT");
}

function isDeepEqual(one: readonly Finding[], other: readonly Finding[]): boolean {
  return stableJson(one) === stableJson(other);
}

function judgeMemory({ plan, node, facts }: CheckContext): readonly Finding[] {
  const outcome = fitOnHost(plan, node, facts);
  switch (outcome.kind) {
    case "unread":
      return [unknownFact(`memory fit by ${modelConfig(node)}`, outcome.reason)];
    case "unknown":
      return [
        {
          code: "MEMORY_UNKNOWN",
          result: "unknown",
          detail: `no formulas for the architecture ${outcome.architecture}; nothing is guessed`,
          fix: "none needed to start; docs/memory-fit.md lists what is known",
        },
      ];
    case "refused":
      return outcome.issues.map(({ field, reason }) => ({
        code: "MODEL_LAYOUT",
        result: "fail",
        detail: `vLLM refuses this layout for ${node.modelPath}: ${field} ${reason}`,
        fix: `change serve.${field}, or the NPUs (nodes, visibleDevices) with it`,
      }));
    case "judged":
      return fitFindings(outcome, plan.memory.acceptedReason);
    default:
      return outcome satisfies never;
  }
}

function fitFindings(
  { fit, request, remarks }: JudgedOnHost,
  acceptedReason: string | undefined,
): readonly Finding[] {
  if (fit.verdict === "fits") return [];
  const [largest] = fitLevers(request);
  const lever = largest === undefined ? "" : `; largest lever: ${leverLine(largest, fit.npus)}`;
  const basis = [`weights ${fit.weightsGiB.toFixed(1)} GiB per NPU by ${fit.basis}`, ...remarks];
  const detail = `${fit.reason} (${basis.join("; ")})`;
  if (fit.verdict === "tight") {
    return [{ code: "MEMORY_TIGHT", result: "warn", detail, fix: `none needed to try it${lever}` }];
  }
  if (acceptedReason !== undefined) {
    const fix = `accepted by acceptMemoryFit: ${acceptedReason}${lever}`;
    return [{ code: "MEMORY_FIT", result: "warn", detail, fix }];
  }
  return [
    {
      code: "MEMORY_FIT",
      result: "fail",
      detail,
      fix: `change what \`vllm-cluster fit\` names${lever}; or set acceptMemoryFit: {reason: …} to start all the same`,
    },
  ];
}

type FitOnHost =
  | JudgedOnHost
  | { readonly kind: "unread"; readonly reason: string | undefined }
  | { readonly kind: "unknown"; readonly architecture: string }
  | { readonly kind: "refused"; readonly issues: readonly LayoutIssue[] };

interface JudgedOnHost {
  readonly kind: "judged";
  readonly fit: MemoryFit;
  readonly request: FitRequest;
  readonly remarks: readonly string[];
}

function fitOnHost({ memory }: GatePlan, node: GateNode, facts: HostFacts): FitOnHost {
  const config = readConfig(node, facts);
  if ("reason" in config) return { kind: "unread", reason: config.reason };
  const parsed = parseModelConfig(config.raw);
  if (parsed.kind === "unknown") return parsed;
  if (parsed.kind === "invalid") return { kind: "unread", reason: parsed.issues.join("; ") };
  const { model } = parsed;
  const issues = checkLayout(model, memory.demand.layout);
  if (issues.length > 0) return { kind: "refused", issues };
  const files = facts.models.get(node.modelPath);
  const found = files?.state === "found" ? files : undefined;
  const quantization =
    found?.formats === undefined ? memory.quantization : describedFormat(found.formats);
  const sizes = sizesOfCheckpoint(model, quantization, {
    totalBytes: found === undefined ? undefined : weightsBytes(found),
  });
  // No verdict depends on how many sequences run, so the plan does not name it.
  const request = {
    ...memory.demand,
    maxNumSeqs: 1,
    ...{ model, quantization, checkpoint: sizes.bytes },
  };
  return { kind: "judged", fit: judgeFit(request), request, remarks: sizes.remarks };
}

function readConfig(
  node: GateNode,
  facts: HostFacts,
): { readonly raw: unknown } | { readonly reason: string | undefined } {
  const fact = facts.files.get(modelConfig(node));
  if (fact?.state !== "found") {
    return { reason: fact?.state === "missing" ? "it is not there" : fact?.reason };
  }
  try {
    return { raw: JSON.parse(fileText(fact) ?? "") };
  } catch {
    return { reason: "it is no JSON" };
  }
}
