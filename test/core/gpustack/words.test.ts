import assert from "node:assert/strict";
import fc from "fast-check";
import { optionsOf, quoteWord, splitWords } from "../../../core/gpustack/words.js";

/** How GPUStack splits `backend_parameters`. Does not prove that Python's shlex agrees on every text. */

describe("entries of backendParameters", () => {
  const cases: [string, readonly string[] | undefined][] = [
    ["", []],
    ["--a 1", ["--a", "1"]],
    [
      "--data-parallel-size 2 --tensor-parallel-size 8",
      ["--data-parallel-size", "2", "--tensor-parallel-size", "8"],
    ],
    [`--c '{"a":"b c"}'`, ["--c", '{"a":"b c"}']],
    [`--c="{\\"a\\": 1}"`, ['--c={"a": 1}']],
    ["a\\ b", ["a b"]],
    ["''", [""]],
    ["--x 'a", undefined],
    ['"', undefined],
    ["a\\", undefined],
  ];
  for (const [entry, words] of cases) {
    it(`${JSON.stringify(entry)} is ${words === undefined ? "not closed" : JSON.stringify(words)}`, () => {
      assert.deepEqual(splitWords(entry), words);
    });
  }

  it("survive quoting and splitting, whatever a word holds", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), (words) => {
        assert.deepEqual(splitWords(words.map(quoteWord).join(" ")), words);
      }),
    );
  });

  it("are read as options, with = or a blank, - or _", () => {
    const options = optionsOf(["--a=1", "--b_c", "2", "--headless", "--d", "--e='"]);
    assert.deepEqual(
      [...options],
      [
        ["a", "1"],
        ["b-c", "2"],
        ["headless", true],
        ["d", true],
        ["e", "'"],
      ],
    );
  });
});
