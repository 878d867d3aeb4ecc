// The program as a person calls it, without any host. Each run starts Node, so there are few of them.
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { aGatePlan } from "../core/facts/answers.js";
import { assertGolden } from "../support/golden.js";

const REPO = join(dirname(fileURLToPath(import.meta.url)), "../..");
const STACK = "qwen3-235b-ray-tp8-pp2";

describe("vllm-cluster", () => {
  let dir: string;

  // In the place of the network: the script runs on this machine, where it only reads.
  before(() => {
    dir = mkdtempSync(join(tmpdir(), "cli-"));
    writeFileSync(join(dir, "ssh"), "#!/bin/bash\nexec bash -s\n", { mode: 0o755 });
  });

  after(() => rmSync(dir, { recursive: true }));

  function cli(args: readonly string[], input = ""): SpawnSyncReturns<string> {
    return spawnSync(process.execPath, ["--import", "tsx", "cli/main.ts", ...args], {
      cwd: REPO,
      input,
      encoding: "utf8",
      env: { PATH: `${dir}:${process.env["PATH"]}`, HOME: dir },
      timeout: 30_000,
    });
  }

  it("judges the plan on standard input: report on standard error, JSON only when asked", () => {
    const plan = JSON.stringify(aGatePlan());
    const { status, stdout, stderr } = cli(["gate", "--json"], plan);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^preflight of cluster qwen FAILED on node0, node1 \(2 of 2 nodes\)/m);
    assert.match(stderr, /\nFAIL {2}node1 {2}DEVICE_MISSING: not there: \/dev\/davinci0, /);
    assert.equal((JSON.parse(stdout) as { isPassed: boolean }).isPassed, false);
  });

  it("tells that a host knows nothing of the cluster, with host, process and next action", () => {
    const { status, stdout, stderr } = cli(["logs", "--stack", STACK]);
    assert.deepEqual([status, stdout], [1, ""]);
    assert.equal(
      stderr,
      "vllm-cluster: node0, serve: the cluster was never staged on this host\n" +
        "next: run `pulumi up`, or name another stack\n",
    );
  });

  it("prints the commands of a node", () => {
    const { status, stdout, stderr } = cli(["render", "--stack", STACK, "--node", "node1"]);
    assert.equal(status, 0, stderr);
    assertGolden(`render/${STACK}/node1.sh`, stdout);
  });

  it("ends without a word when nobody reads on", () => {
    // More than a pipe holds, so that the writer meets its closed end.
    const command = `for i in 1 2 3 4; do "$0" --import tsx cli/main.ts render --stack ${STACK} --json; done | head -n 1`;
    const { status, stderr } = spawnSync("bash", ["-c", command, process.execPath], {
      cwd: REPO,
      encoding: "utf8",
      timeout: 60_000,
    });
    assert.deepEqual([status, stderr], [0, ""]);
  });

  it("prints what lint finds, and ends with 1 for an error that the stack does not accept", () => {
    const found = cli(["lint", "--stack", STACK, "--json"]);
    assert.equal(found.status, 0, found.stderr);
    const findings = JSON.parse(found.stdout) as { code: string; level: string; path: string }[];
    assert.deepEqual(
      findings.map(({ code, level, path }) => `${level} ${code} ${path}`),
      [
        "error TRUST_REMOTE_CODE_UNPINNED serve.trustRemoteCode",
        "warning RAY_PIPELINE_EXPERT_PARALLEL serve.enableExpertParallel",
        "warning RAY_WITHOUT_AUTHENTICATION image.rayVersion",
        "warning API_KEY_MISSING vllm-ascend:apiKey",
      ],
    );
    const file = join(dir, "Pulumi.old.yaml");
    const text = readFileSync(join(REPO, `stacks/Pulumi.${STACK}.yaml`), "utf8");
    writeFileSync(file, text.replace(":v0.23.0", ":v0.8.5"));
    const { status, stdout } = cli(["lint", "--file", file]);
    assert.equal(status, 1);
    assert.match(
      stdout,
      /^error IMAGE_VULNERABLE at image\.reference: .*got vLLM 0\.8\.5: CVE-[^\n]*\n {2}why: /,
    );
  });

  it("lists its commands, and each is in docs/cli.md with an example", () => {
    const { status, stdout } = cli(["--help"]);
    assert.equal(status, 0);
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name!);
    const names = commands.filter((name) => name !== "help");
    assert.ok(names.includes("render"), stdout);
    const docs = readFileSync(join(REPO, "docs/cli.md"), "utf8");
    for (const name of names) assert.match(docs, new RegExp(`^\\$ vllm-cluster ${name}\\b`, "m"));
  });

  const mistakes: readonly [title: string, args: readonly string[], input: string, says: RegExp][] =
    [
      ["an unknown option", ["gate", "--fast"], "", /unknown option '--fast'/],
      [
        "a fraction that is none",
        ["fit", "--gpu-memory-utilization", "90"],
        "",
        /above 0, at most 1/,
      ],
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
