// Proves quoting and the staging script against the real shell of this machine; not against other shells.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { shellJoin } from "../../../core/render/quote.js";
import {
  type NodeScripts,
  renderStageScript,
  renderUnstageCommand,
} from "../../../core/render/stage-script.js";
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
  const scriptOf = (plan: ReturnType<typeof stagePlan>, node = 0, scripts = FAKE_SCRIPTS) =>
    renderStageScript(plan, plan.nodes[node]!, scripts);
  const run = (script: string) => spawnSync("bash", ["-s"], { input: script, encoding: "utf8" });
  const stage = (plan: ReturnType<typeof stagePlan>, node = 0, scripts = FAKE_SCRIPTS) =>
    run(scriptOf(plan, node, scripts));
  const version = (name: string): NodeScripts => ({
    ...FAKE_SCRIPTS,
    supervisor: { "__main__.py": `# main ${name}\n`, "core/slot.py": `# slot ${name}\n` },
  });
  /** The modules of the version that the launcher would run. */
  const launched = (plan: ReturnType<typeof stagePlan>): Readonly<Record<string, string>> => {
    const launcher = readFileSync(join(plan.baseDir, "in/supervisor"), "utf8");
    const folder = join(plan.baseDir, "in", /"(supervisor-\w+)"/.exec(launcher)![1]!, "supervisor");
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) =>
      statSync(join(folder, path)).isFile(),
    );
    return Object.fromEntries(
      files.map((path) => [path, readFileSync(join(folder, path), "utf8")]),
    );
  };

  it("writes every file with the planned content and keeps others out", () => {
    const plan = stagePlan();
    const result = stage(plan);
    assert.equal(result.status, 0, result.stderr);
    const { ray } = plan.nodes[0]!.releases;
    const file = join(plan.baseDir, `in/releases/ray-${ray?.hash}.json`);
    assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), JSON.parse(JSON.stringify(ray)));
    assert.equal(statSync(plan.baseDir).mode & 0o777, 0o700);
    assert.deepEqual(launched(plan), FAKE_SCRIPTS.supervisor);
  });

  it("leaves unchanged files alone on a second run", () => {
    const plan = stagePlan();
    stage(plan);
    const file = join(plan.baseDir, "in/supervisor");
    const before = statSync(file).ino;
    assert.equal(stage(plan).status, 0);
    assert.equal(statSync(file).ino, before);
  });

  it("lets a supervisor that starts at any moment of a staging find one whole version", () => {
    const plan = stagePlan();
    stage(plan, 0, version("old"));
    const puts = scriptOf(plan, 0, version("new")).split("\nput in/supervisor");
    const seen: string[] = [];
    for (let cut = 1; cut <= puts.length; cut += 1) {
      const end = cut === puts.length ? "" : "\nexit 3\n}\nmain\n";
      const status = run(puts.slice(0, cut).join("\nput in/supervisor") + end).status;
      assert.equal(status, cut === puts.length ? 0 : 3);
      const modules = launched(plan);
      const name = modules["__main__.py"] === "# main old\n" ? "old" : "new";
      assert.deepEqual(modules, version(name).supervisor);
      seen.push(name);
    }
    assert.deepEqual(seen, ["old", "old", "old", "new"]);
  });

  it("keeps the last three versions of the supervisor, for one that is starting just now", () => {
    for (const name of ["1", "2", "3", "4", "1"]) stage(stagePlan(), 0, version(name));
    const folders = readdirSync(join(root, "qwen/in")).filter((name) =>
      name.startsWith("supervisor-"),
    );
    assert.equal(folders.length, 3);
    assert.deepEqual(launched(stagePlan()), version("1").supervisor);
  });

  it("keeps the last three releases of a kind", () => {
    for (const seqs of [1, 2, 3, 4, 5]) assert.equal(stage(stagePlan(undefined, seqs)).status, 0);
    const releases = readdirSync(join(root, "qwen/in/releases"));
    assert.equal(releases.filter((name) => name.startsWith("serve-")).length, 3);
    assert.ok(releases.includes(`serve-${stagePlan(undefined, 5).serve.release}.json`));
    assert.equal(releases.filter((name) => name.startsWith("ray-")).length, 1);
  });

  it("never removes a release that is desired, or that a member's status names, however often another was tried", () => {
    const [good, running] = [stagePlan(undefined, 1), stagePlan(undefined, 2)];
    for (const plan of [good, running]) stage(plan);
    const out = (name: string, release: string) =>
      writeFileSync(join(root, "qwen/out", name), JSON.stringify({ serve: release }));
    out("desired.json", good.serve.release);
    out("status.json", running.serve.release);
    for (const seqs of [3, 4, 5, 6]) assert.equal(stage(stagePlan(undefined, seqs)).status, 0);
    const releases = readdirSync(join(root, "qwen/in/releases"));
    for (const { serve } of [good, running]) {
      assert.ok(releases.includes(`serve-${serve.release}.json`), releases.join(" "));
    }
    assert.equal(releases.filter((name) => name.startsWith("serve-")).length, 5);
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
    const script = scriptOf(plan);
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
