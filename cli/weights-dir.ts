import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { CheckpointFacts, TensorSize } from "../core/fit/checkpoint-bytes.js";
import { describedQuantization } from "../core/fit/checkpoint-bytes.js";
import type { Quantization } from "../core/fit/model-bytes.js";
import { messageOf, UsageError } from "./errors.js";

/** What a directory of weights on this machine tells of them; no weight is read. */
export interface WeightsDir extends CheckpointFacts {
  /** Of `quant_model_description.json`; unset without that file. */
  readonly quantization?: Quantization;
}

/**
 * Reads index, headers and description of the weights in a directory.
 *
 * @throws UsageError when there is no such directory, or a file of it cannot be understood.
 */
export function readWeightsDir(dir: string): WeightsDir {
  const names = listDirectory(dir);
  const description = names.includes(DESCRIPTION)
    ? readJsonFile(join(dir, DESCRIPTION))
    : undefined;
  const index = findIndex(names);
  const checkpoint =
    index === undefined ? readFiles(dir, names) : readIndex(dir, names, join(dir, index));
  return {
    ...checkpoint,
    ...(description === undefined ? {} : { quantization: describedQuantization(description) }),
  };
}

/**
 * A JSON file.
 *
 * @throws UsageError that names the file.
 */
export function readJsonFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${messageOf(error)}`);
  }
}

function listDirectory(dir: string): readonly string[] {
  try {
    return readdirSync(dir).sort();
  } catch (error) {
    throw new UsageError(`${dir} is no directory of weights: ${messageOf(error)}`);
  }
}

/** The usual name, or that of msModelSlim (`quant_model_weights.safetensors.index.json`). */
function findIndex(names: readonly string[]): string | undefined {
  const usual = "model.safetensors.index.json";
  return names.includes(usual)
    ? usual
    : names.find((name) => name.endsWith(".safetensors.index.json"));
}

const indexSchema = z.looseObject({
  metadata: z.looseObject({ total_size: z.number().min(0).optional() }).optional(),
  weight_map: z.record(z.string(), z.string()),
});

function readIndex(dir: string, names: readonly string[], path: string): CheckpointFacts {
  const parsed = indexSchema.safeParse(readJsonFile(path));
  if (!parsed.success) {
    throw new UsageError(`${path} is no index of safetensors: ${parsed.error.issues[0]?.message}`);
  }
  const { metadata, weight_map: map } = parsed.data;
  const files = [...new Set(Object.values(map))];
  const isWhole = files.length > 0 && files.every((file) => names.includes(file));
  return {
    ...(isWhole ? { tensors: files.flatMap((file) => readHeader(join(dir, file))) } : {}),
    ...(metadata?.total_size === undefined ? {} : { totalBytes: metadata.total_size }),
  };
}

/** A checkpoint in one file has no index. */
function readFiles(dir: string, names: readonly string[]): CheckpointFacts {
  const files = names.filter((name) => name.endsWith(".safetensors"));
  return files.length === 0 ? {} : { tensors: files.flatMap((f) => readHeader(join(dir, f))) };
}

const headerSchema = z.record(
  z.string(),
  z.looseObject({ data_offsets: z.tuple([z.number(), z.number()]) }),
);

/**
 * The tensors of a file, from its header: 8 bytes with the length, little-endian, then JSON.
 *
 * @see safetensors `README.md`, "Format"; 100 MB is its own limit for a header
 */
function readHeader(path: string): readonly TensorSize[] {
  const { __metadata__: _, ...tensors } = JSON.parse(headerText(path)) as Record<string, unknown>;
  const parsed = headerSchema.safeParse(tensors);
  if (!parsed.success) throw new UsageError(`${path} has no header of safetensors`);
  return Object.entries(parsed.data).map(
    ([
      name,
      {
        data_offsets: [begin, end],
      },
    ]) => ({
      name,
      bytes: end - begin,
    }),
  );
}

function headerText(path: string): string {
  const file = openSync(path, "r");
  try {
    const length = Buffer.alloc(8);
    readSync(file, length, 0, 8, 0);
    const size = Number(length.readBigUInt64LE());
    const isPlausible = size >= 2 && size <= 100_000_000 && size + 8 <= statSync(path).size;
    if (!isPlausible) throw new UsageError(`${path} is no file of safetensors, or was cut short`);
    const header = Buffer.alloc(size);
    readSync(file, header, 0, size, 8);
    return header.toString("utf8");
  } finally {
    closeSync(file);
  }
}

const DESCRIPTION = "quant_model_description.json";
