import {
  compareFits,
  type FitRequest,
  type FitVerdict,
  GUIDE_BUFFSIZE_MB,
  judgeFit,
} from "./judge-fit.js";
import { checkLayout, layoutNpus } from "./layout.js";

/** One change of one field, and what it would give. */
export interface Lever {
  /** Field of `serve` in the stack file, of `env`, or `checkpoint` for weights in another format. */
  readonly field: string;
  readonly from: string;
  readonly to: string;
  /** NPUs that the changed layout needs. */
  readonly npus: number;
  readonly verdict: FitVerdict;
  readonly kvPoolGiB: number;
  readonly kvTokens: number;
}

/** The changes that give more room, the largest first: by verdict, then by tokens, then by pool. */
export function fitLevers(request: FitRequest): readonly Lever[] {
  const now = judgeFit(request);
  return candidates(request)
    .filter(({ changed }) => checkLayout(changed.model, changed.layout).length === 0)
    .map(({ changed, ...change }): Lever => {
      const { verdict, kvPoolGiB, kvTokens } = judgeFit(changed);
      return { ...change, npus: layoutNpus(changed.layout), verdict, kvPoolGiB, kvTokens };
    })
    .filter((lever) => compareFits(lever, now) > 0)
    .sort((a, b) => compareFits(b, a));
}

interface Candidate {
  readonly field: string;
  readonly from: string;
  readonly to: string;
  readonly changed: FitRequest;
}

function candidates(request: FitRequest): readonly Candidate[] {
  return [
    ...parallelSizes(request),
    ...formats(request),
    ...utilization(request),
    ...drafting(request),
    ...shorter(request),
    ...buffers(request),
  ];
}

/** Twice the NPUs in one direction. Data parallelism spreads experts only. */
function parallelSizes(request: FitRequest): Candidate[] {
  const { layout, model } = request;
  const isMoe = model.layers.some(({ mlp }) => mlp.kind === "moe");
  const fields = ["tensorParallelSize", "pipelineParallelSize", "dataParallelSize"] as const;
  return fields
    .filter((field) => field !== "dataParallelSize" || isMoe)
    .map((field) => ({
      field,
      from: `${layout[field]}`,
      to: `${layout[field] * 2}`,
      changed: {
        ...request,
        layout: { ...layout, [field]: layout[field] * 2, pipelineLayerPartition: undefined },
      },
    }));
}

/** By formula, because the sizes of a checkpoint are those of its own format. */
function formats(request: FitRequest): Candidate[] {
  const smaller = ({ bf16: "w8a8", w8a8: "w4a8", w4a8: undefined } as const)[request.quantization];
  if (smaller === undefined) return [];
  return [
    {
      field: "checkpoint",
      from: request.quantization,
      to: smaller,
      changed: { ...request, quantization: smaller, checkpoint: undefined },
    },
  ];
}

function utilization(request: FitRequest): Candidate[] {
  if (request.gpuMemoryUtilization >= HIGH_UTILIZATION) return [];
  return [
    {
      field: "gpuMemoryUtilization",
      from: `${request.gpuMemoryUtilization}`,
      to: `${HIGH_UTILIZATION}`,
      changed: { ...request, gpuMemoryUtilization: HIGH_UTILIZATION },
    },
  ];
}

function drafting(request: FitRequest): Candidate[] {
  const { numSpeculativeTokens, model } = request;
  if (model.mtpLayers.length === 0 || numSpeculativeTokens === 0) return [];
  return [
    {
      field: "extraArgs.speculative-config",
      from: numSpeculativeTokens === undefined ? "on" : `${numSpeculativeTokens} tokens`,
      to: "off",
      changed: { ...request, numSpeculativeTokens: 0 },
    },
  ];
}

function shorter(request: FitRequest): Candidate[] {
  const half = (value: number) => Math.max(1, Math.floor(value / 2));
  return (["maxNumSeqs", "maxModelLen"] as const)
    .filter((field) => request[field] > 1)
    .map((field) => ({
      field,
      from: `${request[field]}`,
      to: `${half(request[field])}`,
      changed: { ...request, [field]: half(request[field]) },
    }));
}

function buffers(request: FitRequest): Candidate[] {
  const { hcclBuffSizeMb } = request;
  if (hcclBuffSizeMb === undefined || hcclBuffSizeMb <= GUIDE_BUFFSIZE_MB) return [];
  return [
    {
      field: "env.HCCL_BUFFSIZE",
      from: `${hcclBuffSizeMb}`,
      to: `${GUIDE_BUFFSIZE_MB}`,
      changed: { ...request, hcclBuffSizeMb: GUIDE_BUFFSIZE_MB },
    },
  ];
}

/** What is above it belongs to the driver and to fragmentation: an idle NPU shows 2.8-4.6 GB of 64 in use. */
const HIGH_UTILIZATION = 0.95;
