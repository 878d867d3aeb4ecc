// What is made of the engine's history; its form was recorded from Pulumi 3.259 with a file backend. test/lab/rollback.test.ts
// asks the real engine.
import assert from "node:assert/strict";
import {
  HistoryFormatError,
  parseHistory,
  rollbackTarget,
} from "../../../core/history/deployments.js";
import { planHash } from "../../../core/plan/gate-plan.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { parseClusterSpec } from "../../../core/spec/parse.js";
import { rawCluster } from "../../support/specs.js";

const CONTEXT = { namespace: "vllm-ascend", owner: "acme/vllm-ascend/production" };

function clusterWith(maxNumSeqs: number) {
  const raw = rawCluster();
  raw.serve.maxNumSeqs = maxNumSeqs;
  return raw;
}

function planOf(maxNumSeqs: number): string {
  const spec = parseClusterSpec(clusterWith(maxNumSeqs));
  return planHash(planCluster(spec, { owner: CONTEXT.owner, hasApiKey: true }));
}

function update(maxNumSeqs: number | undefined, more: object = {}) {
  return {
    kind: "update",
    startTime: "2026-11-22T23:28:46.000Z",
    message: "Serve more\n\nat once",
    environment: { "git.head": "aa51def0", "pulumi.version": "v3.259.0" },
    config: {
      "vllm-ascend:apiKey": { secret: true },
      ...(maxNumSeqs === undefined
        ? {}
        : {
            "vllm-ascend:cluster": {
              value: JSON.stringify(clusterWith(maxNumSeqs)),
              secret: false,
            },
          }),
    },
    result: "succeeded",
    endTime: "2026-11-22T23:29:56.000Z",
    version: 0,
    resourceChanges: { same: 20, update: 4 },
    ...more,
  };
}

const read = (...updates: object[]) => parseHistory(JSON.stringify(updates), CONTEXT);

describe("the history of a stack", () => {
  it("tells of each update its plan, its release, its end and its commit", () => {
    const [last] = read(update(16), update(8));
    const { cluster, release, ...rest } = last!;
    assert.deepEqual(rest, {
      number: 2,
      kind: "update",
      result: "succeeded",
      startedAt: "2026-11-22T23:28:46.000Z",
      durationSec: 70,
      changes: { update: 4 },
      gitHead: "aa51def0",
      message: "Serve more",
      plan: planOf(16),
    });
    assert.deepEqual(cluster, clusterWith(16));
    assert.match(release ?? "", /^[0-9a-f]{16}$/);
  });

  it("keeps updates without a cluster, with one that is refused today, and such that still run", () => {
    const broken = { config: { "vllm-ascend:cluster": { value: '{"name":1}' } } };
    const history = read(
      update(1, { endTime: undefined, result: "in-progress", resourceChanges: null }),
      update(undefined, { kind: "destroy", config: null, environment: null }),
      update(8, broken),
    );
    assert.deepEqual(
      history.map(({ number, kind, result, durationSec, plan }) => [
        number,
        kind,
        result,
        durationSec,
        plan === undefined,
      ]),
      [
        [3, "update", "in-progress", undefined, false],
        [2, "destroy", "succeeded", 70, true],
        [1, "update", "succeeded", 70, true],
      ],
    );
  });

  it("is refused when it is something else", () => {
    for (const text of ["", "{}", '[{"kind":1}]', "error: no stack"]) {
      assert.throws(() => parseHistory(text, CONTEXT), HistoryFormatError, text);
    }
  });
});

describe("what a rollback goes back to", () => {
  const FAILED = { result: "failed" };
  const target = (current: number, updates: object[], number?: number) => {
    const found = rollbackTarget(read(...updates), planOf(current), number);
    return typeof found === "string" ? found : found.number;
  };

  it("is the newest update that succeeded with another plan", () => {
    assert.equal(target(16, [update(16, FAILED), update(8), update(4)]), 2);
    assert.equal(target(16, [update(16), update(16), update(8), update(4, FAILED)]), 2);
    assert.equal(
      target(16, [update(8, { kind: "refresh" }), update(4, { kind: "destroy" }), update(2)]),
      1,
    );
  });

  it("may be named, also one that failed, but not one of the same plan", () => {
    const updates = [update(16, FAILED), update(8), update(4, FAILED)];
    assert.equal(target(16, updates, 1), 1);
    assert.match(String(target(16, updates, 3)), /update 3 has the plan of the stack file/);
    assert.match(String(target(16, updates, 9)), /no update 9/);
    assert.match(String(target(16, [update(undefined)], 1)), /no cluster that this version/);
  });

  it("is nothing when there is nothing else", () => {
    assert.match(String(target(16, [update(16), update(8, FAILED)])), /no update of the history/);
    assert.match(String(target(16, [])), /no update of the history/);
  });
});
