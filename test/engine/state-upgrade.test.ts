// A stack that an earlier version made, previewed by the code of today: an upgrade of the library must not stop what serves. Does
// not prove that the updates in place succeed; lifecycle.test.ts does, for those of a fresh stack.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { LabProject } from "../../tools/lab-stack/project.mjs";
import { repoDir } from "../../tools/setup/paths.mjs";
import { ensureToolchain } from "../../tools/setup/toolchain.mjs";

const FIXTURE = join(repoDir, "test", "engine", "recorded-state");
const STACK = "lab";

interface About {
  readonly version: string;
  readonly commit: string;
  readonly passphrase: string;
}

describe("an upgrade of the library", function () {
  this.timeout(300_000);
  const about = JSON.parse(readFileSync(join(FIXTURE, "about.json"), "utf8")) as About;
  let project: LabProject;
  let steps: readonly { readonly op: string; readonly urn: string }[];
  let changeSummary: Readonly<Record<string, number>>;

  before(async () => {
    const { env } = await ensureToolchain({ need: { engine: true } });
    const dir = mkdtempSync(join(tmpdir(), "upgrade-"));
    writeFileSync(join(dir, "passphrase"), about.passphrase);
    project = new LabProject({ dir, stack: STACK, env, agentSocket: "" });
    copyFileSync(join(FIXTURE, `Pulumi.${STACK}.yaml`), project.stackFile);
    await project.init();
    const state = join(dir, "state.json");
    writeFileSync(state, gunzipSync(readFileSync(join(FIXTURE, "state.json.gz"))));
    await project.pulumi(["stack", "import", "--file", state, "--stack", STACK], { quiet: true });
    const { stdout } = await project.pulumi(["preview", "--json", "--stack", STACK], {
      quiet: true,
    });
    const preview = JSON.parse(stdout) as Record<"steps", typeof steps> &
      Record<"changeSummary", typeof changeSummary>;
    ({ steps, changeSummary } = preview);
  });
  after(() => project?.remove());

  it(`replaces and deletes nothing of what version ${about.version} (${about.commit.slice(0, 12)}) made`, () => {
    // Else the state was not read, and nothing would be compared.
    const kept = (changeSummary["same"] ?? 0) + (changeSummary["update"] ?? 0);
    assert.ok(kept > 20, `only ${kept} resources of the recorded state are known`);
    const others = steps.filter(({ op }) => !["same", "update", "create"].includes(op));
    assert.deepEqual(
      others.map(({ op, urn }) => `${op} ${urn}`),
      [],
      "resources would be replaced or deleted: see CONTRIBUTING.md, Upgrades",
    );
  });
});
