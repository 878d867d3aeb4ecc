// Topologies without Ray, where every node runs `vllm serve`: a change of topology is one `pulumi up`, and after any single fault the
// group serves again by itself. Real processes, containers, hosts and boots; the model server is the stand-in of the Ray image
// (vllm-data-parallel.test.ts and vllm-multiprocessing.test.ts have the real one).
import assert from "node:assert/strict";
import { labCluster } from "../../tools/lab-stack/lab-cluster.mjs";
import { CONTAINER, LabStack } from "../support/lab-stack.js";
import { itServesAgainAfterServeFaults } from "../support/serve-faults.js";

const AGAIN_SEC = 150;

describe("a group without Ray", function () {
  this.timeout(300_000);
  let stack: LabStack;

  before(async function () {
    this.timeout(600_000);
    stack = await LabStack.create({ image: "ray" });
    await stack.mustUp();
  });
  after(() => stack?.dispose());

  for (const topology of ["data-parallel", "multiprocessing"] as const) {
    describe(`with topology ${topology}`, () => {
      it("takes over from another topology in the same containers, and leaves nothing of it", async () => {
        const before = await stack.running();
        // All faults within minutes: more failures in a row than a group may have by default.
        const supervisor = { maxFailures: 100, backoffMaxSec: 4 };
        await stack.replace({ ...labCluster(stack.lab, { topology }), supervisor });
        await stack.mustUp();
        assert.deepEqual((await stack.running()).containers, before.containers);
        for (const { name } of stack.lab.nodes) {
          assert.equal((await stack.lab.must(name, "pgrep -c raylet || true")).trim(), "0", name);
          assert.equal(await ranks(name), 2, name);
        }
        await stack.complete();
      });

      it("runs the same processes on and on when nothing changes", async () => {
        const before = await stack.running();
        await stack.mustUp();
        assert.deepEqual(await stack.running(), before);
      });

      it("restarts serve on all nodes for a flag, and no container", async () => {
        const [before, member] = [await stack.running(), await stack.status(stack.worker)];
        await stack.change((cluster) => {
          cluster.serve.maxNumSeqs = 9;
        });
        await stack.mustUp();
        const after = await stack.running();
        assert.deepEqual(after.containers, before.containers);
        assert.notEqual(after.serve, before.serve);
        assert.notEqual((await stack.status(stack.worker)).serve.pid, member.serve.pid);
      });

      itServesAgainAfterServeFaults(() => stack, AGAIN_SEC);

      for (const [name, node] of [
        ["the head", () => stack.head],
        ["the member", () => stack.worker],
      ] as const) {
        it(`serves again by itself after kill -9 of a rank on ${name}`, async () => {
          const { epoch } = (await stack.status()).serve;
          await stack.lab.must(node(), "pkill -9 -o -f '^VLLM::Worker'");
          await stack.servesAgain(epoch ?? 0, AGAIN_SEC);
        });

        it(`serves again by itself after kill -9 of the supervisor on ${name}`, async () => {
          const { epoch } = (await stack.status()).serve;
          await stack.lab.must(node(), ["docker", "kill", "--signal", "KILL", CONTAINER]);
          await stack.servesAgain(epoch ?? 0, AGAIN_SEC);
        });
      }

      it("serves again by itself after a power cut of both", async () => {
        const { epoch } = (await stack.status()).serve;
        await Promise.all([stack.lab.powerCut(stack.head, 2), stack.lab.powerCut(stack.worker, 4)]);
        await stack.servesAgain(epoch ?? 0, AGAIN_SEC);
      });

      it("has exactly the planned ranks after all that", async () => {
        for (const { name } of stack.lab.nodes) assert.equal(await ranks(name), 2, name);
      });
    });
  }

  async function ranks(node: string): Promise<number> {
    return Number((await stack.lab.must(node, "pgrep -fc '^VLLM::Worker' || true")).trim());
  }
});
