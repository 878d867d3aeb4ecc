/** @param {string} line */
export function say(line) {
  process.stderr.write(`lab: ${line}\n`);
}

/**
 * Says what begins and how long it usually takes, that it is still going on, and how long it took.
 * @template T
 * @param {string} what
 * @param {number} expectedSec
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(what, expectedSec, work) {
  const begin = Date.now();
  const elapsed = () => duration((Date.now() - begin) / 1000);
  say(`${what} (about ${duration(expectedSec)})`);
  const reminder = setInterval(() => say(`  … ${what}: ${elapsed()} so far`), 60_000);
  try {
    const result = await work();
    say(`${what}: done in ${elapsed()}`);
    return result;
  } finally {
    clearInterval(reminder);
  }
}

/** @param {number} seconds */
export function duration(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${(seconds / 60).toFixed(1)} min`;
}
