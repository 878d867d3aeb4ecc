import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Command, Option } from "commander";
import { catalogModel, catalogNames } from "../../core/fit/catalog.js";
import { sizesOfCheckpoint } from "../../core/fit/checkpoint-bytes.js";
import { type FitRequest, judgeFit, type MemoryDemand } from "../../core/fit/judge-fit.js";
import { checkLayout } from "../../core/fit/layout.js";
import { fitLevers } from "../../core/fit/levers.js";
import { QUANTIZATIONS, type Quantization } from "../../core/fit/model-bytes.js";
import { type ParsedModelConfig, parseModelConfig } from "../../core/fit/parse-model-config.js";
import { HARDWARE_SERIES } from "../../core/hardware/series.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { type FitReport, fitJson, renderFitReport } from "../fit-report.js";
import { fraction, positiveInteger, positiveNumber, wholeNumber } from "../numbers.js";
import { addStackOptions, loadStackPlan, type StackOptions } from "../stack.js";
import { readJsonFile, readWeightsDir, type WeightsDir } from "../weights-dir.js";

interface FitOptions extends StackOptions {
  readonly modelConfig?: string;
  readonly weightsDir?: string;
  readonly quantization?: Quantization;
  readonly tensorParallelSize?: number;
  readonly pipelineParallelSize?: number;
  readonly dataParallelSize?: number;
  readonly enableExpertParallel?: boolean;
  readonly maxModelLen?: number;
  readonly maxNumSeqs?: number;
  readonly gpuMemoryUtilization?: number;
  readonly numSpeculativeTokens?: number;
  readonly hbmGib?: number;
  readonly json?: true;
}

