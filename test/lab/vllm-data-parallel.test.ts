// Data parallelism with real vLLM 0.23: one engine per host with TP2 and expert parallelism on a tiny Qwen3-MoE, with the flags of the
// stack qwen3.5-397b-w8a8-dp2-tp8 but speculative decoding. Arithmetic on the CPU, collectives by gloo: timings of inference mean
// nothing, the control path is real.
import assert from "node:assert/strict";
import { CONTAINER, LabStack } from "../support/lab-stack.js";
import { itServesAgainAfterServeFaults } from "../support/serve-faults.js";

describe("real vLLM with data parallelism over two hosts", function () {
  this.timeout(900_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "vllm", topology: "data-parallel" });
  });
  after(() => stack?.dispose());

  it("comes up from bare hosts to completions of both engines, with ranks on both hosts", async () => {
    await stack.mustUp();
    // Dynamic load balancing: requests at the same time go to different engines.
    await Promise.all(Array.from({ length: 8 }, () => stack.complete()));
    const answered = await stack.answeredByEngine();
    assert.deepEqual(Object.keys(answered).sort(), ["0", "1"]);
    for (const [engine, count] of Object.entries(answered))
      assert.ok(count > 0, `engine ${engine}`);
    for (const { name } of stack.lab.nodes) {
      const workers = await stack.lab.must(name, "pgrep -fc '^VLLM::Worker' || true");
      assert.equal(Number(workers.trim()), 2, name);
    }
  });

  it("says of the member that it serves through rank 0", async () => {
    const { code, text } = await stack.vllmCluster("status");
    assert.equal(code, 0, text);
    assert.match(text, /node1 .*headless, serving through rank 0/);
  });

  it("gives the API key to the head's process only", async () => {
    for (const { name } of stack.lab.nodes) {
      const { pid } = (await stack.status(name)).serve;
      const names = await stack.lab.must(name, [
        ...["docker", "exec", CONTAINER, "bash", "-c"],
        `tr '\\0' '\\n' </proc/${pid}/environ | cut -d= -f1`,
      ]);
      assert.equal(names.includes("VLLM_API_KEY"), name === stack.head, name);
    }
  });

  itServesAgainAfterServeFaults(() => stack, 400);
});
