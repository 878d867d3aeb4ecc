import assert from "node:assert/strict";
import { memoryDemand, suggestedQuantization } from "../../../core/fit/spec-memory.js";
import { aClusterSpec } from "../../support/specs.js";

describe("memoryDemand", () => {
  it("takes the flags of serve and the size of the series' NPUs", () => {
    const demand = memoryDemand(aClusterSpec());
    assert.deepEqual(demand, {
      layout: {
        tensorParallelSize: 8,
        pipelineParallelSize: 2,
        dataParallelSize: 1,
        enableExpertParallel: true,
      },
      maxModelLen: 8192,
      maxNumSeqs: 25,
      gpuMemoryUtilization: 0.9,
      npuMemoryGib: 64,
      numSpeculativeTokens: 0,
    });
  });

  it("reads what decides memory from the environment", () => {
    const { layout, hcclBuffSizeMb } = memoryDemand(
      aClusterSpec((raw) => {
        raw.env = { HCCL_BUFFSIZE: "1024", VLLM_PP_LAYER_PARTITION: "48,46" };
      }),
    );
    assert.deepEqual([layout.pipelineLayerPartition, hcclBuffSizeMb], [[48, 46], 1024]);
  });

  const SPECULATIVE: readonly [title: string, value: unknown, tokens: number][] = [
    ["the drafting layers as a map", { method: "mtp", num_speculative_tokens: 3 }, 3],
    ["their older name as JSON", '{"method":"qwen3_5_mtp","num_speculative_tokens":2}', 2],
    ["no number", { method: "mtp" }, 1],
    ["another model that drafts", { method: "eagle3", num_speculative_tokens: 3 }, 0],
    ["text that is no JSON", "mtp", 0],
  ];
  for (const [title, value, tokens] of SPECULATIVE) {
    it(`reads the speculative config: ${title}`, () => {
      const demand = memoryDemand(
        aClusterSpec((raw) => {
          // An image whose flags nobody knows: else text that is no JSON would be refused.
          raw.image.reference = "quay.io/ascend/vllm-ascend:main";
          raw.serve.extraArgs = { "speculative-config": value as string };
        }),
      );
      assert.equal(demand.numSpeculativeTokens, tokens);
    });
  }
});

describe("suggestedQuantization", () => {
  const CASES = [
    [undefined, "/data/Qwen3-235B-A22B", "bf16"],
    [undefined, "/data/Qwen3.5-397B-A17B-w8a8-mtp", "w8a8"],
    ["ascend", "/data/Qwen3-235B-A22B", "w8a8"],
    ["ascend", "/data/Qwen3-235B-A22B-w4a8-mtp", "w4a8"],
  ] as const;
  for (const [quantization, path, expected] of CASES) {
    it(`takes quantization ${quantization ?? "unset"} and ${path} for ${expected}`, () => {
      const spec = aClusterSpec((raw) => {
        raw.model.path = path;
        if (quantization !== undefined) raw.serve.quantization = quantization;
      });
      assert.equal(suggestedQuantization(spec), expected);
    });
  }
});
