import assert from "node:assert/strict";
import { checkLayout, expertShare, pipelineStages } from "../../../core/fit/layout.js";
import { aRequest, modelOf, QWEN3_14B, QWEN3_235B, QWEN35_397B } from "./models.js";

const layout = (tp: number, pp = 1, dp = 1) => aRequest({}, tp, pp, dp).layout;

describe("checkLayout", () => {
  const REFUSED: readonly [title: string, reasons: RegExp[], ...Parameters<typeof checkLayout>][] =
    [
      [
        "a size that does not divide the heads",
        [/the 64 attention heads, got 6; use one of 1, 2, 4, 8/, /the 4 key-value heads .* got 6/],
        ...([QWEN3_235B, layout(6)] as const),
      ],
      [
        "a size that does not divide the heads of the linear attention",
        [/the 16 key heads of the linear attention, got 32/],
        ...([QWEN35_397B, layout(32)] as const),
      ],
      [
        "more stages than layers",
        [/the 40 layers, got 41/],
        ...([modelOf(QWEN3_14B), layout(1, 41)] as const),
      ],
      [
        "a partition with other layers",
        [/2 stages with 94 layers together, got 40,40/],
        ...([QWEN3_235B, { ...layout(8, 2), pipelineLayerPartition: [40, 40] }] as const),
      ],
    ];
  for (const [title, reasons, model, refused] of REFUSED) {
    it(`says each rule once: ${title}`, () => {
      const issues = checkLayout(model, refused);
      assert.equal(issues.length, reasons.length);
      for (const [index, reason] of reasons.entries()) assert.match(issues[index]!.reason, reason);
    });
  }

  it("takes what repeats or divides the key-value heads", () => {
    for (const tp of [1, 2, 4, 8, 16, 32, 64]) {
      assert.deepEqual(checkLayout(QWEN3_235B, layout(tp)), []);
    }
  });
});

describe("pipelineStages", () => {
  const counts = (layers: number, stages: number) =>
    pipelineStages(layers, layout(1, stages)).map(({ first, end }) => end - first);

  it("gives left-over layers to the stages before the last, as vLLM does", () => {
    assert.deepEqual(counts(94, 2), [47, 47]);
    assert.deepEqual(counts(94, 4), [23, 24, 24, 23]);
    assert.deepEqual(counts(61, 4), [15, 15, 16, 15]);
    assert.deepEqual(counts(3, 4 - 1), [1, 1, 1]);
    assert.deepEqual(counts(5, 3), [2, 2, 1]);
  });
});

describe("expertShare", () => {
  it("gives the first ranks one expert more", () => {
    assert.equal(expertShare(128, layout(8, 1, 2)), 1 / 16);
    assert.equal(expertShare(128, layout(8, 1, 3)), 6 / 128);
    assert.equal(expertShare(128, { ...layout(8, 1, 3), enableExpertParallel: false }), 1 / 24);
  });
});
