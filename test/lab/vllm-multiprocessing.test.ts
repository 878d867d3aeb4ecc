// vLLM's own multi-node mode (`--nnodes`) with real vLLM 0.23: TP2 x PP2 with expert parallelism on a tiny Qwen3-MoE, one stage on each
// of two hosts, without Ray. Arithmetic on the CPU, collectives by gloo: timings of inference mean nothing, the control path is
// real.
import assert from "node:assert/strict";
import { LabStack } from "../support/lab-stack.js";
import { itServesAgainAfterServeFaults } from "../support/serve-faults.js";

describe("real vLLM with its own multi-node mode over two hosts", function () {
  this.timeout(900_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "vllm", topology: "multiprocessing" });
  });
  after(() => stack?.dispose());

  it("comes up from bare hosts to an answered completion, with ranks on both hosts and no Ray", async () => {
    await stack.mustUp();
    assert.ok((await stack.complete()).length > 0);
    for (const { name } of stack.lab.nodes) {
      const workers = await stack.lab.must(name, "pgrep -fc '^VLLM::Worker' || true");
      assert.equal(Number(workers.trim()), 2, name);
      assert.equal((await stack.lab.must(name, "pgrep -c raylet || true")).trim(), "0", name);
    }
  });

  it("says of the member that it serves through rank 0", async () => {
    const { code, text } = await stack.vllmCluster("status");
    assert.equal(code, 0, text);
    assert.match(text, /node1 .*headless, serving through rank 0/);
  });

  itServesAgainAfterServeFaults(() => stack, 400);
});
