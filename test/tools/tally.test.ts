import assert from "node:assert/strict";
import { SKIP_MARK } from "../../tools/test/skip.mjs";
import { Tally } from "../../tools/test/tally.mjs";

const outcome = (title: string, error?: string) => ({
  layer: "lab",
  file: "test/lab/a.test.ts",
  title,
  ms: 1,
  error,
});
const allowed = { isSkipForbidden: false };

describe("the tally of a test run", () => {
  it("closes with one line of three numbers", () => {
    const tally = new Tally();
    tally.add("passed", outcome("a"), allowed);
    tally.add("passed", outcome("b"), allowed);
    tally.add("failed", outcome("c", "Error: no"), allowed);
    tally.add("skipped", outcome(`d${SKIP_MARK}not root; remedy: run as root`), allowed);
    assert.equal(tally.closingLine(), "2 passed, 1 failed, 1 skipped");
    assert.equal(tally.isGreen(), false);
  });

  it("names failures with file and error, and skips with reason and remedy", () => {
    const tally = new Tally();
    tally.add("failed", outcome("c", "Error: no\n  at x"), allowed);
    for (const title of ["d", "e"]) {
      tally.add("skipped", outcome(`${title}${SKIP_MARK}not root; remedy: run as root`), allowed);
    }
    assert.equal(
      tally.details(),
      "skipped: not root; remedy: run as root\n    lab: d\n    lab: e\n" +
        "FAILED  lab: c (test/lab/a.test.ts)\n    Error: no\n      at x",
    );
  });

  it("counts a skip without a reason as failed", () => {
    const tally = new Tally();
    assert.equal(tally.add("skipped", outcome("d"), allowed), "failed");
    assert.equal(tally.closingLine(), "0 passed, 1 failed, 0 skipped");
  });

  it("counts any skip as failed where nothing may be skipped", () => {
    const tally = new Tally();
    const skipped = outcome(`d${SKIP_MARK}not root; remedy: run as root`);
    assert.equal(tally.add("skipped", skipped, { isSkipForbidden: true }), "failed");
  });

  it("is not green when nothing ran", () => {
    assert.equal(new Tally().isGreen(), false);
  });
});
