import {
  addBytes,
  formulaBytes,
  type LayerBytes,
  type ModelBytes,
  NO_BYTES,
  type Quantization,
  scaledToTotal,
  totalBytes,
} from "./model-bytes.js";
import type { ModelFacts } from "./model-facts.js";

/** One tensor of a checkpoint: its name, and its size from the header of its safetensors file. */
export interface TensorSize {
  readonly name: string;
  readonly bytes: number;
}

/** What is known of the files of a checkpoint. */
export interface CheckpointFacts {
  /** Every tensor, when the headers of all files could be read. */
  readonly tensors?: readonly TensorSize[] | undefined;
  /** All weights together: `metadata.total_size` of the index, or the sizes of the files. */
  readonly totalBytes?: number | undefined;
}

/** Sizes from a checkpoint, or why there are none; the remarks are for people. */
export interface CheckpointSizes {
  readonly bytes?: ModelBytes;
  readonly remarks: readonly string[];
}

/** The best sizes that the facts of a checkpoint give: tensor by tensor, else by its total. */
export function sizesOfCheckpoint(
  model: ModelFacts,
  quantization: Quantization,
  facts: CheckpointFacts,
): CheckpointSizes {
  const formula = formulaBytes(model, quantization);
  const remarks: string[] = [];
  if (facts.tensors !== undefined) {
    const bytes = checkpointBytes(model, facts.tensors);
    const gaps = checkpointGaps(model, bytes);
    if (gaps.length === 0) {
      const count = `sizes of ${facts.tensors.length} tensors`;
      return { bytes, remarks: [count, ...formatRemarks(bytes, formula, quantization)] };
    }
    remarks.push(`the files are not this model's: ${gaps.join(", ")}`);
  }
  if (facts.totalBytes !== undefined && facts.totalBytes > 0) {
    const bytes = scaledToTotal(formula, facts.totalBytes);
    if (bytes !== undefined) {
      const how = "total size of the checkpoint, spread over the layers by formula";
      return { bytes, remarks: [...remarks, how, ...formatRemarks(bytes, formula, quantization)] };
    }
    remarks.push(
      `the checkpoint has ${gib(facts.totalBytes)} GiB, which this config.json in ${quantization} (${gib(totalBytes(formula))} GiB) does not explain`,
    );
  }
  return { remarks };
}

/** The format in `quant_model_description.json` of msModelSlim: a format for each tensor, and `FLOAT` for BF16. */
export function describedQuantization(description: unknown): Quantization {
  const values =
    description !== null && typeof description === "object" ? Object.values(description) : [];
  return describedFormat(values.filter((value) => typeof value === "string"));
}

/** The format of a checkpoint whose tensors have these formats, e.g. `W8A8_DYNAMIC`. */
export function describedFormat(formats: readonly string[]): Quantization {
  const has = (prefix: string) => formats.some((format) => format.startsWith(prefix));
  if (has("W4A8")) return "w4a8";
  return has("W8A8") ? "w8a8" : "bf16";
}

/**
 * The bytes of a model from the tensors of its checkpoint. Names are those of the model repositories: decoder layers
 * `…layers.<n>.…`, drafting layers `mtp.…` (Qwen3.5) or numbered after the decoder's (DeepSeek).
 */
function checkpointBytes(model: ModelFacts, tensors: readonly TensorSize[]): ModelBytes {
  const layers = model.layers.map((): Draft => ({ ...NO_BYTES }));
  const mtp: Draft = { ...NO_BYTES };
  const sizes = { embedding: 0, head: 0, vision: 0 };
  for (const { name, bytes } of tensors) {
    if (isVision(name)) {
      sizes.vision += bytes;
      continue;
    }
    const layer = layerIndex(name);
    const isMtp = /(^|\.)mtp\./.test(name);
    if (!isMtp && layer !== undefined && layer < layers.length) {
      layers[layer]![partOf(name)] += bytes;
    } else if (isMtp || layer !== undefined) {
      // Its copies of embedding and head are the model's own.
      if (!isEmbedding(name) && !isHead(name)) mtp[mtpPartOf(name)] += bytes;
    } else if (isEmbedding(name)) {
      sizes.embedding += bytes;
    } else if (isHead(name)) {
      sizes.head += bytes;
    }
  }
  return {
    layers,
    mtp: model.mtpLayers.length === 0 ? NO_BYTES : addBytes([mtp]),
    embedding: sizes.embedding,
    head: model.tiesEmbeddings ? 0 : sizes.head,
    vision: model.hasVision ? sizes.vision : 0,
  };
}

/** Why tensors cannot be all of this model; at most one reason of each kind. */
function checkpointGaps(model: ModelFacts, bytes: ModelBytes): readonly string[] {
  const gaps: string[] = [];
  const empty = bytes.layers.findIndex((layer) => sumOf(layer) === 0);
  if (empty !== -1) gaps.push(`no tensor of layer ${empty}`);
  if (bytes.embedding === 0) gaps.push("no embedding");
  const isMoe = (index: number) => model.layers[index]?.mlp.kind === "moe";
  const noExperts = bytes.layers.findIndex((layer, index) => isMoe(index) && layer.experts === 0);
  if (noExperts !== -1) gaps.push(`no expert in layer ${noExperts}`);
  return gaps;
}

/** Some layers of a quantized checkpoint are BF16; far beyond that it is another format than was said. */
function formatRemarks(
  bytes: ModelBytes,
  formula: ModelBytes,
  quantization: Quantization,
): readonly string[] {
  const [real, expected] = [totalBytes(bytes), totalBytes(formula)];
  if (real > expected * 0.85 && real < expected * 1.3) return [];
  return [
    `the checkpoint has ${gib(real)} GiB, one in ${quantization} would have about ${gib(expected)} GiB: is it ${quantization}?`,
  ];
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1);
}

type Part = keyof LayerBytes;
type Draft = { -readonly [K in Part]: number };

function sumOf(layer: LayerBytes): number {
  return layer.sharded + layer.keyValue + layer.experts + layer.replicated;
}

function partOf(name: string): Part {
  if (/\.experts\./.test(name)) return "experts";
  if (/\.self_attn\.(k_proj|v_proj)\./.test(name)) return "keyValue";
  return REPLICATED.test(name) ? "replicated" : "sharded";
}

/** Outside its layers, what drafts tokens (projection, norms) is whole on every rank. */
function mtpPartOf(name: string): Part {
  return layerIndex(name) === undefined || /\.eh_proj\./.test(name) ? "replicated" : partOf(name);
}

/** Norms, router, and the down projections of latent attention. */
const REPLICATED =
  /norm|\.mlp\.gate\.|\.shared_expert_gate\.|\.(q_a_proj|kv_a_proj_with_mqa)\.|\.e_score_correction_bias/;

function layerIndex(name: string): number | undefined {
  const match = /(?:^|\.)layers\.(\d+)\./.exec(name);
  return match === null ? undefined : Number(match[1]);
}

function isVision(name: string): boolean {
  return /(^|\.)visual\./.test(name);
}

function isEmbedding(name: string): boolean {
  return /(^|\.)embed_tokens\./.test(name);
}

function isHead(name: string): boolean {
  return /(^|\.)(lm_head|shared_head\.head)\./.test(name);
}
