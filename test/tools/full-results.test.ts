// The text of docs/test-full.md. Does not prove that the shapes run: that is what `npm run test:full` does.
import assert from "node:assert/strict";
import { renderResults } from "../../tools/full/results.mjs";

describe("the result of npm run test:full", () => {
  it("has a row for each shape, and the last lines of one that failed", () => {
    const text = renderResults(
      [
        {
          topology: "ray",
          ranks: ["node0: 0-7 on NPUs 0-7", "node1: 8-15 on NPUs 0-7"],
          ...{ upSec: 200.4, readyAfterSec: 150, completionSec: 9.96, tokens: 8, memoryGb: 12.61 },
        },
        { topology: "multiprocessing", failure: "serve on node1: exit code 1" },
      ],
      { date: "2026-01-02", commit: "0123456789ab", cores: 2, memoryGb: 24.7 },
    );
    assert.match(text, /^2026-01-02, commit 0123456789ab, 2 cores, 25 GB of memory\.$/m);
    assert.match(
      text,
      /^\| ray \| node0: 0-7 on NPUs 0-7; node1: 8-15 on NPUs 0-7 \| 200 s \| 150 s \| 8 tokens in 10\.0 s \| 12\.6 GB \|$/m,
    );
    assert.match(text, /^\| multiprocessing \| \*\*FAILED\*\* \|/m);
    assert.match(
      text,
      /## multiprocessing: the last lines\n\n```\nserve on node1: exit code 1\n```/,
    );
  });
});
