// The smoke run on hosts of the lab, by hand and as a part of `pulumi up`: when it runs, what it leaves alone, and that a rank or a path
// that does not work stops the start and is named. torch is a stand-in here; vllm.test.ts has the real one. No HCCL.
import assert from "node:assert/strict";
import { LabStack } from "../support/lab-stack.js";

describe("the smoke run", function () {
  this.timeout(600_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "ray" });
  });
  after(() => stack?.dispose());

  it("runs before the first start, in containers of its own that are gone afterwards", async () => {
    const { code, text } = await stack.vllmCluster("smoke");
    assert.equal(code, 0, text);
    assert.match(text, /smoke run of cluster lab passed: cpu with gloo/);
    assert.match(text, /collectives of all +ok/);
    for (const { name } of stack.lab.nodes) {
      assert.equal(await stack.lab.must(name, ["docker", "ps", "-aq"]), "");
    }
  });

  it("stops the first start at the rank that hangs, and the next `up` heals", async () => {
    const fault = { STANDIN_TORCH_FAULT: "3 matrix hang" };
    await stack.withChange(
      (cluster) => {
        cluster.env = { ...cluster.env, ...fault };
        cluster.timeouts = { ...cluster.timeouts, smokeSec: 60 };
      },
      async () => {
        const { code, text } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(text, /FAIL {2}node1 NPU 1 \(rank 3\) {2}SMOKE_NPU: hangs in matrix product/);
        assert.deepEqual(
          [(await stack.status()).state, (await stack.status()).serve.state],
          ["idle", "stopped"],
        );
      },
    );
    const text = await stack.mustUp();
    assert.match(text, /smoke run of cluster lab passed: cpu with gloo/);
    assert.equal((await stack.status()).state, "ready");
  });

  it("is not run again for a flag of vLLM, and leaves the NPUs of a group that serves alone", async () => {
    await stack.change((cluster) => {
      cluster.serve.maxNumSeqs = 7;
    });
    assert.match(await stack.mustUp(), /smoke run of cluster lab: not run, it passed on /);

    const before = await stack.running();
    const { code, text } = await stack.vllmCluster("smoke");
    assert.equal(code, 0, text);
    assert.match(text, /passed without NPUs: node0 is busy with serve release/);
    assert.deepEqual(await stack.running(), before);
  });

  it("runs again when the driver is another one than when it passed", async () => {
    for (const { name } of stack.lab.nodes) {
      await stack.lab.must(
        name,
        `sed -i 's/"driver": *"[^"]*"/"driver": "0.0.1"/' /var/lib/vllm-cluster/lab/out/smoke.json`,
      );
    }
    await stack.change((cluster) => {
      cluster.serve.maxNumSeqs = 8;
    });
    assert.match(await stack.mustUp(), /passed without NPUs: node0 is busy with serve release/);
  });

  it("names the node that cannot reach the other one", async () => {
    const head = stack.lab.nodes[0]!.address;
    await stack.lab.must(stack.worker, ["ip", "route", "add", "unreachable", `${head}/32`]);
    try {
      const { code, text } = await stack.vllmCluster("smoke");
      assert.equal(code, 1, text);
      assert.match(text, /FAIL {2}node1 {2}SMOKE_HOSTS: the head cannot be reached/);
    } finally {
      await stack.lab.must(stack.worker, ["ip", "route", "del", "unreachable", `${head}/32`]);
    }
  });
});
