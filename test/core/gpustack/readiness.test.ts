import assert from "node:assert/strict";
import type { InstanceRow, WorkerRow } from "../../../core/gpustack/api.js";
import { faultOfGroup, judgeGroup } from "../../../core/gpustack/readiness.js";

/** The verdict over a pair's instances. Does not prove when the real server says what. */

const WORKERS = ["node-a", "node-b"].map(
  (name, id) => ({ id, name, ip: "", state: "ready" }) as WorkerRow,
);

describe("a pair", () => {
  const cases: [
    string,
    [Partial<InstanceRow>[], Partial<InstanceRow>[]],
    "ready" | "starting" | "failed",
    RegExp,
  ][] = [
    [
      "serves when the head runs and the headless peer starts for ever",
      [[{ state: "running" }], [{ state: "starting" }]],
      "ready",
      /h=running; p=starting/,
    ],
    ["serves when both run", [[{ state: "running" }], [{ state: "running" }]], "ready", /./],
    [
      "does not serve while the head starts",
      [[{ state: "starting" }], [{ state: "starting" }]],
      "starting",
      /./,
    ],
    [
      "does not serve with a peer that is pending",
      [[{ state: "running" }], [{ state: "pending", state_message: "no\n  NPU" }]],
      "starting",
      /p=pending: no NPU/,
    ],
    ["does not serve without a peer", [[{ state: "running" }], []], "starting", /p=no instance/],
    [
      "does not serve while an old instance is still there",
      [[{ state: "running" }, { state: "running" }], [{ state: "starting" }]],
      "starting",
      /./,
    ],
    [
      "has failed after as many restarts as allowed",
      [[{ state: "starting", restart_count: 3 }], [{ state: "starting" }]],
      "failed",
      /3 restarts/,
    ],
    [
      "is given time before that",
      [[{ state: "error", restart_count: 2 }], [{ state: "starting" }]],
      "starting",
      /./,
    ],
  ];
  for (const [what, [head, peer], state, summary] of cases) {
    it(what, () => {
      const verdict = judge(head, peer);
      assert.equal(verdict.state, state);
      assert.match(verdict.summary, summary);
    });
  }

  it("does not serve when the worker of a headless peer is gone, whose instance stays starting", () => {
    const workers = [WORKERS[0]!, { ...WORKERS[1]!, state: "not_ready" }];
    const members = [row("h", [{ state: "running" }]), row("p", [{ state: "starting" }])];
    const { state, summary } = judgeGroup(members, workers, RULES);
    assert.equal(state, "starting");
    assert.match(summary, /p=starting \(worker node-b is not_ready\)/);
    assert.match(faultOfGroup(members, workers)!, /node-b is not_ready/);
  });

  it("has failed at the first error when GPUStack does not restart it", () => {
    const members = [row("h", [{ state: "error" }]), row("p", [{ state: "starting" }])];
    assert.equal(judgeGroup(members, WORKERS, { ...RULES, restartOnError: false }).state, "failed");
  });

  it("counts an instance that was made anew as a restart", () => {
    const members = [
      row("h", [{ state: "starting", restart_count: 1 }]),
      row("p", [{ state: "starting" }]),
    ];
    const seen = new Map([["h", new Set([1, 2, 3])]]);
    assert.equal(judgeGroup(members, WORKERS, { ...RULES, seen }).state, "failed");
  });
});

describe("a group that was ready", () => {
  it("has no fault while the server restarts a member by itself", () => {
    const members = [row("h", [{ state: "starting" }]), row("p", [{ state: "starting" }])];
    assert.equal(faultOfGroup(members, WORKERS), undefined);
  });

  it("has a fault with a member that is unreachable or has no instance", () => {
    const members = [row("h", [{ state: "unreachable" }]), row("p", [])];
    assert.equal(faultOfGroup(members, WORKERS), "h=unreachable; p=no instance");
  });
});

const RULES = { restartOnError: true, maxRestarts: 3, seen: new Map<string, Set<number>>() };

function judge(head: Partial<InstanceRow>[], peer: Partial<InstanceRow>[]) {
  return judgeGroup([row("h", head), row("p", peer)], WORKERS, RULES);
}

function row(name: string, instances: Partial<InstanceRow>[]) {
  const worker_name = name === "h" ? "node-a" : "node-b";
  return {
    name,
    instances: instances.map(
      (instance, id) => ({ id, name, model_id: 1, worker_name, ...instance }) as InstanceRow,
    ),
  };
}