/** `vllm-cluster fit`: does the model fit into the NPUs' memory? Asks no host. */
export function addFitCommand(program: Command): void {
  addStackOptions(program.command("fit"))
    .summary("whether a model and layout fit into the NPUs' memory")
    .description(
      "Computes weights, cache and state per NPU, and judges: fits, tight (may start), no (vLLM will refuse). Asks no host.\n" +
        "Exit code 1 for `no` and for an architecture without formulas. Formulas and sources: docs/memory-fit.md",
    )
    .option("--model-config <path>", "config.json of the model")
    .option("--weights-dir <path>", "its directory on this machine: exact sizes of the checkpoint")
    .addOption(
      new Option("--quantization <format>", "format of the weights").choices([...QUANTIZATIONS]),
    )
    .option("--tensor-parallel-size <n>", "default 1", positiveInteger)
    .option("--pipeline-parallel-size <n>", "default 1", positiveInteger)
    .option("--data-parallel-size <n>", "default 1", positiveInteger)
    .option("--enable-expert-parallel", "whole experts on ranks")
    .option("--no-enable-expert-parallel", "the stack's setting switched off")
    .option("--max-model-len <tokens>", "tokens of one sequence", positiveInteger)
    .option("--max-num-seqs <n>", `sequences at a time; default ${MAX_NUM_SEQS}`, positiveInteger)
    .option("--gpu-memory-utilization <x>", "default 0.9", fraction)
    .option(
      "--num-speculative-tokens <n>",
      "tokens drafted by the model's MTP layers; 0 = they are not loaded",
      wholeNumber,
    )
    .option("--hbm-gib <n>", "memory of one NPU as it is sold: 64 or 32", positiveNumber)
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
With --stack the options change what the stack says, to try something out.

Examples:
  vllm-cluster fit --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster fit --stack qwen3-235b-ray-tp8-pp2 --pipeline-parallel-size 1 --quantization w8a8
  vllm-cluster fit --model-config config.json --quantization bf16 --tensor-parallel-size 8 --max-model-len 8192 --json`,
    )
    .action((options: FitOptions) => {
      const report = fitReport(options);
      process.stdout.write(
        options.json
          ? `${JSON.stringify(fitJson(report), undefined, 2)}\n`
          : renderFitReport(report),
      );
      const isGood = report.kind === "judged" && report.fit.verdict !== "no";
      process.exitCode = isGood ? EXIT_OK : EXIT_FINDING;
    });
}

function fitReport(options: FitOptions): FitReport {
  const asked =
    options.stack !== undefined || options.file !== undefined ? stackDemand(options) : undefined;
  const source = modelSource(options, asked?.modelPath);
  const { config } = source;
  if (config.kind === "invalid") {
    throw new UsageError(`${source.name} cannot be used:\n  ${config.issues.join("\n  ")}`);
  }
  if (config.kind === "unknown") {
    return { kind: "unknown", source: source.name, architecture: config.architecture };
  }
  const demand = withOptions(asked?.demand, options);
  const quantization =
    options.quantization ?? source.weights?.quantization ?? asked?.quantization ?? "bf16";
  const sizes = sizesOfCheckpoint(config.model, quantization, source.weights ?? {});
  const request: FitRequest = {
    ...demand,
    model: config.model,
    quantization,
    checkpoint: sizes.bytes,
  };
  const issues = checkLayout(config.model, demand.layout);
  if (issues.length > 0) {
    const lines = issues.map(({ field, reason }) => `  ${field}: ${reason}`);
    throw new UsageError(`vLLM refuses this layout for ${source.name}:\n${lines.join("\n")}`);
  }
  return {
    kind: "judged",
    source: source.name,
    request,
    fit: judgeFit(request),
    levers: fitLevers(request),
    remarks: [...source.remarks, ...sizes.remarks],
  };
}

interface StackDemand {
  readonly demand: MemoryDemand;
  readonly quantization: Quantization;
  readonly modelPath: string;
}

function stackDemand(options: FitOptions): StackDemand {
  const { memory, model } = loadStackPlan(options);
  return { ...memory, modelPath: model.path };
}

interface ModelSource {
  /** What a reader recognises it by. */
  readonly name: string;
  readonly config: ParsedModelConfig;
  readonly weights?: WeightsDir;
  readonly remarks: readonly string[];
}

/** The model as it is given, else the directory of the stack where this machine has it too, else the catalog. */
function modelSource(options: FitOptions, modelPath: string | undefined): ModelSource {
  const here =
    modelPath !== undefined && existsSync(join(modelPath, CONFIG)) ? modelPath : undefined;
  const dir = options.weightsDir ?? (options.modelConfig === undefined ? here : undefined);
  const path = options.modelConfig ?? (dir === undefined ? undefined : join(dir, CONFIG));
  if (path !== undefined) {
    const config = parseModelConfig(readJsonFile(path));
    const name = options.modelConfig === undefined ? dirname(path) : path;
    if (dir === undefined) return { name, config, remarks: [] };
    const weights = readWeightsDir(dir);
    const isEmpty = weights.tensors === undefined && weights.totalBytes === undefined;
    const remarks = isEmpty ? [`${dir} holds neither weights nor their index`] : [];
    return { name, config, weights, remarks };
  }
  if (modelPath === undefined) {
    throw new UsageError(
      "which model? Add --stack <name>, --model-config <path> or --weights-dir <path>",
    );
  }
  const known = catalogModel(modelPath);
  if (known === undefined) {
    throw new UsageError(
      `${modelPath} is not on this machine, and its name is none of ${catalogNames().join(", ")}; add --model-config <path>`,
    );
  }
  return {
    name: known.name,
    config: { kind: "known", model: known.model },
    remarks: [`${modelPath} is not on this machine; taken for ${known.name} by its name`],
  };
}

function withOptions(demand: MemoryDemand | undefined, options: FitOptions): MemoryDemand {
  const maxModelLen = options.maxModelLen ?? demand?.maxModelLen;
  if (maxModelLen === undefined) {
    throw new UsageError("how long is a sequence? Add --max-model-len <tokens>");
  }
  const layout = demand?.layout ?? SINGLE_NPU;
  return {
    layout: {
      tensorParallelSize: options.tensorParallelSize ?? layout.tensorParallelSize,
      pipelineParallelSize: options.pipelineParallelSize ?? layout.pipelineParallelSize,
      dataParallelSize: options.dataParallelSize ?? layout.dataParallelSize,
      enableExpertParallel: options.enableExpertParallel ?? layout.enableExpertParallel,
      pipelineLayerPartition:
        options.pipelineParallelSize === undefined ? layout.pipelineLayerPartition : undefined,
    },
    maxModelLen,
    maxNumSeqs: options.maxNumSeqs ?? demand?.maxNumSeqs ?? MAX_NUM_SEQS,
    gpuMemoryUtilization: options.gpuMemoryUtilization ?? demand?.gpuMemoryUtilization ?? 0.9,
    npuMemoryGib: options.hbmGib ?? demand?.npuMemoryGib ?? HARDWARE_SERIES.A2.npuMemoryGib,
    numSpeculativeTokens: options.numSpeculativeTokens ?? demand?.numSpeculativeTokens,
    hcclBuffSizeMb: demand?.hcclBuffSizeMb,
  };
}

const CONFIG = "config.json";
const SINGLE_NPU = {
  tensorParallelSize: 1,
  pipelineParallelSize: 1,
  dataParallelSize: 1,
  enableExpertParallel: false,
  pipelineLayerPartition: undefined,
};
/** vLLM 0.23's own default for a server (`engine/arg_utils.py`). */
const MAX_NUM_SEQS = 256;
