import assert from "node:assert/strict";
import { selectTests } from "../../tools/test/layers.mjs";

const FILES = [
  "test/core/plan/a.test.ts",
  "test/core/spec/b.test.ts",
  "test/engine/c.test.ts",
  "test/lab/d.test.ts",
  "test/lab/e.test.ts",
];

describe("arguments of npm test", () => {
  for (const [args, expected] of [
    [[], { unit: FILES.slice(0, 2), node: [], engine: FILES.slice(2, 3), lab: FILES.slice(3) }],
    [["unit"], { unit: FILES.slice(0, 2) }],
    [["engine", "lab"], { engine: FILES.slice(2, 3), lab: FILES.slice(3) }],
    [["test/lab/d.test.ts"], { lab: [FILES[3]] }],
    [["./test/core/spec/"], { unit: [FILES[1]] }],
    [["engine", "test/lab/e.test.ts"], { engine: [FILES[2]], lab: [FILES[4]] }],
  ] as const) {
    it(`select ${args.join(" ") || "everything"}`, () => {
      assert.deepEqual(byLayer(selectTests([...args], FILES).selections), expected);
    });
  }

  it("hand options on to mocha", () => {
    const { selections, mochaArgs } = selectTests(["lab", "--grep", "power cut", "--bail"], FILES);
    assert.deepEqual(mochaArgs, ["--grep", "power cut", "--bail"]);
    assert.deepEqual(Object.keys(byLayer(selections)), ["lab"]);
  });

  it("refuse a path without tests", () => {
    assert.throws(() => selectTests(["test/labs"], FILES), {
      message:
        "test/labs: neither a layer (unit, node, engine, lab) nor a test file or a folder of them",
    });
  });

  it("keep a layer that was asked for and has no tests, so that the run can complain", () => {
    assert.deepEqual(byLayer(selectTests(["engine"], FILES.slice(0, 2)).selections), {
      engine: [],
    });
  });
});

function byLayer(selections: ReturnType<typeof selectTests>["selections"]) {
  return Object.fromEntries(selections.map(({ layer, files }) => [layer.name, files]));
}
