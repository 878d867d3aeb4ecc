/**
 * Skips the running test, or from a `before` hook all tests of its suite, and says why. It is the only
 * way to skip: a test that is skipped without reason and remedy counts as failed.
 * @param {Mocha.Context} context `this` of the test or hook
 * @param {string} reason what this machine lacks
 * @param {string} remedy what to do to run the test
 * @returns {never}
 */
export function skip(context, reason, remedy) {
  const mark = `${SKIP_MARK}${reason}; remedy: ${remedy}`;
  const runnable = /** @type {Mocha.Test | Mocha.Hook} */ (context.runnable());
  // The title is all that reaches the reporter of a parallel run.
  if (runnable.type === "hook") {
    runnable.parent?.eachTest((test) => {
      test.title += mark;
    });
  } else {
    runnable.title += mark;
  }
  return context.skip();
}

/** Between the title of a skipped test and the reason. */
export const SKIP_MARK = " — skipped: ";
