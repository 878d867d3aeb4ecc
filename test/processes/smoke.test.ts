// The real node/smoke.py of two nodes on loopback, with the lab's stand-in for torch: it passes, and each fault of a rank is named by
// its rank and its place, not by those that wait for it. Neither torch nor an NPU: test/lab/smoke.test.ts has the first.
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sourceDir } from "../../tools/lab/build/paths.mjs";
import { repoDir } from "../../tools/setup/paths.mjs";
import { skip } from "../../tools/test/skip.mjs";

const python = "/usr/bin/python3";
const script = readFileSync(join(repoDir, "node/smoke.py"), "utf8");
const standin = join(sourceDir, "images/standin");
const ADDRESSES = ["127.0.0.1", "127.0.0.2"];

interface Report {
  readonly result: string;
  readonly stages: readonly { readonly name: string }[];
  readonly failures?: readonly {
    readonly stage: string;
    readonly node: string;
    readonly rank: number | null;
    readonly detail: string;
    readonly tail: readonly string[];
  }[];
}

describe("the smoke run of two nodes", function () {
  this.timeout(120_000);
  const children: ChildProcessWithoutNullStreams[] = [];

  before(function () {
    if (!existsSync(python)) skip(this, `${python} is not there`, "apt-get install python3");
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });

  function node(index: number, port: number | null, env: Readonly<Record<string, string>>) {
    const child = spawn(python, ["-u", "-c", script, "node"]);
    children.push(child);
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
    child.stdin.end(
      JSON.stringify({
        node: `node${index}`,
        address: ADDRESSES[index],
        coordinator: port === null ? null : [ADDRESSES[0], port],
        env: { PYTHONPATH: standin, GLOO_SOCKET_IFNAME: "", ...env },
        engine: ["vllm"],
        limitSec: 40,
        fingerprint: "f",
        isForced: true,
        nodes: ADDRESSES.map((address, at) => ({
          name: `node${at}`,
          address,
          ranks: [2 * at, 2 * at + 1],
        })),
      }),
    );
    const ended = new Promise<string>((resolve) => child.on("close", () => resolve(printed)));
    return { ended, child, printed: () => printed };
  }

  async function run(env: Readonly<Record<string, string>> = {}, nodes = 2): Promise<Report> {
    const head = node(0, null, env);
    while (!head.printed().includes("\n")) {
      await new Promise((resolve) => head.child.stdout.once("data", resolve));
    }
    const { listening } = JSON.parse(head.printed().split("\n")[0]!) as { listening: number };
    const members = nodes === 1 ? [] : [node(1, listening, env)];
    const printed = await head.ended;
    await Promise.all(members.map(({ ended }) => ended));
    return JSON.parse(printed.trim().split("\n").at(-1)!) as Report;
  }

  it("passes all stages in their order", async () => {
    const report = await run();
    assert.equal(report.result, "passed", JSON.stringify(report));
    const names = ["join", "threads", "engine", "hosts", "npu", "node", "pairs", "all"];
    assert.deepEqual(
      report.stages.map(({ name }) => name),
      names,
    );
  });

  const FAULTS: readonly [fault: string, stage: string, ranks: number[], says: RegExp][] = [
    ["3 matrix hang", "npu", [3], /hangs in matrix product/],
    ["1 matrix wrong", "npu", [1], /wrong product: 1025\.0/],
    ["2 matrix crash", "npu", [2], /its process ended with/],
    ["2 all-reduce crash", "node", [2], /all-reduce: its process ended with/],
    // Nobody but a pair can be told here: both sit in the same call.
    ["2 all-reduce hang", "node", [2, 3], /hangs in all-reduce/],
  ];
  for (const [fault, stage, ranks, says] of FAULTS) {
    it(`names the rank of "${fault}"`, async () => {
      const { result, failures = [] } = await run({ STANDIN_TORCH_FAULT: fault });
      assert.equal(result, "failed");
      assert.deepEqual(
        failures.map((failure) => [failure.stage, failure.rank]),
        ranks.map((rank) => [stage, rank]),
      );
      assert.match(failures[0]!.detail, says);
    });
  }

  it("names the interface that is not there, on every rank", async () => {
    const { failures = [] } = await run({ GLOO_SOCKET_IFNAME: "enp99" });
    assert.deepEqual(
      failures.map(({ rank, detail }) => [rank, detail.split(": ").at(-1)]),
      [0, 1, 2, 3].map((rank) => [rank, "enp99"]),
    );
  });

  it("names an engine that cannot be imported, with the last lines", async () => {
    const { failures = [] } = await run({ PYTHONPATH: "" });
    assert.deepEqual(
      failures.map(({ stage, node }) => [stage, node]),
      [
        ["engine", "node0"],
        ["engine", "node1"],
      ],
    );
    assert.match(failures[0]!.detail, /No module named 'vllm'/);
    assert.ok(failures[0]!.tail.length > 1);
  });

  it("names a node that does not come", async () => {
    const { failures = [] } = await run({}, 1);
    assert.deepEqual(
      failures.map(({ stage, node }) => [stage, node]),
      [["join", "node1"]],
    );
  });
});
