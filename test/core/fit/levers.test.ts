import assert from "node:assert/strict";
import { fitLine, leverLine } from "../../../core/fit/fit-text.js";
import { judgeFit } from "../../../core/fit/judge-fit.js";
import { fitLevers } from "../../../core/fit/levers.js";
import { formulaBytes } from "../../../core/fit/model-bytes.js";
import { aRequest, modelOf, QWEN3_14B, QWEN3_235B, QWEN35_397B } from "./models.js";

describe("fitLevers", () => {
  it("names the change that gains most first, and what hardware it needs", () => {
    const request = aRequest({}, 8);
    const [largest, ...others] = fitLevers(request);
    assert.deepEqual(
      [largest!.field, largest!.from, largest!.to, largest!.npus, largest!.verdict],
      ["pipelineParallelSize", "1", "2", 16, "fits"],
    );
    const smaller = others.find(({ npus }) => npus === 8);
    assert.deepEqual([smaller!.field, smaller!.to], ["checkpoint", "w8a8"]);
    assert.match(
      leverLine(largest!, 8),
      /^pipelineParallelSize 1 -> 2 \(16 NPUs in place of 8\): 23\.5 GiB, 10\d{5} tokens, fits$/,
    );
  });

  it("names only what helps, each more than what follows", () => {
    for (const request of [
      aRequest({}, 8),
      aRequest({ model: QWEN35_397B, quantization: "w4a8", numSpeculativeTokens: 3 }, 8, 1, 2),
      aRequest({ model: modelOf(QWEN3_14B), gpuMemoryUtilization: 0.95 }, 1),
    ]) {
      const now = judgeFit(request);
      const levers = fitLevers(request);
      assert.ok(levers.length > 0);
      for (const [index, lever] of levers.entries()) {
        const next = levers[index + 1];
        if (next !== undefined && next.verdict === lever.verdict) {
          assert.ok(lever.kvTokens >= next.kvTokens);
        }
        assert.ok(lever.kvTokens > now.kvTokens || lever.verdict !== now.verdict);
      }
    }
  });

  it("offers no layout that vLLM refuses, and no more data parallelism for a dense model", () => {
    const fields = (request: Parameters<typeof fitLevers>[0]) =>
      fitLevers(request).map(({ field, to }) => `${field}=${to}`);
    assert.ok(!fields(aRequest({ model: QWEN35_397B }, 16)).includes("tensorParallelSize=32"));
    const dense = fields(aRequest({ model: modelOf(QWEN3_14B) }, 1));
    assert.ok(!dense.some((field) => field.startsWith("dataParallelSize")));
  });

  it("offers a shorter sequence where one does not fit", () => {
    const request = aRequest({ gpuMemoryUtilization: 0.95, maxModelLen: 65_536 }, 8);
    assert.equal(judgeFit(request).verdict, "no");
    const lever = fitLevers(request).find(({ field }) => field === "maxModelLen");
    assert.deepEqual([lever!.to, lever!.verdict], ["32768", "tight"]);
  });

  it("offers smaller buffers where they are the problem", () => {
    const request = aRequest({ hcclBuffSizeMb: 4096 }, 8, 2);
    const lever = fitLevers(request).find(({ field }) => field === "env.HCCL_BUFFSIZE");
    assert.deepEqual([lever!.from, lever!.to], ["4096", "1024"]);
  });

  it("computes another format by formula, not from the sizes of the present one", () => {
    const checkpoint = formulaBytes(QWEN3_235B, "bf16");
    const find = (request: Parameters<typeof fitLevers>[0]) =>
      fitLevers(request).find(({ field }) => field === "checkpoint");
    assert.deepEqual(find(aRequest({ checkpoint }, 8)), find(aRequest({}, 8)));
  });
});

describe("fitLine", () => {
  it("says verdict, figures and basis in one line", () => {
    const request = aRequest({}, 8, 2);
    assert.equal(
      fitLine(judgeFit(request), request),
      "memory fit: fits: 23.5 GiB are left for the cache (per NPU: 27.5 GiB of weights by formula, budget 54.9 GiB)",
    );
  });
});
