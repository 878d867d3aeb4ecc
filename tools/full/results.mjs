/**
 * @typedef {object} Passed
 * @property {string} topology
 * @property {undefined} [failure]
 * @property {string[]} ranks one text per node
 * @property {number} upSec from bare hosts to the end of `pulumi up`
 * @property {number} readyAfterSec from the start of `vllm serve` to its first completion
 * @property {number} completionSec of one more completion
 * @property {number} tokens of that completion
 * @property {number} memoryGb the most that was taken
 *
 * @typedef {{topology: string, failure: string}} Failed
 * @typedef {Passed | Failed} Result
 *
 * @typedef {object} Circumstances
 * @property {string} date
 * @property {string} commit
 * @property {number} cores
 * @property {number} memoryGb
 */

/**
 * docs/test-full.md.
 * @param {readonly Result[]} results
 * @param {Circumstances} circumstances
 */
export function renderResults(results, { date, commit, cores, memoryGb }) {
  return `# The 16-rank shapes

<!-- Written by \`npm run test:full\`. -->

Real vLLM 0.23.0 and Ray 2.48.0 with a tiny Qwen3-MoE and expert parallelism on two lab hosts with 8 stand-in NPUs each: from bare
hosts through \`pulumi up\` to a completion ([what is real](lab.md)). Times are those of the control path on the machine below; they
say nothing about inference.

${date}, commit ${commit}, ${cores} cores, ${memoryGb.toFixed(0)} GB of memory.

| topology | ranks | \`pulumi up\` | vLLM ready after | one completion | memory |
|---|---|---|---|---|---|
${results.map(renderRow).join("\n")}
${results.flatMap(renderFailure).join("")}`;
}

/** @param {Result} result */
function renderRow(result) {
  if (result.failure !== undefined) return `| ${result.topology} | **FAILED** | | | | |`;
  const { topology, ranks, upSec, readyAfterSec, completionSec, tokens, memoryGb } = result;
  const cells = [
    topology,
    ranks.join("; "),
    `${upSec.toFixed(0)} s`,
    `${readyAfterSec.toFixed(0)} s`,
    `${tokens} tokens in ${completionSec.toFixed(1)} s`,
    `${memoryGb.toFixed(1)} GB`,
  ];
  return `| ${cells.join(" | ")} |`;
}

/** @param {Result} result */
function renderFailure({ topology, failure }) {
  if (failure === undefined) return [];
  return [`\n## ${topology}: the last lines\n\n\`\`\`\n${failure.slice(-3000)}\n\`\`\`\n`];
}
