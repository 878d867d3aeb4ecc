import { appendFileSync } from "node:fs";
import { relative } from "node:path";

/**
 * Mocha reporter that appends one JSON object per event to the file named by the option `events`, where
 * the runner reads along. SIGTERM ends the running test as failed and lets the `after` hooks clean up;
 * mocha by itself would drop them.
 */
export default class EventReporter {
  /**
   * @param {Mocha.Runner} runner
   * @param {{reporterOptions?: {events?: string}}} options
   */
  constructor(runner, options) {
    const path = options.reporterOptions?.events;
    if (path === undefined)
      throw new Error("tools/test/reporter.mjs: reporter option events is missing");
    const emit = (/** @type {TestEvent} */ event) =>
      appendFileSync(path, `${JSON.stringify(event)}\n`);
    const root = process.cwd(); // tests may change it
    const identity = (/** @type {Mocha.Runnable} */ item) => ({
      file: item.file === undefined ? "" : relative(root, item.file),
      title: item.titlePath().join(" › "),
    });
    let isStopped = false;

    runner.on("test", (test) => emit({ event: "begin", ...identity(test) }));
    runner.on("pass", (test) =>
      emit({ event: "end", ...identity(test), state: "passed", ...time(test) }),
    );
    runner.on("pending", (test) =>
      emit({ event: "end", ...identity(test), state: "skipped", ms: 0 }),
    );
    runner.on("fail", (test, error) => {
      const text = isStopped
        ? `stopped from outside while it ran\n${textOf(error)}`
        : textOf(error);
      emit({ event: "end", ...identity(test), state: "failed", ...time(test), error: text });
    });
    runner.on("end", () => emit({ event: "complete" }));

    process.once("SIGTERM", () => {
      isStopped = true;
      runner.abort();
      const running = /** @type {Mocha.Test | Mocha.Hook | undefined} */ (runner.currentRunnable);
      if (running?.type === "test") {
        running.timeout(1);
        running.resetTimeout();
      }
    });
  }
}

/**
 * @typedef {{file: string, title: string}} TestIdentity
 * @typedef {"passed" | "failed" | "skipped"} State
 * @typedef {(
 *   | ({event: "begin"} & TestIdentity)
 *   | ({event: "end", state: State, ms: number, error?: string} & TestIdentity)
 *   | {event: "complete"}
 * )} TestEvent
 */

/** @param {Mocha.Test | Mocha.Hook} test */
function time(test) {
  return { ms: test.duration ?? 0 };
}

/** @param {Error & {actual?: unknown, expected?: unknown}} error */
function textOf(error) {
  return error.stack ?? error.message ?? String(error);
}
