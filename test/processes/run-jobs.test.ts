// Test files side by side, each in a real mocha: what is counted, shown and kept. Which files are chosen: test/tools.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LAYERS } from "../../tools/test/layers.mjs";
import { runJobs } from "../../tools/test/run-jobs.mjs";
import { Tally } from "../../tools/test/tally.mjs";

const FIXTURES = "test/processes/fixtures";

describe("test files side by side", function () {
  this.timeout(60_000);
  let runDir: string;
  beforeEach(() => {
    runDir = mkdtempSync(join(tmpdir(), "run-jobs-"));
  });
  afterEach(() => {
    rmSync(runDir, { recursive: true });
  });

  it("are counted together, with a crashed one as failed, shown one after the other, and logged apart", async () => {
    const tally = new Tally();
    const printed: string[] = [];
    const layer = LAYERS.find(({ name }) => name === "lab")!;
    const files = ["talks.mocha.ts", "crashes.mocha.ts", "outcomes.mocha.ts"];
    await runJobs(
      files.map((file) => ({ layer, files: [`${FIXTURES}/${file}`], expectedSec: 1 })),
      {
        atATime: 3,
        mochaArgs: [],
        toolchainOf: () => ({ node: process.execPath, env: process.env }),
        ...{ runDir, tally, stop: new AbortController().signal },
        isSkipForbidden: () => false,
        print: (text) => printed.push(...text.split("\n")),
      },
    );
    assert.equal(tally.closingLine(), "3 passed, 2 failed, 2 skipped");
    const crash = tally.failures.find(({ file }) => file === `${FIXTURES}/crashes.mocha.ts`);
    assert.match(crash?.error ?? "", /^mocha ended \(exit 7\) before all tests had run/);
    assert.doesNotMatch(crash?.error ?? "", /first word/, "the end of another file's log");

    const shown = printed.map((line) => line.replace(/ \([\d.]+ (s|min)\)$/, ""));
    const talks = shown.indexOf(`  ok  ${FIXTURES}/talks.mocha.ts: 2 passed`);
    assert.deepEqual(shown.slice(talks + 1, talks + 3), [
      "    ok  one that talks › begins",
      "    ok  one that talks › ends",
    ]);
    assert.ok(shown.includes(`  failed  ${FIXTURES}/crashes.mocha.ts: 1 failed`));
    assert.ok(
      shown.includes(`  failed  ${FIXTURES}/outcomes.mocha.ts: 1 passed, 1 failed, 2 skipped`),
    );

    const logs = readdirSync(runDir).sort();
    assert.deepEqual(
      logs,
      ["crashes", "outcomes", "talks"].map((name) => `processes-fixtures-${name}.mocha.ts.log`),
    );
    assert.match(
      readFileSync(join(runDir, logs[2]!), "utf8"),
      /^first word\npassed {2}one that talks › begins \(\d+ ms\)\nlast word\npassed /,
    );
    assert.match(
      readFileSync(join(runDir, logs[1]!), "utf8"),
      /^failed {2}outcomes › fails \(\d+ ms\)\nAssertionError.*: one is not two$/m,
    );
  });
});
