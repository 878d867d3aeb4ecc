// The answers have the shape of docs/architecture.md `status.json`; that the supervisor writes it so is proved in the lab.
import assert from "node:assert/strict";
import { judgeGroup, type NodeStatus, readNodeStatus } from "../../../core/facts/group-status.js";
import { parseHostFacts } from "../../../core/facts/host-facts.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { aClusterSpec } from "../../support/specs.js";
import { base64, OWNER } from "./answers.js";

const plan = planCluster(aClusterSpec(), { owner: OWNER, hasApiKey: false });
const [head, worker] = [plan.nodes[0]!, plan.nodes[1]!];
const NOW = 1_700_000_000;

interface AnswerChanges {
  readonly status?: object | string;
  readonly container?: string;
  readonly docker?: string;
  readonly unit?: string;
}

function answer(changes: AnswerChanges = {}): string {
  const { status = {}, container, docker = "ok\t20.10", unit = "active\tenabled" } = changes;
  const content =
    typeof status === "string"
      ? status
      : JSON.stringify({
          ...{ schema: 1, state: "ready", reason: "", time: NOW - 1, supervisorStarted: NOW - 900 },
          ray: { state: "ready", started: NOW - 800 },
          serve: { state: "ready", started: NOW - 600 },
          failures: { count: 0, last: null },
          ...status,
        });
  return [
    "facts\t1",
    "root\tyes",
    `clock\t${NOW}`,
    `docker\t${docker}`,
    `container\t${plan.containerName}\t${container ?? `present\tabc\trunning\t0\t${OWNER}\tnode0\t`}`,
    `unit\t${plan.unitName}\t${unit}`,
    `file\t${plan.baseDir}/out/status.json\t${content === "" ? "missing" : `found\t${base64(content)}`}`,
    "end",
    "",
  ].join("\n");
}

function read(node: typeof head, changes?: AnswerChanges): NodeStatus {
  return readNodeStatus(plan, node, { facts: parseHostFacts(answer(changes)) });
}

describe("readNodeStatus", () => {
  it("reads a node that serves", () => {
    const status = read(head);
    assert.equal(status.problem, undefined);
    assert.equal(status.supervisor?.state, "ready");
    assert.deepEqual(status.supervisor?.serve, {
      state: "ready",
      hash: null,
      startedSec: NOW - 600,
    });
    assert.deepEqual(status.unit, { active: "active", enabled: "enabled" });
  });

  const problems: readonly [
    title: string,
    changes: AnswerChanges,
    problem: RegExp,
    next: RegExp,
  ][] = [
    [
      "a docker daemon that is down",
      { docker: "failed\tCannot connect" },
      /docker daemon does not answer: Cannot connect/,
      /systemctl start docker/,
    ],
    ["a container that is not there", { container: "absent" }, /is not there/, /pulumi up/],
    [
      "a container that does not run",
      { container: `present\tabc\texited\t128\t${OWNER}\tnode0\tno such device` },
      /does not run: exited \(exit code 128, no such device\)/,
      /journalctl -u vllm-cluster-qwen\.service/,
    ],
    [
      "a container of another stack",
      { container: "present\tabc\trunning\t0\tacme/p/s\tnode0\t" },
      /belongs to acme\/p\/s/,
      /--stack <organization>/,
    ],
    ["a supervisor that has not written yet", { status: "" }, /no status yet/, /docker logs/],
    ["half a file", { status: '{"schema": 1, "sta' }, /no status yet/, /docker logs/],
    ["a newer schema", { status: { schema: 2 } }, /no status yet/, /docker logs/],
    ["an old file", { status: { time: NOW - 100 } }, /last status 100 s ago/, /df \/var/],
  ];
  for (const [title, changes, problem, next] of problems) {
    it(`tells ${title}, and trusts no file beside it`, () => {
      const status = read(head, changes);
      assert.match(status.problem ?? "", problem);
      assert.match(status.next ?? "", next);
      assert.equal(status.supervisor, undefined);
    });
  }

  for (const [unit, next] of [
    ["activating\tenabled", "on node0: journalctl -u vllm-cluster-qwen.service -n 30"],
    ["inactive\tenabled", "on node0: systemctl start vllm-cluster-qwen.service"],
    ["inactive\t", "pulumi up"],
  ] as const) {
    it(`sends to ${next} when the container is down and its unit is ${unit}`, () => {
      const container = `present\tabc\texited\t128\t${OWNER}\tnode0\t`;
      assert.equal(read(head, { container, unit }).next, next);
    });
  }

  it("knows which members run vllm serve without HTTP", () => {
    const spec = aClusterSpec(undefined, { topology: "data-parallel" });
    const headless = planCluster(spec, { owner: OWNER, hasApiKey: false });
    const failure = { kind: "refused", cause: "no sshd", next: "start it" } as const;
    assert.deepEqual(
      headless.nodes.map((node) => readNodeStatus(headless, node, { failure }).planned),
      [
        { ray: false, serve: "api" },
        { ray: false, serve: "headless" },
      ],
    );
  });

  it("tells a host that could not be asked", () => {
    const failure = { kind: "refused", cause: "no sshd", next: "start it" } as const;
    const status = readNodeStatus(plan, worker, { failure });
    assert.deepEqual(status, {
      node: "node1",
      role: "worker",
      planned: { ray: true, serve: "none" },
      problem: "no sshd",
      next: "start it",
    });
    const cut = readNodeStatus(plan, worker, { facts: parseHostFacts("facts\t1\n") });
    assert.match(cut.problem ?? "", /cut short/);
  });
});

