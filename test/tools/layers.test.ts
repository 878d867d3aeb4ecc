import assert from "node:assert/strict";
import {
  EXPECTED_SEC,
  findTestFiles,
  jobsAtATime,
  jobsOf,
  selectTests,
} from "../../tools/test/layers.mjs";

const FILES = [
  "test/core/plan/a.test.ts",
  "test/core/spec/b.test.ts",
  "test/engine/c.test.ts",
  "test/lab/d.test.ts",
  "test/lab/e.test.ts",
];

describe("arguments of npm test", () => {
  for (const [args, expected] of [
    [
      [],
      { unit: FILES.slice(0, 2), processes: [], engine: FILES.slice(2, 3), lab: FILES.slice(3) },
    ],
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

  it("say how many files run at a time", () => {
    assert.equal(selectTests(["lab", "--jobs", "1"], FILES).jobs, 1);
    assert.equal(selectTests(["lab"], FILES).jobs, undefined);
    for (const value of ["0", "two", undefined]) {
      const args = ["-j", ...(value === undefined ? [] : [value])];
      assert.throws(() => selectTests(args, FILES), /-j: how many files at a time, .*, got "/);
    }
  });

  it("refuse a path without tests", () => {
    assert.throws(() => selectTests(["test/labs"], FILES), {
      message:
        "test/labs: neither a layer (unit, processes, engine, lab) nor a test file or a folder of them",
    });
  });

  it("keep a layer that was asked for and has no tests, so that the run can complain", () => {
    assert.deepEqual(byLayer(selectTests(["engine"], FILES.slice(0, 2)).selections), {
      engine: [],
    });
  });
});

describe("jobs", () => {
  it("are one for the quick layer and one per file for the others, the longest first", () => {
    const files = [...FILES, "test/lab/recovery.test.ts", "test/lab/vllm.test.ts"];
    const jobs = jobsOf(selectTests([], files).selections);
    assert.deepEqual(
      jobs.map(({ layer, files: own }) => [layer.name, ...own]),
      [
        ["lab", "test/lab/vllm.test.ts"],
        ["lab", "test/lab/recovery.test.ts"],
        ["unit", ...FILES.slice(0, 2)],
        ["engine", "test/engine/c.test.ts"],
        ["lab", "test/lab/d.test.ts"],
        ["lab", "test/lab/e.test.ts"],
      ],
    );
  });

  it("have an expected time for test files that exist", () => {
    const names = findTestFiles();
    for (const file of Object.keys(EXPECTED_SEC)) assert.ok(names.includes(file), file);
  });

  for (const [cores, availableMemoryGb, expected] of [
    [2, 22, 2],
    [2, 8, 1],
    [2, 4, 1],
    [8, 22, 4],
  ] as const) {
    it(`run ${expected} at a time on ${cores} cores with ${availableMemoryGb} GB`, () => {
      assert.equal(jobsAtATime({ cores, availableMemoryGb }), expected);
    });
  }
});

function byLayer(selections: ReturnType<typeof selectTests>["selections"]) {
  return Object.fromEntries(selections.map(({ layer, files }) => [layer.name, files]));
}
