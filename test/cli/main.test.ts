// The program as a person calls it, without any host. Each run starts Node, so there are few of them.
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { assertGolden } from "../support/golden.js";

const REPO = join(dirname(fileURLToPath(import.meta.url)), "../..");
const STACK = "qwen3-235b-ray-tp8-pp2";

function cli(args: readonly string[], input = ""): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, ["--import", "tsx", "cli/main.ts", ...args], {
    cwd: REPO,
    input,
    encoding: "utf8",
    // No agent: nothing here may log in anywhere.
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"] },
    timeout: 30_000,
  });
}

describe("vllm-cluster", () => {
  it("prints the commands of a node", () => {
    const { status, stdout, stderr } = cli(["render", "--stack", STACK, "--node", "node1"]);
    assert.equal(status, 0, stderr);
    assertGolden(`render/${STACK}/node1.sh`, stdout);
  });

  it("lists its commands, and each is in docs/cli.md with an example", () => {
    const { status, stdout } = cli(["--help"]);
    assert.equal(status, 0);
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name!);
    const names = commands.filter((name) => name !== "help");
    assert.deepEqual(names, ["render", "hostkeys", "gate", "status", "logs", "stop", "start"]);
    const docs = readFileSync(join(REPO, "docs/cli.md"), "utf8");
    for (const name of names) assert.match(docs, new RegExp(`^\\$ vllm-cluster ${name}\\b`, "m"));
  });

  const mistakes: readonly [title: string, args: readonly string[], input: string, says: RegExp][] =
    [
      ["an unknown option", ["gate", "--fast"], "", /unknown option '--fast'/],
      ["a plan that is none", ["gate"], "{}", /the plan on standard input cannot be used: /],
    ];
  for (const [title, args, input, says] of mistakes) {
    it(`refuses ${title} with exit code 2 and no stack trace`, () => {
      const { status, stdout, stderr } = cli(args, input);
      assert.deepEqual([status, stdout], [2, ""]);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /\n\s+at /);
    });
  }
});
