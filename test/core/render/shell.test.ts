// Proves quoting and the staging script against the real shell of this machine; not against other shells.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { shellJoin } from "../../../core/render/quote.js";
import { renderStageScript, renderUnstageCommand } from "../../../core/render/stage-script.js";
import { aClusterSpec, FAKE_SCRIPTS, PLAN_OPTIONS } from "../../support/specs.js";

describe("shellJoin", () => {
  it("gives any argument vector back unchanged", () => {
    const word = fc
      .string({ unit: "binary", maxLength: 30 })
      .filter((text) => !text.includes("\0"));
    // One shell reads many vectors: most of the time of a sample is the shell's start.
    const argv = fc.array(word, { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(argv, { minLength: 50, maxLength: 50 }), (vectors) => {
        const clean = vectors.map((texts) => texts.map((text) => text.toWellFormed()));
        const script = clean.map((texts) => `printf '%s\\0' ${shellJoin(texts)}\n`).join("");
        const out = execFileSync("sh", { input: script }).toString("utf8");
        assert.deepEqual(out.split("\0").slice(0, -1), clean.flat());
      }),
      { numRuns: 3 },
    );
  });
});

describe("renderStageScript", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "stage-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const stagePlan = (owner: string = PLAN_OPTIONS.owner, maxNumSeqs = 25) => ({
    ...planCluster(
      aClusterSpec((raw) => {
        raw.serve.maxNumSeqs = maxNumSeqs;
        raw.env = { HOSTILE: "EOF\n$(touch /nowhere)'\"" };
      }),
      { ...PLAN_OPTIONS, owner },
    ),
    baseDir: join(root, "qwen"),
  });
  const stage = (plan: ReturnType<typeof stagePlan>, node = 0) =>
    spawnSync("bash", ["-s"], {
      input: renderStageScript(plan, plan.nodes[node]!, FAKE_SCRIPTS),
      encoding: "utf8",
    });

  it("writes every file with the planned content and keeps others out", () => {
    const plan = stagePlan();
    const result = stage(plan);
    assert.equal(result.status, 0, result.stderr);
    const { ray } = plan.nodes[0]!.releases;
    const file = join(plan.baseDir, `in/releases/ray-${ray?.hash}.json`);
    assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), JSON.parse(JSON.stringify(ray)));
    assert.equal(statSync(plan.baseDir).mode & 0o777, 0o700);
    assert.equal(readFileSync(join(plan.baseDir, "in/supervisor.py"), "utf8"), "# supervisor.py\n");
  });

  it("leaves unchanged files alone on a second run", () => {
    const plan = stagePlan();
    stage(plan);
    const file = join(plan.baseDir, "in/supervisor.py");
    const before = statSync(file).ino;
    assert.equal(stage(plan).status, 0);
    assert.equal(statSync(file).ino, before);
  });

  it("keeps the last three releases of a kind", () => {
    for (const seqs of [1, 2, 3, 4, 5]) assert.equal(stage(stagePlan(undefined, seqs)).status, 0);
    const releases = readdirSync(join(root, "qwen/in/releases"));
    assert.equal(releases.filter((name) => name.startsWith("serve-")).length, 3);
    assert.ok(releases.includes(`serve-${stagePlan(undefined, 5).serve.release}.json`));
    assert.equal(releases.filter((name) => name.startsWith("ray-")).length, 1);
  });

  it("refuses a directory of another stack by name and changes nothing", () => {
    stage(stagePlan("acme/vllm-ascend/other"));
    const before = readdirSync(join(root, "qwen/in/releases"));
    const result = stage(stagePlan(undefined, 7));
    assert.equal(result.status, 1);
    assert.match(result.stderr, /node node0, staging: .*belongs to stack acme\/vllm-ascend\/other/);
    assert.deepEqual(readdirSync(join(root, "qwen/in/releases")), before);
  });

  it("refuses two nodes of a stack on one machine", () => {
    stage(stagePlan());
    const result = stage(stagePlan(), 1);
    assert.equal(result.status, 1);
    assert.match(result.stderr, /this machine is already node node0/);
  });

  it("runs nothing when the stream is cut anywhere", () => {
    const plan = stagePlan();
    const script = renderStageScript(plan, plan.nodes[0]!, FAKE_SCRIPTS);
    for (const share of [0.2, 0.5, 0.9, 0.999]) {
      spawnSync("bash", ["-s"], { input: script.slice(0, Math.floor(script.length * share)) });
      assert.deepEqual(readdirSync(root), [], `cut at ${share}`);
    }
  });

  it("is undone by the unstage command, which leaves a foreign directory alone", () => {
    const plan = stagePlan();
    stage(plan);
    writeFileSync(join(root, "neighbour"), "");
    const foreign = { ...plan, owner: "acme/vllm-ascend/other" };
    assert.equal(spawnSync("bash", ["-c", renderUnstageCommand(foreign)]).status, 1);
    assert.ok(readdirSync(root).includes("qwen"));
    assert.equal(spawnSync("bash", ["-c", renderUnstageCommand(plan)]).status, 0);
    assert.deepEqual(readdirSync(root), ["neighbour"]);
    assert.equal(spawnSync("bash", ["-c", renderUnstageCommand(plan)]).status, 0);
  });
});
