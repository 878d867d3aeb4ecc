import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { FINDING_CODES } from "../../core/facts/check.js";

describe("docs/preflight.md", () => {
  it("explains every code of the gate, and no other", () => {
    const file = join(dirname(fileURLToPath(import.meta.url)), "../../docs/preflight.md");
    const codes = [...readFileSync(file, "utf8").matchAll(/^\| `([A-Z]+_[A-Z_]+)` \|/gm)].map(
      ([, code]) => code!,
    );
    assert.deepEqual(codes.toSorted(), [...FINDING_CODES].toSorted());
  });
});
