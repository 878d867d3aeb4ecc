// The main job with real vLLM 0.23 and Ray 2.48: TP2 x PP2 with expert parallelism on a tiny Qwen3-MoE over two hosts. Arithmetic on the
// CPU, collectives by gloo: timings of inference mean nothing, the control path is real.
import assert from "node:assert/strict";
import { CONTAINER, LabStack } from "../support/lab-stack.js";

describe("real vLLM over two hosts", function () {
  this.timeout(900_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "vllm" });
  });
  after(() => stack?.dispose());

  it("comes up from bare hosts to an answered completion, with ranks on both hosts", async () => {
    await stack.mustUp();
    assert.ok((await stack.complete()).length > 0);
    for (const { name } of stack.lab.nodes) {
      const ranks = await stack.lab.must(name, "pgrep -fc '^ray::RayWorker' || true");
      assert.equal(Number(ranks.trim()), 2, name);
    }
  });

  it("restarts serve only for a flag", async () => {
    const before = await stack.running();
    await stack.change((cluster) => {
      cluster.serve.maxNumSeqs = 16;
    });
    await stack.mustUp();
    const after = await stack.running();
    assert.deepEqual(after.ray, before.ray);
    assert.deepEqual(after.containers, before.containers);
    assert.notEqual(after.serve, before.serve);
  });

  it("serves again after kill -9 of a rank, without an operator", async () => {
    const { epoch } = (await stack.status()).serve;
    await stack.lab.must(stack.worker, "pkill -9 -o -f '^ray::RayWorker'");
    await stack.servesAgain(epoch ?? 0, 300);
  });

  it("serves again after kill -9 of the API server, whose orphans hold the NPUs", async () => {
    const { serve } = await stack.status();
    await stack.lab.must(stack.head, [
      "docker",
      "exec",
      CONTAINER,
      "kill",
      "-9",
      String(serve.pid),
    ]);
    await stack.servesAgain(serve.epoch ?? 0, 300);
  });

  it("serves again after a power cut of the worker", async () => {
    const { epoch } = (await stack.status()).serve;
    await stack.lab.powerCut(stack.worker, 2);
    await stack.servesAgain(epoch ?? 0, 300);
  });
});
