// After any single fault the group serves again by itself, without an operator and without Pulumi. Real processes, containers,
// hosts and boots; the model server is the stand-in of the Ray image (vllm.test.ts has the real one).
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { BASE_DIR, CONTAINER, LabStack } from "../support/lab-stack.js";

const AGAIN_SEC = 150;

describe("a group that lost something", function () {
  this.timeout(300_000);
  let stack: LabStack;

  before(async function () {
    this.timeout(600_000);
    stack = await LabStack.create({ image: "ray" });
    // All faults within minutes: more failures in a row than a group may have by default.
    await stack.change((cluster) => {
      cluster.supervisor = { maxFailures: 100, backoffMaxSec: 4 };
    });
    await stack.mustUp();
  });
  after(() => stack?.dispose());

  const inContainer = (node: string, script: string) =>
    stack.lab.must(node, ["docker", "exec", CONTAINER, "bash", "-c", script]);

  const faults: [name: string, inject: () => Promise<unknown>][] = [
    [
      "kill -9 of vllm serve",
      async () => inContainer(stack.head, `kill -9 ${(await stack.status()).serve.pid}`),
    ],
    ["kill -9 of a rank on the worker", () => stack.lab.must(stack.worker, "pkill -9 -f '^ray::'")],
    ["kill -9 of the worker's raylet", () => stack.lab.must(stack.worker, "pkill -9 raylet")],
    ["kill -9 of the head's raylet", () => stack.lab.must(stack.head, "pkill -9 raylet")],
    ["kill -9 of Ray's control store", () => stack.lab.must(stack.head, "pkill -9 gcs_server")],
    [
      "kill -9 of the worker's supervisor",
      () => stack.lab.must(stack.worker, ["docker", "kill", "--signal", "KILL", CONTAINER]),
    ],
    [
      "kill -9 of the head's supervisor",
      () => stack.lab.must(stack.head, ["docker", "kill", "--signal", "KILL", CONTAINER]),
    ],
    [
      "docker stop of the worker's container",
      () => stack.lab.must(stack.worker, `docker stop -t 60 ${CONTAINER}`, { timeoutSec: 90 }),
    ],
    [
      "a restart of dockerd on the head",
      () => stack.lab.must(stack.head, "systemctl restart docker", { timeoutSec: 120 }),
    ],
    ["a clean reboot of the worker", () => stack.lab.reboot(stack.worker)],
    ["a clean reboot of the head", () => stack.lab.reboot(stack.head)],
    ["a power cut of the worker", () => stack.lab.powerCut(stack.worker, 3)],
    ["a power cut of the head", () => stack.lab.powerCut(stack.head, 3)],
    [
      "a power cut of both",
      () => Promise.all([stack.lab.powerCut(stack.head, 2), stack.lab.powerCut(stack.worker, 4)]),
    ],
  ];
  for (const [name, inject] of faults) {
    it(`serves again after ${name}`, async () => {
      const { epoch } = (await stack.status()).serve;
      await inject();
      await stack.servesAgain(epoch ?? 0, AGAIN_SEC);
    });
  }

  it("serves again when the worker's device nodes come 20 s after boot", async () => {
    const { epoch } = (await stack.status()).serve;
    await stack.lab.npuDelay(stack.worker, 20);
    await stack.lab.powerCut(stack.worker, 1);
    await stack.servesAgain(epoch ?? 0, AGAIN_SEC);
    await stack.lab.npuDelay(stack.worker, 0);
  });

  it("waits for an absent worker, names it, and serves again when it is back", async () => {
    const { epoch } = (await stack.status()).serve;
    await stack.lab.powerOff(stack.worker);
    const deadline = Date.now() + 60_000;
    let seen = await stack.status();
    while (Date.now() < deadline && !/waiting for node1/.test(seen.reason)) {
      await sleep(500);
      seen = await stack.status();
    }
    assert.match(seen.reason, /waiting for node1/);
    const shown = await stack.vllmCluster("status");
    assert.notEqual(shown.code, 0);
    assert.match(shown.text, /node1/);
    await stack.lab.powerOn(stack.worker);
    await stack.servesAgain(epoch ?? 0, AGAIN_SEC);
  });

  it("leaves no process of an earlier epoch behind", async () => {
    for (const { name } of stack.lab.nodes) {
      const { ray, serve } = await stack.status(name);
      const epochs = await stack.lab.must(
        name,
        `for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/environ 2>/dev/null | sed -n 's/^VLLM_CLUSTER_PROCESS=//p'; done | sort -u`,
      );
      for (const line of epochs.trim().split("\n").filter(Boolean)) {
        const [kind, , epoch] = line.split(":");
        assert.equal(Number(epoch), kind === "ray" ? ray.epoch : serve.epoch, `${name}: ${line}`);
      }
    }
    assert.ok(
      (await stack.lab.must(stack.head, ["cat", `${BASE_DIR}/out/epoch`])).trim().length > 0,
    );
  });
});
