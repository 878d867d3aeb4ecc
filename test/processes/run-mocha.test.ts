import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LAYERS } from "../../tools/test/layers.mjs";
import type { TestEvent } from "../../tools/test/reporter.mjs";
import { runMocha } from "../../tools/test/run-mocha.mjs";

describe("running test files", function () {
  this.timeout(30_000);
  let dir: string;
  let logPath: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "run-mocha-"));
    logPath = join(dir, "log");
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  async function run(
    fixture: string,
    { stop = new AbortController().signal, isParallel = false } = {},
  ) {
    const events: TestEvent[] = [];
    const incomplete = await runMocha({
      layer: { ...LAYERS[0]!, isQuick: isParallel },
      files: [`test/processes/fixtures/${fixture}`],
      mochaArgs: [],
      node: process.execPath,
      env: process.env,
      logPath,
      stop,
      onEvent: (event) => events.push(event),
      endGraceMs: 500,
    });
    const ends = events.flatMap((event) => (event.event === "end" ? [event] : []));
    return { incomplete, ends };
  }

  for (const isParallel of [false, true]) {
    it(`reports every test with outcome, error and reason, ${isParallel ? "parallel" : "serial"}`, async () => {
      const { incomplete, ends } = await run("outcomes.mocha.ts", { isParallel });
      assert.equal(incomplete, undefined);
      assert.deepEqual(
        ends.map(({ state, title, file }) => [state, title, file]),
        [
          ["passed", "outcomes › passes", "test/processes/fixtures/outcomes.mocha.ts"],
          ["failed", "outcomes › fails", "test/processes/fixtures/outcomes.mocha.ts"],
          [
            "skipped",
            "outcomes › skips itself — skipped: no NPU; remedy: use a machine with one",
            "test/processes/fixtures/outcomes.mocha.ts",
          ],
          [
            "skipped",
            "outcomes › of a suite › are skipped — skipped: not root; remedy: run as root",
            "test/processes/fixtures/outcomes.mocha.ts",
          ],
        ],
      );
      assert.match(ends[1]?.error ?? "", /one is not two/);
      assert.equal(existsSync(`${logPath}.events`), false);
    });
  }

  it("fails the test that hangs when it is stopped, and lets the hooks clean up", async () => {
    const stop = new AbortController();
    const running = run("hangs.mocha.ts", { stop: stop.signal });
    await until(() => existsSync(logPath) && readFileSync(logPath, "utf8").includes("hanging"));
    stop.abort();
    const { ends } = await running;
    assert.deepEqual(
      ends.map(({ state, title }) => [state, title]),
      [["failed", "a test › hangs"]],
    );
    assert.match(ends[0]?.error ?? "", /^stopped from outside while it ran/);
    assert.match(readFileSync(logPath, "utf8"), /cleaned up/);
  });

  it("fails a run whose tests leave something open", async () => {
    const { incomplete, ends } = await run("leaks.mocha.ts");
    assert.match(incomplete ?? "", /a test leaves a timer, socket or process open$/);
    assert.deepEqual(
      ends.map(({ state }) => state),
      ["passed"],
    );
  });

  it("says so when mocha ends before its time", async () => {
    const { incomplete, ends } = await run("crashes.mocha.ts");
    assert.match(incomplete ?? "", /^mocha ended \(exit 7\) before all tests had run/);
    assert.deepEqual(ends, []);
  });
});

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (condition()) return;
    await sleep(100);
  }
  throw new Error("the condition did not come true within 20 s");
}
