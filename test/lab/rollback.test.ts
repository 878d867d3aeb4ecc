// A release that does not come up is given up inside `pulumi up`: the group runs again what it ran before, the state keeps the old
// inputs, and a revert is no change. Each class of change, with Ray and without; real engine, hosts, containers and Ray; the
// stand-in of `vllm serve` fails as it is told. What replaces containers does not go back by itself: the last test says what then.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { ClusterSpecInput } from "../../core/spec/cluster-spec.js";
import { labCluster } from "../../tools/lab-stack/lab-cluster.mjs";
import { BASE_DIR, LabStack, type Running } from "../support/lab-stack.js";

const AGAIN_SEC = 150;
/** The stand-in reads its faults from there, so that a variable alone makes it fail, as one of vLLM's own would. */
const FAULTS = "standin-faults.json";

describe("a change that does not come up", function () {
  this.timeout(600_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "ray" });
    await stack.mustUp();
    const faults = JSON.stringify({ crashAt: "init", message: "this variable breaks it" });
    for (const { name } of stack.lab.nodes) {
      await stack.lab.must(name, `echo '${faults}' > ${BASE_DIR}/in/${FAULTS}`);
    }
  });
  after(() => stack?.dispose());

  async function failsAndGoesBack(
    edit: (cluster: ClusterSpecInput) => void,
    why: RegExp,
  ): Promise<void> {
    const before = await stack.running();
    const releases = await releasesOf(stack);
    await stack.withChange(edit, async () => {
      const { code, text } = await stack.up();
      assert.notEqual(code, 0, text);
      assert.match(text, why);
      assert.match(text, /is desired again, as before: the group goes back to it by itself/);
    });
    await stack.servesAgain(epochOf(before), AGAIN_SEC);
    assert.deepEqual(await releasesOf(stack), releases);
    const after = await stack.running();
    assert.deepEqual(after.containers, before.containers);

    const summary = await stack.vllmCluster("summary");
    assert.equal(summary.code, 0, summary.text);
    assert.match(summary.text, /nothing that runs is touched|nothing changes/);
    // Without the consent of anybody: nothing that serves is stopped.
    await stack.withdrawConsent();
    await stack.mustUp();
    assert.deepEqual(await stack.running(), after);
    await stack.complete();
  }

  for (const topology of ["ray", "data-parallel"] as const) {
    describe(`with topology ${topology}`, () => {
      before(async () => {
        await stack.replace(labCluster(stack.lab, { topology }));
        await stack.mustUp();
      });

      it("goes back from a flag of vLLM", () =>
        failsAndGoesBack((cluster) => {
          cluster.serve.extraArgs = { ...cluster.serve.extraArgs, dtype: "no-such-type" };
        }, /argument --dtype: invalid choice: 'no-such-type'/));

      it("goes back from a variable that only vLLM cannot stand, to the old Ray as well", () =>
        failsAndGoesBack((cluster) => {
          cluster.env = { ...cluster.env, VLLM_STANDIN_FAULTS: `/vllm-cluster/in/${FAULTS}` };
        }, /serve on node[01]: exited with code 1[\s\S]*this variable breaks it/));

      it("tells in an output what the last such change has cost", async () => {
        await stack.change((cluster) => {
          cluster.serve.maxNumSeqs = (cluster.serve.maxNumSeqs ?? 0) + 1;
        });
        await stack.mustUp();
        const { measured } = await stack.project.outputs();
        const [start, outage] = [measured.serveStartSec, measured.outages.serve.sec];
        assert.ok(start > 0 && outage >= start, JSON.stringify(measured));
        const { text } = await stack.withChange(
          (cluster) => {
            cluster.serve.maxNumSeqs = 3;
          },
          () => stack.vllmCluster("summary"),
        );
        assert.match(text, /the last measured outage of such a change/);
      });
    });
  }

  describe("with topology ray", () => {
    before(async () => {
      await stack.replace(labCluster(stack.lab, { topology: "ray" }));
      await stack.mustUp();
    });

    it("does not go back by itself from new containers, says so before and after, and `vllm-cluster rollback` serves again", async () => {
      const before = await stack.running();
      const file = readFileSync(stack.project.stackFile, "utf8");
      const edit = (cluster: ClusterSpecInput) => {
        cluster.container = { ...cluster.container, shmSizeGib: 2 };
        cluster.serve.extraArgs = { dtype: "no-such-type" };
      };
      await stack.withChange(edit, async () => {
        const summary = await stack.vllmCluster("summary");
        assert.match(summary.text, /nothing goes back by itself/);
        const { code, text } = await stack.up();
        assert.notEqual(code, 0, text);
        assert.match(text, /invalid choice: 'no-such-type'/);
        assert.match(text, /cannot start here .*: revert the change, run `pulumi up`/);

        const history = await stack.vllmCluster("history");
        const [, last] = history.text.split("\n");
        assert.match(last ?? "", / update +failed +[0-9a-f]{16} \* /, history.text);
        const refused = await stack.vllmCluster("rollback");
        assert.equal(refused.code, 2, refused.text);
        const [, hash] = /add --allow-downtime-for ([0-9a-f]{16})/.exec(refused.text) ?? [];
        assert.ok(hash !== undefined, refused.text);
        assert.match(refused.text, /Containers are replaced, and with them everything/);
        const back = await stack.vllmCluster("rollback", "--allow-downtime-for", hash);
        assert.equal(back.code, 0, back.text);
        assert.match(back.text, /it is not committed: git diff/);
        await stack.complete();
        const [own, written] = [file, readFileSync(stack.project.stackFile, "utf8")].map((text) =>
          parse(text),
        );
        assert.deepEqual(written.config["vllm-ascend:cluster"], own.config["vllm-ascend:cluster"]);
      });
      assert.match(await stack.mustUp(), /unchanged/);
      await stack.complete();
      const after = await stack.running();
      assert.notDeepEqual(after.containers, before.containers);
    });
  });
});

async function releasesOf(stack: LabStack): Promise<unknown> {
  const hashes = [];
  for (const { name } of stack.lab.nodes) {
    const { ray, serve } = await stack.status(name);
    hashes.push([name, ray.hash, serve.hash]);
  }
  return hashes;
}

function epochOf({ serve }: Running): number {
  return Number(/epoch (\d+)/.exec(serve)?.[1] ?? 0);
}
