// The texts that people read. They are golden files, because their layout is the product here.
import assert from "node:assert/strict";
import { renderGateReport } from "../../cli/gate-report.js";
import { durationText, renderStatusReport } from "../../cli/status-report.js";
import { textTable, wrapText } from "../../cli/text-table.js";
import { judgeGroup, type NodeStatus } from "../../core/facts/group-status.js";
import { judgeGate } from "../../core/facts/judge-gate.js";
import { classifySshFailure } from "../../core/facts/ssh-failure.js";
import { planCluster } from "../../core/plan/plan-cluster.js";
import { aGatePlan, goodAnswer, goodReport, hostReport, OWNER } from "../core/facts/answers.js";
import { assertGolden } from "../support/golden.js";
import { aClusterSpec } from "../support/specs.js";

describe("renderGateReport", () => {
  const plan = aGatePlan();
  const [node0, node1] = [plan.nodes[0]!, plan.nodes[1]!];
  const good = (node: typeof node0) => goodReport(plan, node);

  it("is short when nothing is wrong", () => {
    assertGolden("gate/passed.txt", renderGateReport(judgeGate(plan, [good(node0), good(node1)])));
  });

  it("shows all hosts' failures in one table, with a fix for each", () => {
    const failure = classifySshFailure({
      connection: node0.connection,
      code: 255,
      stdout: "",
      stderr:
        "The fingerprint for the ED25519 key sent by the remote host is\nSHA256:hu+jrvoIpAnX1vzJ0dTZew+k+B2M3SgnuYa8YFm04bY.\nHost key verification failed.\n",
      agent: "ready",
    })!;
    const bad = goodAnswer(plan, node1)
      .replace("/dev/davinci3\tfound\tcharacter special file", "/dev/davinci3\tmissing")
      .replace("\tpresent\tsha256:0123", "\tregistry-error\tdial tcp: i/o timeout")
      .replace("ports\tok", "listener\t6380\t0.0.0.0\t77\tredis-server\t\nports\tok")
      .replace(
        "/usr/local/bin/npu-smi\tfound\tregular file",
        "/usr/local/bin/npu-smi\tmissing\nelsewhere\t/usr/local/bin/npu-smi\t/usr/local/sbin/npu-smi",
      );
    const text = renderGateReport(
      judgeGate(plan, [{ failure, stderr: "", askedSec: 0, answeredSec: 1 }, hostReport(bad)]),
    );
    assertGolden("gate/failed.txt", text);
    assert.doesNotMatch(text, /[^\P{Cc}\n]/u);
    for (const line of text.split("\n")) {
      const isOneWord = !line.trim().includes(" ");
      assert.ok(line.length <= 100 || isOneWord, line);
    }
  });
});

describe("renderStatusReport", () => {
  const plan = planCluster(aClusterSpec(), { owner: OWNER, hasApiKey: false });
  const container = {
    ...({ state: "present", id: "abc", status: "running", exitCode: 0 } as const),
    ...{ owner: OWNER, node: "node0", error: "" },
  };
  const supervisor = {
    ...{ state: "ready", reason: "", timeSec: 1000, supervisorStartedSec: 10, warnings: [] },
    ray: { state: "ready", hash: null, startedSec: 20 },
    serve: { state: "ready", hash: null, startedSec: 880 },
    failures: { count: 0, last: null },
  };
  const head: NodeStatus = {
    ...{ node: "node0", role: "head", planned: { ray: true, serve: "api" } },
    ...{ container, supervisor, clockSec: 1000 },
  };
  const worker: NodeStatus = {
    ...head,
    ...{ node: "node1", role: "worker", planned: { ray: true, serve: "none" } },
  };

  function report(...nodes: NodeStatus[]): string {
    return renderStatusReport(nodes, judgeGroup(plan, nodes));
  }

  it("ends with the verdict", () => {
    const serve = { state: "stopped", hash: null, startedSec: 0 };
    assertGolden(
      "status/serving.txt",
      report(head, { ...worker, supervisor: { ...supervisor, serve } }),
    );
  });

  it("says of a headless member that it serves through the head, and shows no Ray without Ray", () => {
    const serving = { ...supervisor, ray: { state: "stopped", hash: null, startedSec: 0 } };
    assertGolden(
      "status/serving-headless.txt",
      report(
        { ...head, planned: { ray: false, serve: "api" }, supervisor: serving },
        { ...worker, planned: { ray: false, serve: "headless" }, supervisor: serving },
      ),
    );
  });

  it("tells why it does not serve, and the next step", () => {
    const exited = { ...container, status: "exited", exitCode: 128 };
    const waiting = {
      ...supervisor,
      ...{
        state: "waiting",
        reason: "node1 is not connected",
        warnings: ["the disk is nearly full"],
      },
      serve: { state: "stopped", hash: null, startedSec: 0 },
    };
    const { supervisor: _, ...silent } = worker;
    assertGolden(
      "status/waiting.txt",
      report(
        { ...head, supervisor: waiting },
        {
          ...silent,
          container: exited,
          problem: "the container does not run: exited (exit code 128)",
          next: "on node1: journalctl -u vllm-cluster-qwen.service -n 30",
        },
      ),
    );
  });

  it("gives durations in the two largest units", () => {
    assert.deepEqual([-3, 0, 59.9, 60, 3599, 3600, 86_399, 86_400 * 12].map(durationText), [
      "0s",
      "0s",
      "59s",
      "1m0s",
      "59m59s",
      "1h0m",
      "23h59m",
      "12d0h",
    ]);
  });
});

describe("wrapText", () => {
  it("breaks at blanks, keeps long words whole and the given lines apart", () => {
    assert.equal(wrapText("aa bb cccccccccc dd\nee", 8, "  "), "aa bb\n  cccccccccc\n  dd\n  ee");
  });
});

describe("textTable", () => {
  it("aligns columns and ends no line with blanks", () => {
    assert.equal(
      textTable([
        ["a", "bb", "c"],
        ["aaa", "b", ""],
      ]),
      "a    bb  c\naaa  b",
    );
  });
});