describe("judgeGroup", () => {
  const last = { node: "node1", process: "serve", reason: "exit code 1" };
  const verdicts: readonly [
    state: object,
    verdict: string,
    text: RegExp,
    next: RegExp | undefined,
  ][] = [
    [{ state: "ready" }, "serving", /^serving qwen at http:\/\/10\.0\.0\.11:8000\/v1$/, undefined],
    [{ state: "starting", reason: "loading" }, "starting", /^starting: loading$/, undefined],
    [{ state: "waiting", reason: "no node1" }, "waiting", /^waiting: no node1$/, undefined],
    [
      { state: "backoff", reason: "again in 4 s", failures: { count: 2, last } },
      "starting",
      /after 2 failures: again in 4 s/,
      /logs --node node1 --process serve$/,
    ],
    [
      { state: "down", reason: "5 failures", failures: { count: 5, last } },
      "down",
      /^down: 5 failures$/,
      /logs --node node1 --process serve; .*vllm-cluster start/,
    ],
    [{ state: "stopped", reason: "x" }, "stopped", /stopped by the operator/, /start/],
    [{ state: "idle", reason: "nothing wanted" }, "idle", /nothing wanted/, /pulumi up/],
    [{ state: "dreaming", reason: "x" }, "unknown", /unknown state dreaming/, undefined],
  ];
  for (const [status, state, text, next] of verdicts) {
    it(`judges ${JSON.stringify(status)} as ${state}`, () => {
      const verdict = judgeGroup(plan, [read(head, { status }), read(worker)]);
      assert.equal(verdict.state, state);
      assert.match(verdict.text, text);
      if (next === undefined) assert.equal(verdict.next, undefined);
      else assert.match(verdict.next ?? "", next);
    });
  }

  it("knows nothing without the head, whatever the others say", () => {
    const silent = readNodeStatus(plan, head, {
      failure: { kind: "unreachable", cause: "no route", next: "ping it" },
    });
    const verdict = judgeGroup(plan, [silent, read(worker)]);
    assert.deepEqual([verdict.state, verdict.next], ["unknown", "ping it"]);
  });

  it("takes the head's word for serving, and names who could not be asked", () => {
    const silent = readNodeStatus(plan, worker, {
      failure: { kind: "unreachable", cause: "no route", next: "ping it" },
    });
    const verdict = judgeGroup(plan, [read(head), silent]);
    assert.equal(verdict.state, "serving");
    assert.match(verdict.text, /\(no status of node1\)$/);
  });
});
