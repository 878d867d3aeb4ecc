import type { Layer, ModelFacts } from "./model-facts.js";

/** How a model is spread over NPUs; one rank is one NPU. */
export interface ParallelLayout {
  readonly tensorParallelSize: number;
  readonly pipelineParallelSize: number;
  readonly dataParallelSize: number;
  readonly enableExpertParallel: boolean;
  /** `VLLM_PP_LAYER_PARTITION`: decoder layers of each pipeline stage. Unset = vLLM's own split. */
  readonly pipelineLayerPartition?: readonly number[] | undefined;
}

/** NPUs that a layout needs. */
export function layoutNpus(layout: ParallelLayout): number {
  return layout.tensorParallelSize * layout.pipelineParallelSize * layout.dataParallelSize;
}

/** A rule of vLLM that a model and a layout break together. */
export interface LayoutIssue {
  /** Field of `serve` in the stack file; the flag of vLLM has the same words. */
  readonly field: string;
  /** Requirement, what was got, way out; lower case, no final period. */
  readonly reason: string;
}

/**
 * The rules by which vLLM refuses a layout for a model, each only once.
 *
 * @see vLLM `config/model.py` (heads), `model_executor/models/qwen3_moe.py` (KV heads, experts),
 *   `distributed/utils.py` (pipeline partition), at 017e9f4448
 */
export function checkLayout(model: ModelFacts, layout: ParallelLayout): readonly LayoutIssue[] {
  const layers = [...model.layers, ...model.mtpLayers];
  const tp = layout.tensorParallelSize;
  // Layers of one kind share their facts, so each rule is said once.
  const mixers = new Set(layers.map(({ mixer }) => mixer));
  const mlps = new Set(layers.map(({ mlp }) => mlp));
  return [
    ...[...mixers].flatMap((mixer) => mixerIssues(mixer, tp)),
    ...[...mlps].flatMap((mlp) => mlpIssues(mlp, tp)),
    ...pipelineIssues(model, layout),
  ];
}

/**
 * The decoder layers of each pipeline stage: `[first, end)`.
 *
 * @see vLLM `distributed/utils.py` `get_pp_indices`: of the layers that are left over, one each goes to the stages
 *   before the last, from the back
 */
export function pipelineStages(
  layers: number,
  { pipelineParallelSize, pipelineLayerPartition }: ParallelLayout,
): readonly { readonly first: number; readonly end: number }[] {
  const counts = pipelineLayerPartition ?? evenPartition(layers, pipelineParallelSize);
  let next = 0;
  return counts.map((count) => {
    const first = next;
    next += count;
    return { first, end: next };
  });
}

/** Routed experts of one rank. Without expert parallelism every expert is cut over the same ranks: the same bytes. */
export function expertShare(experts: number, layout: ParallelLayout): number {
  const ranks = layout.tensorParallelSize * layout.dataParallelSize;
  // The first ranks take one more (vLLM `expert_map_manager.py`).
  return layout.enableExpertParallel ? Math.ceil(experts / ranks) / experts : 1 / ranks;
}

/** Key-value heads of one rank: below one head per rank they are repeated. */
export function kvHeadsPerRank(kvHeads: number, tensorParallelSize: number): number {
  return Math.max(1, Math.floor(kvHeads / tensorParallelSize));
}

function evenPartition(layers: number, stages: number): number[] {
  const counts = Array.from({ length: stages }, () => Math.floor(layers / stages));
  for (let left = layers % stages, index = 2; left > 0; left -= 1, index += 1) {
    counts[stages - index]! += 1;
  }
  return counts;
}

function mixerIssues(mixer: Layer["mixer"], tp: number): LayoutIssue[] {
  const field = "tensorParallelSize";
  const issues: LayoutIssue[] = [];
  const divides = (count: number, what: string) => {
    if (count % tp !== 0) {
      issues.push({
        field,
        reason: `must divide the ${count} ${what}, got ${tp}; use ${divisorsText(count)}`,
      });
    }
  };
  switch (mixer.kind) {
    case "attention": {
      divides(mixer.heads, "attention heads");
      const { kvHeads } = mixer;
      if (kvHeads >= tp ? kvHeads % tp !== 0 : tp % kvHeads !== 0) {
        issues.push({
          field,
          reason: `must divide the ${kvHeads} key-value heads or be a multiple of them, got ${tp}`,
        });
      }
      break;
    }
    case "gdn":
      divides(mixer.keyHeads, "key heads of the linear attention");
      divides(mixer.valueHeads, "value heads of the linear attention");
      break;
    case "mla":
      divides(mixer.heads, "attention heads");
      break;
    default:
      mixer satisfies never;
  }
  return issues;
}

function mlpIssues(mlp: Layer["mlp"], tp: number): LayoutIssue[] {
  if (mlp.kind === "dense" || tp <= mlp.experts) return [];
  const reason = `must not be above the ${mlp.experts} experts, got ${tp}`;
  return [{ field: "tensorParallelSize", reason }];
}

function pipelineIssues(model: ModelFacts, layout: ParallelLayout): LayoutIssue[] {
  const { pipelineParallelSize: pp, pipelineLayerPartition: partition } = layout;
  const layers = model.layers.length;
  if (partition !== undefined) {
    const sum = partition.reduce((total, count) => total + count, 0);
    return partition.length === pp && sum === layers
      ? []
      : [
          {
            field: "VLLM_PP_LAYER_PARTITION",
            reason: `must name ${pp} stages with ${layers} layers together, got ${partition.join(",")}`,
          },
        ];
  }
  return pp <= layers
    ? []
    : [
        {
          field: "pipelineParallelSize",
          reason: `must not be above the ${layers} layers, got ${pp}`,
        },
      ];
}

function divisorsText(count: number): string {
  const divisors = Array.from({ length: Math.min(count, 64) }, (_, index) => index + 1).filter(
    (size) => count % size === 0,
  );
  return divisors.length === 1 ? "1" : `one of ${divisors.join(", ")}`;
}
