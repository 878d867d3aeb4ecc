/** @param {string} line */
export function say(line) {
  process.stderr.write(`setup: ${line}\n`);
}

/**
 * Says what begins and how long it usually takes, and then how long it took.
 * @template T
 * @param {string} what
 * @param {number} expectedSec
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(what, expectedSec, work) {
  const begin = Date.now();
  say(`${what} (about ${duration(expectedSec)})`);
  const result = await work();
  say(`${what}: done in ${duration((Date.now() - begin) / 1000)}`);
  return result;
}

/** @param {number} seconds */
export function duration(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${(seconds / 60).toFixed(1)} min`;
}
