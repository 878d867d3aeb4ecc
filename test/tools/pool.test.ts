// The bounded pool of jobs, with jobs that end when the test says so. Processes: test/processes/run-jobs.test.ts.
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { runPool } from "../../tools/test/pool.mjs";

describe("a pool of jobs", () => {
  function startPool(jobs: string[], atATime: number) {
    const started: string[] = [];
    const ends = new Map<string, () => void>();
    const stop = new AbortController();
    const done = runPool(jobs, { atATime, stop: stop.signal }, (job) => {
      started.push(job);
      return new Promise((resolve) => ends.set(job, resolve));
    });
    const end = async (job: string) => {
      ends.get(job)!();
      await turn();
    };
    return { started, end, stop, done };
  }

  it("starts so many at a time, in the order given, and the next when one ends", async () => {
    const { started, end, done } = startPool(["a", "b", "c", "d"], 2);
    assert.deepEqual(started, ["a", "b"]);
    await end("b");
    assert.deepEqual(started, ["a", "b", "c"]);
    await end("a");
    await end("c");
    await end("d");
    await done;
    assert.deepEqual(started, ["a", "b", "c", "d"]);
  });

  it("starts nothing more once it is stopped, and waits for what runs", async () => {
    const { started, end, stop, done } = startPool(["a", "b"], 1);
    let isDone = false;
    void done.then(() => {
      isDone = true;
    });
    stop.abort();
    await turn();
    assert.equal(isDone, false);
    await end("a");
    await done;
    assert.deepEqual(started, ["a"]);
  });
});
