import { z } from "zod";
import { QUANTIZATIONS } from "../fit/model-bytes.js";
import { HOST_PATH_KEYS, SERIES_NAMES } from "../hardware/series.js";
import type { GatePlan } from "../plan/gate-plan.js";
import { acceptedFinding, connection, line, npu, parseSentPlan, port } from "../plan/sent-plan.js";

/** Reads the plan that Pulumi sends to `vllm-cluster gate`; throws as `parseSentPlan`. */
export function parseGatePlan(raw: unknown): GatePlan {
  return parseSentPlan(gatePlanSchema, raw);
}

const count = z.int().min(1);

const gatePlanSchema: z.ZodType<GatePlan> = z.object({
  plan: line,
  serve: line,
  allowDowntimeFor: line.optional(),
  through: z.literal("gpustack").optional(),
  cluster: line,
  owner: line,
  baseDir: line,
  containerName: line,
  memory: z.object({
    demand: z.object({
      layout: z.object({
        tensorParallelSize: count,
        pipelineParallelSize: count,
        dataParallelSize: count,
        enableExpertParallel: z.boolean(),
        pipelineLayerPartition: z.array(z.int().min(0)).optional(),
      }),
      maxModelLen: count,
      gpuMemoryUtilization: z.number().gt(0).max(1),
      npuMemoryGib: z.number().gt(0),
      numSpeculativeTokens: z.int().min(0).optional(),
      hcclBuffSizeMb: z.int().min(0).optional(),
    }),
    quantization: z.enum(QUANTIZATIONS),
    acceptedReason: line.optional(),
  }),
  series: z.enum(SERIES_NAMES),
  serveStartSec: z.number().gt(0),
  accept: z.array(acceptedFinding),
  nodes: z
    .array(
      z.object({
        name: line,
        connection,
        socketInterface: line,
        devices: z.array(line),
        mounts: z.array(line),
        modelPath: line,
        isModelPresent: z.boolean(),
        image: z.object({
          reference: line,
          pull: line,
          source: z.enum(["registry", "archive", "present"]),
          archive: line.optional(),
        }),
        ports: z.array(z.object({ path: line, first: port, last: port })),
        npus: z.array(npu).min(1),
        npuMemoryGib: z.number().gt(0),
        driverPaths: z.record(z.enum(HOST_PATH_KEYS), line),
        shmSizeMib: z.number(),
      }),
    )
    .min(1),
});
