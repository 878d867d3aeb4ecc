/**
 * Runs jobs, some at a time, in the order given.
 * @template T
 * @param {readonly T[]} jobs
 * @param {{atATime: number, stop: AbortSignal}} options stop: no further job starts
 * @param {(job: T) => Promise<void>} run
 * @returns {Promise<void>} when all that were started have ended
 */
export async function runPool(jobs, { atATime, stop }, run) {
  const waiting = [...jobs];
  const worker = async () => {
    for (let job = waiting.shift(); job !== undefined && !stop.aborted; job = waiting.shift()) {
      await run(job);
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}
