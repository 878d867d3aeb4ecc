import { join } from "node:path";
import { duration } from "../setup/progress.mjs";
import { messageOf } from "../setup/run.mjs";
import { runPool } from "./pool.mjs";
import { FileReport, openLog } from "./report.mjs";
import { runMocha } from "./run-mocha.mjs";

/**
 * @typedef {import("./layers.mjs").Job} Job
 * @typedef {import("./layers.mjs").Layer} Layer
 *
 * @typedef {object} RunOptions
 * @property {number} atATime how many processes of mocha side by side
 * @property {readonly string[]} mochaArgs
 * @property {(layer: Layer) => {node: string, env: NodeJS.ProcessEnv}} toolchainOf
 * @property {string} runDir where each job gets a log of its own
 * @property {AbortSignal} stop ends what runs, starts nothing more
 * @property {import("./tally.mjs").Tally} tally
 * @property {(layer: Layer) => boolean} isSkipForbidden
 * @property {(text: string) => void} print
 */

/**
 * Runs test files side by side, counts what they say, and shows one file after the other.
 * @param {readonly Job[]} jobs in the order of their start
 * @param {RunOptions} options
 */
export async function runJobs(jobs, options) {
  await runPool(jobs, options, async (job) => {
    try {
      await runJob(job, options);
    } catch (error) {
      options.tally.fail(job.layer.name, nameOf(job), messageOf(error));
    }
  });
}

/** @param {Job} job @param {RunOptions} options */
async function runJob(job, options) {
  const { layer, files, expectedSec } = job;
  const { mochaArgs, toolchainOf, runDir, stop, tally, isSkipForbidden, print } = options;
  const name = nameOf(job);
  const log = openLog(join(runDir, `${name.replace(/^test\//, "").replaceAll("/", "-")}.log`));
  const { showTests } = layer;
  if (showTests) print(`  start  ${name} (about ${duration(expectedSec)})`);
  const report = new FileReport({ showTests, showTime: !layer.isQuick, print });
  const begin = Date.now();
  /** @type {import("./reporter.mjs").TestIdentity | undefined} */
  let running;
  const incomplete = await runMocha({
    ...{ layer, files, mochaArgs, stop, logPath: log.path },
    ...toolchainOf(layer),
    onEvent: (event) => {
      if (event.event === "begin") running = event;
      if (event.event !== "end") return;
      running = undefined;
      const { file, title, ms, error, state } = event;
      const outcome = { layer: layer.name, file, title, ms, error };
      const counted = tally.add(state, outcome, { isSkipForbidden: isSkipForbidden(layer) });
      // The short log tells why at the end of the run; whoever looks before finds it here.
      const why = counted === "failed" && error !== undefined ? `\n${error}` : "";
      log.write(`${counted}  ${title} (${ms} ms)${why}`);
      report.add(counted, outcome);
    },
  });
  // What was stopped is told as such already, but for a test that did not answer to it.
  if (incomplete !== undefined && (running !== undefined || !stop.aborted)) {
    const { file, title } = running ?? { file: name, title: "the run" };
    tally.fail(layer.name, title, incomplete, file);
    report.add("failed", { file, title, ms: 0 });
  }
  report.finish();
  if (layer.isQuick) print(`${layer.name}: done in ${duration((Date.now() - begin) / 1000)}`);
}

/** @param {Job} job */
function nameOf({ layer, files }) {
  return layer.isQuick ? layer.name : files.join(", ");
}
