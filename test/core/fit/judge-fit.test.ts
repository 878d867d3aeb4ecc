// Holds the formulas against the published figures of two models, and checks that more of a resource never gives less. Does
// not prove what a real NPU has free: side terms and the usable share of the memory are figures from logs of others.
import assert from "node:assert/strict";
import fc from "fast-check";
import { type FitRequest, type FitVerdict, judgeFit } from "../../../core/fit/judge-fit.js";
import { checkLayout } from "../../../core/fit/layout.js";
import type { Quantization } from "../../../core/fit/model-bytes.js";
import {
  aRequest,
  DEEPSEEK_V3,
  LLAMA_70B,
  modelOf,
  QWEN3_14B,
  QWEN3_235B,
  QWEN35_397B,
} from "./models.js";

describe("judgeFit", () => {
  interface TruthRow {
    readonly title: string;
    readonly request: FitRequest;
    readonly weightsGiB: number;
    readonly kvBytesPerToken: number;
    readonly stateMiB?: number;
    readonly verdict: FitVerdict;
    readonly poolAboveGiB?: number;
    readonly tokensAbout?: number;
  }
  const q235 = (quantization: Quantization, tp: number, pp: number, utilization = 0.9) =>
    aRequest({ quantization, gpuMemoryUtilization: utilization }, tp, pp);
  const q397 = (quantization: Quantization, tp: number, dp: number) =>
    aRequest({ model: QWEN35_397B, quantization, maxModelLen: 32_768 }, tp, 1, dp);

  const TRUTH: readonly TruthRow[] = [
    {
      title: "235B BF16, TP8, one node",
      ...{ request: q235("bf16", 8, 1), weightsGiB: 54.91, kvBytesPerToken: 48_128, verdict: "no" },
    },
    {
      title: "235B BF16, TP8, one node, utilization 0.95",
      request: q235("bf16", 8, 1, 0.95),
      ...{ weightsGiB: 54.91, kvBytesPerToken: 48_128, verdict: "tight" },
    },
    {
      title: "235B BF16, PP2 x TP8",
      request: q235("bf16", 8, 2),
      ...{ weightsGiB: 27.45, kvBytesPerToken: 24_064, verdict: "fits" },
      ...{ poolAboveGiB: 23, tokensAbout: 1.0e6 },
    },
    {
      title: "235B BF16, TP16",
      request: q235("bf16", 16, 1),
      ...{ weightsGiB: 27.59, kvBytesPerToken: 48_128, verdict: "fits", tokensAbout: 0.5e6 },
    },
    {
      title: "235B W8A8, TP8, one node",
      request: q235("w8a8", 8, 1),
      ...{ weightsGiB: 27.65, kvBytesPerToken: 48_128, verdict: "fits" },
    },
    {
      title: "397B W8A8, DP2 x TP8, MTP",
      request: q397("w8a8", 8, 2),
      ...{ weightsGiB: 24.58, kvBytesPerToken: 16_384, stateMiB: 22.9, verdict: "fits" },
      poolAboveGiB: 20,
    },
    {
      title: "397B W8A8, TP16, MTP",
      request: q397("w8a8", 16, 1),
      ...{ weightsGiB: 23.89, kvBytesPerToken: 16_384, stateMiB: 11.4, verdict: "fits" },
    },
    {
      title: "397B BF16, DP2 x TP8, MTP",
      request: q397("bf16", 8, 2),
      ...{ weightsGiB: 48.38, kvBytesPerToken: 16_384, stateMiB: 22.9, verdict: "tight" },
    },
  ];

  for (const row of TRUTH) {
    it(`gives the published figures within 1 %: ${row.title}`, () => {
      const fit = judgeFit(row.request);
      within(fit.weightsGiB, row.weightsGiB, 0.01);
      assert.equal(fit.kvBytesPerToken, row.kvBytesPerToken);
      if (row.stateMiB === undefined) assert.equal(fit.stateMiBPerSequence, 0);
      else within(fit.stateMiBPerSequence, row.stateMiB, 0.01);
      assert.equal(fit.verdict, row.verdict, fit.reason);
      assert.equal(fit.basis, "formula");
      within(fit.budgetGiB, row.request.gpuMemoryUtilization === 0.95 ? 57.91 : 54.86, 0.001);
      if (row.poolAboveGiB !== undefined) assert.ok(fit.kvPoolGiB > row.poolAboveGiB);
      if (row.tokensAbout !== undefined) within(fit.kvTokens, row.tokensAbout, 0.06);
    });
  }

  it("gives the weights that a log shows: Qwen3-14B on one NPU took 27.54 GiB (vllm-ascend#9372)", () => {
    const fit = judgeFit(aRequest({ model: modelOf(QWEN3_14B) }, 1));
    within(fit.weightsGiB, 27.5376, 0.01);
  });

  it("says the same of 32 GB as that log: no room for a cache", () => {
    const request = aRequest({ model: modelOf(QWEN3_14B), npuMemoryGib: 32, maxModelLen: 4096 }, 1);
    assert.equal(judgeFit(request).verdict, "no");
    assert.equal(judgeFit({ ...request, npuMemoryGib: 64 }).verdict, "fits");
  });

  it("caches one compressed vector of latent attention, the same on every rank", () => {
    const model = modelOf(DEEPSEEK_V3);
    const layers = 61 + 1;
    for (const tp of [8, 16]) {
      const fit = judgeFit(aRequest({ model, quantization: "w8a8" }, tp));
      assert.equal(fit.kvBytesPerToken, layers * (512 + 64) * 2);
    }
  });

  it("leaves the drafting layers out when nothing is drafted, and keeps a state for each drafted token", () => {
    const request = q397("w8a8", 8, 2);
    const [off, two] = [0, 2].map((numSpeculativeTokens) =>
      judgeFit({ ...request, numSpeculativeTokens }),
    );
    assert.equal(off!.kvBytesPerToken, 15_360);
    assert.equal(two!.kvBytesPerToken, 16_384);
    assert.deepEqual([off!.statesPerSequence, two!.statesPerSequence], [1, 3]);
    assert.ok(off!.weightsGiB < two!.weightsGiB - 0.3);
  });

  it("refuses what vLLM refuses: a cache that does not hold one sequence of maxModelLen", () => {
    const request = q235("bf16", 8, 1, 0.95);
    const fit = judgeFit({ ...request, maxModelLen: 131_072 });
    assert.equal(fit.verdict, "no");
    assert.match(fit.reason, /holds at most 4\d{4} tokens, .* below maxModelLen 131072/);
  });

  it("is tight, not no, when only the usual side terms leave too little for one sequence", () => {
    const request = q235("bf16", 8, 2);
    const { kvTokens } = judgeFit(request);
    assert.equal(judgeFit({ ...request, maxModelLen: kvTokens - 1 }).verdict, "fits");
    assert.equal(judgeFit({ ...request, maxModelLen: kvTokens + 1 }).verdict, "tight");
  });

  it("counts HCCL buffers beyond the usual share with expert parallelism only", () => {
    const request = q235("bf16", 8, 2);
    const buffers = (hcclBuffSizeMb: number, enableExpertParallel = true) =>
      judgeFit({
        ...request,
        layout: { ...request.layout, enableExpertParallel },
        hcclBuffSizeMb,
      }).side.nonTorch;
    assert.deepEqual([buffers(200), buffers(1024), buffers(4096)], [2, 2, 8]);
    assert.equal(buffers(4096, false), 2);
  });

  it("counts the image tower beside the weights", () => {
    assert.equal(judgeFit(q397("w8a8", 8, 2)).visionGiB, 1);
    assert.equal(judgeFit(q235("bf16", 8, 2)).visionGiB, 0);
  });

  it("judges by the fullest pipeline stage", () => {
    const request = q235("bf16", 8, 2);
    const uneven = judgeFit({
      ...request,
      layout: { ...request.layout, pipelineLayerPartition: [60, 34] },
    });
    assert.equal(uneven.pipelineStage, 0);
    assert.ok(uneven.weightsGiB > judgeFit(request).weightsGiB * 1.25);
    assert.ok(uneven.kvTokens < judgeFit(request).kvTokens / 1.5);
  });

  const models = [
    ...[QWEN3_235B, QWEN35_397B],
    ...[QWEN3_14B, LLAMA_70B, DEEPSEEK_V3].map(modelOf),
  ];
  const requests = fc
    .record({
      model: fc.constantFrom(...models),
      quantization: fc.constantFrom<Quantization>("bf16", "w8a8", "w4a8"),
      layout: fc.record({
        tensorParallelSize: fc.constantFrom(1, 2, 4, 8, 16),
        pipelineParallelSize: fc.integer({ min: 1, max: 7 }),
        dataParallelSize: fc.constantFrom(1, 2, 4),
        enableExpertParallel: fc.boolean(),
      }),
      maxModelLen: fc.integer({ min: 1, max: 262_144 }),
      maxNumSeqs: fc.integer({ min: 1, max: 512 }),
      gpuMemoryUtilization: fc.double({ min: 0.1, max: 0.98, noNaN: true }),
      npuMemoryGib: fc.constantFrom(32, 64),
      numSpeculativeTokens: fc.constantFrom(undefined, 0, 1, 3),
    })
    .filter(({ model, layout }) => checkLayout(model, layout).length === 0);

  /** The image tower is on one stage only, so which stage is the fullest may change with it. */
  const value = (request: FitRequest, field: Law["field"]) => {
    const fit = judgeFit(request);
    return fit[field] + (field === "weightsGiB" ? fit.visionGiB : 0);
  };

  /** A change that must not help, or must not hurt. */
  interface Law {
    readonly title: string;
    readonly change: (request: FitRequest) => FitRequest;
    readonly field: "weightsGiB" | "kvTokens" | "kvPoolGiB" | "maxConcurrency" | "kvBytesPerToken";
    readonly direction: "never more" | "never less";
  }
  const doubled =
    (field: "tensorParallelSize" | "pipelineParallelSize" | "dataParallelSize") =>
    (request: FitRequest): FitRequest => ({
      ...request,
      layout: { ...request.layout, [field]: request.layout[field] * 2 },
    });
  const LAWS: readonly Law[] = [
    ...(["tensorParallelSize", "dataParallelSize"] as const).map(
      (field): Law => ({
        title: `twice the ${field}`,
        ...{ change: doubled(field), field: "weightsGiB", direction: "never more" },
      }),
    ),
    {
      title: "twice the tensorParallelSize",
      ...{ change: doubled("tensorParallelSize"), field: "kvBytesPerToken" },
      direction: "never more",
    },
    {
      title: "a longer maxModelLen",
      change: (request) => ({ ...request, maxModelLen: request.maxModelLen * 2 }),
      ...{ field: "maxConcurrency", direction: "never more" },
    },
    {
      title: "more sequences",
      change: (request) => ({ ...request, maxNumSeqs: request.maxNumSeqs + 1 }),
      ...{ field: "kvTokens", direction: "never more" },
    },
    {
      title: "more utilization",
      change: (request) => ({ ...request, gpuMemoryUtilization: 0.99 }),
      ...{ field: "kvTokens", direction: "never less" },
    },
    {
      title: "larger NPUs",
      change: (request) => ({ ...request, npuMemoryGib: request.npuMemoryGib * 2 }),
      ...{ field: "kvPoolGiB", direction: "never less" },
    },
    {
      title: "W4A8",
      change: (request) => ({ ...request, quantization: "w4a8" }),
      ...{ field: "weightsGiB", direction: "never more" },
    },
  ];
  for (const { title, change, field, direction } of LAWS) {
    it(`${title} gives ${direction} ${field}`, () => {
      fc.assert(
        fc.property(requests, (request) => {
          const after = change(request);
          fc.pre(checkLayout(after.model, after.layout).length === 0);
          const difference = value(after, field) - value(request, field);
          const slack = 1e-9;
          return direction === "never more" ? difference <= slack : difference >= -slack;
        }),
        { numRuns: 40 },
      );
    });
  }

  it("never gives a figure that is no number, or tokens and sequences below 0", () => {
    fc.assert(
      fc.property(requests, (request) => {
        const fit = judgeFit(request);
        assert.ok(fit.kvTokens >= 0 && Number.isInteger(fit.kvTokens));
        assert.ok(fit.maxConcurrency >= 0);
        for (const value of Object.values(fit)) assert.ok(!Number.isNaN(value));
      }),
      { numRuns: 40 },
    );
  });

  it("calls nothing fitting that is not tight too, in the order of room", () => {
    const order: readonly FitVerdict[] = ["no", "tight", "fits"];
    fc.assert(
      fc.property(requests, (request) => {
        const better = judgeFit({ ...request, gpuMemoryUtilization: 0.99 });
        return order.indexOf(better.verdict) >= order.indexOf(judgeFit(request).verdict);
      }),
      { numRuns: 40 },
    );
  });
});

function within(actual: number, expected: number, share: number): void {
  const deviation = Math.abs(actual - expected) / expected;
  assert.ok(deviation <= share, `${actual} is not within ${share * 100} % of ${expected}`);
}
