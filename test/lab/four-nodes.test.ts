// More than two hosts: each topology comes up on four, with ranks on all of them, and finds together again. The model server is the
// stand-in of the Ray image; 8 nodes are in the plan's tests only.
import assert from "node:assert/strict";
import { labCluster } from "../../tools/lab-stack/lab-cluster.mjs";
import { LabStack } from "../support/lab-stack.js";

describe("a cluster of four nodes", function () {
  this.timeout(600_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "ray", nodes: 4, topology: "data-parallel" });
  });
  after(() => stack?.dispose());

  for (const [topology, process] of [
    ["data-parallel", "^VLLM::Worker"],
    ["multiprocessing", "^VLLM::Worker"],
    ["ray", "^ray::RayWorker"],
  ] as const) {
    it(`serves with topology ${topology}, and again after the last node lost its ranks`, async () => {
      await stack.replace(labCluster(stack.lab, { topology }));
      await stack.mustUp();
      await stack.complete();
      for (const { name } of stack.lab.nodes) {
        const ranks = await stack.lab.must(name, `pgrep -fc '${process}' || true`);
        assert.equal(Number(ranks.trim()), 2, name);
      }
      const { epoch } = (await stack.status()).serve;
      await stack.lab.must(stack.lab.nodes[3]!.name, `pkill -9 -o -f '${process}'`);
      await stack.servesAgain(epoch ?? 0, 200);
    });
  }
});
