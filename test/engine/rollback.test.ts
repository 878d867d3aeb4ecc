// `vllm-cluster history` and `rollback` on the real engine, over the recorded state of a cluster whose hosts are gone: what is read,
// shown, asked and written. That a rollback serves again is test/lab/rollback.test.ts.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import type { ClusterSpecInput } from "../../core/spec/cluster-spec.js";
import { LabProject } from "../../tools/lab-stack/project.mjs";
import { engineToolchain } from "../support/toolchain.js";

const FIXTURE = join(dirname(fileURLToPath(import.meta.url)), "recorded-state");
const STACK = "lab";

describe("vllm-cluster history and rollback", function () {
  this.timeout(300_000);
  let project: LabProject;
  let good: ClusterSpecInput;

  before(async () => {
    const { env } = await engineToolchain();
    const dir = mkdtempSync(join(tmpdir(), "rollback-"));
    const about = JSON.parse(readFileSync(join(FIXTURE, "about.json"), "utf8")) as {
      passphrase: string;
    };
    writeFileSync(join(dir, "passphrase"), about.passphrase);
    project = new LabProject({ dir, stack: STACK, env, agentSocket: "" });
    copyFileSync(join(FIXTURE, `Pulumi.${STACK}.yaml`), project.stackFile);
    await project.init();
    const state = join(dir, "state.json");
    writeFileSync(state, gunzipSync(readFileSync(join(FIXTURE, "state.json.gz"))));
    await pulumi("stack", "import", "--file", state);
    good = config()["vllm-ascend:cluster"] as ClusterSpecInput;
    await project.setApiKey("a-stand-in");
    // An update that succeeds without any host: nothing but the stack itself is looked at.
    const urn = `urn:pulumi:${STACK}::vllm-ascend::pulumi:pulumi:Stack::vllm-ascend-${STACK}`;
    await pulumi("up", "--yes", "--skip-preview", "--target", urn);
    const bad = structuredClone(good);
    bad.container = { ...bad.container, shmSizeGib: 2 };
    await project.setCluster(bad);
    await assert.rejects(() => pulumi("up", "--yes", "--skip-preview"), /preflight of cluster lab/);
  });
  after(() => project?.remove());

  const pulumi = (...args: string[]) =>
    project.pulumi([...args, "--stack", STACK], { quiet: true });
  const vllmCluster = async (...args: string[]) => {
    const options = { quiet: true, allowFailure: true };
    const { code, stdout, stderr } = await project.vllmCluster(
      [...args, "--stack", STACK],
      options,
    );
    return { code, text: `${stdout}${stderr}` };
  };
  const config = () =>
    (parse(readFileSync(project.stackFile, "utf8")) as { config: Record<string, unknown> }).config;

  it("lists what was deployed, the newest first, and marks the plan of the stack file", async () => {
    const { code, text } = await vllmCluster("history");
    assert.equal(code, 0, text);
    const [head, failed, succeeded] = text.split("\n");
    assert.match(head ?? "", /^# +started +took +kind +result +plan +serve release/);
    assert.match(failed ?? "", / update +failed +[0-9a-f]{16} \* /);
    assert.match(succeeded ?? "", / update +succeeded +[0-9a-f]{16} {4}/);
  });

  it("shows what going back restarts, and touches nothing when nobody can be asked", async () => {
    const before = readFileSync(project.stackFile, "utf8");
    const { code, text } = await vllmCluster("rollback");
    assert.equal(code, 2, text);
    assert.match(text, /going back to update \d+ of \d{4}-/);
    // The state never got the bad containers, so going back changes none.
    assert.match(text, /^lab:$/m);
    assert.match(text, /add --allow-downtime-for [0-9a-f]{16}, or --write/);
    assert.equal(readFileSync(project.stackFile, "utf8"), before);
  });

  it("refuses consent to another plan", async () => {
    const { code, text } = await vllmCluster(
      "rollback",
      "--allow-downtime-for",
      "0123456789abcdef",
    );
    assert.equal(code, 2, text);
    assert.match(text, /this would be plan [0-9a-f]{16}/);
  });

  it("runs the engine with what was deployed, and says that the stack file is not committed", async () => {
    const asked = await vllmCluster("rollback");
    const [, hash = ""] = /add --allow-downtime-for ([0-9a-f]{16})/.exec(asked.text) ?? [];
    const { code, text } = await vllmCluster("rollback", "--allow-downtime-for", hash);
    // The hosts are gone, so the preflight refuses; but the engine was run with the old cluster.
    assert.equal(code, 1, text);
    assert.match(text, /preflight of cluster lab FAILED/);
    assert.match(text, /says now what was tried; it is not committed: git diff /);
    assert.deepEqual(config()["vllm-ascend:cluster"], good);
    assert.equal(config()["vllm-ascend:allowDowntimeFor"], hash);
  });

  it("writes the stack file only, for a pull request", async () => {
    const other = structuredClone(good);
    other.serve.maxNumSeqs = 3;
    await project.setCluster(other);
    const { code, text } = await vllmCluster("rollback", "--write");
    assert.equal(code, 0, text);
    assert.match(text, /vLLM|Files|containers/i);
    assert.deepEqual(config()["vllm-ascend:cluster"], good);
    assert.match(text, /is written, with the consent to plan/);
  });
});
