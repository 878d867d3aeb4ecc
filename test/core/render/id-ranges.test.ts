// Does not prove where ids come from: test/core/plan.
import assert from "node:assert/strict";
import { idRanges } from "../../../core/render/id-ranges.js";

describe("ids of ranks and NPUs", () => {
  for (const [ids, text] of [
    [[], ""],
    [[3], "3"],
    [[0, 1], "0-1"],
    [[0, 1, 2, 3, 4, 5, 6, 7], "0-7"],
    [[0, 2, 3, 5, 6, 7], "0,2-3,5-7"],
    [[3, 2], "3,2"],
  ] as const) {
    it(`are written ${text || "as nothing"} for [${ids.join(", ")}]`, () => {
      assert.equal(idRanges(ids), text);
    });
  }
});
