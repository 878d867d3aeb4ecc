import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadStack, loadStackPlan } from "../../cli/stack.js";
import { renderGpustack } from "../../core/gpustack/render.js";
import { planCluster } from "../../core/plan/plan-cluster.js";
import { clusterCommands, renderNodeCommands } from "../../core/render/commands.js";
import { assertGolden } from "../support/golden.js";
import { aClusterSpec } from "../support/specs.js";

const STACKS = [
  "qwen3-235b-ray-tp8-pp2",
  "qwen3-235b-mp-tp8-pp2",
  "qwen3.5-397b-w8a8-dp2-tp8",
] as const;
const STACKS_DIR = join(dirname(fileURLToPath(import.meta.url)), "../../stacks");

describe("renderNodeCommands", () => {
  for (const stack of STACKS) {
    it(`shows what runs on each node of ${stack} as the golden files do, in valid bash`, () => {
      const plan = loadStackPlan({ file: join(STACKS_DIR, `Pulumi.${stack}.yaml`) });
      for (const commands of clusterCommands(plan)) {
        const text = renderNodeCommands(plan, commands);
        assertGolden(`render/${stack}/${commands.node}.sh`, text);
        const check = spawnSync("bash", ["-n"], { input: text, encoding: "utf8" });
        assert.deepEqual([check.status, check.stderr], [0, ""]);
      }
    });
  }

  it("gives every argument to the program byte for byte", () => {
    const hostile = "a 'b' \"c\" $HOME `id` \\ * ; &\n#";
    const spec = aClusterSpec((raw) => {
      raw.env = { HOSTILE: hostile };
      raw.serve.extraArgs = { "chat-template": hostile };
    });
    const planned = planCluster(spec, { owner: "o/p/s", hasApiKey: true });
    const [commands] = clusterCommands(planned);
    const text = renderNodeCommands(planned, commands!);
    // Functions in the place of the programs print what they were called with; the key is in no file here.
    const script = `ssh() { :; }; docker() { :; }; ray() { :; }; cat() { echo from:"$1"; }
vllm() { printf '%s\\0' "$HOSTILE" "$VLLM_API_KEY" "$@"; }
${text}`;
    const { stdout, status, stderr } = spawnSync("bash", ["-eu"], {
      input: script,
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    const [env, key, ...args] = stdout.split("\0").slice(0, -1);
    assert.equal(env, hostile);
    assert.equal(key, "from:/vllm-cluster/in/secrets/api-key");
    assert.deepEqual(["vllm", ...args], commands!.serve);
  });

  it("shows serve on the head only under Ray, and the key's file only with a key", () => {
    const planned = planCluster(aClusterSpec(), { owner: "o/p/s", hasApiKey: false });
    const [head, worker] = clusterCommands(planned);
    assert.deepEqual([head!.serve?.[0], worker!.serve], ["vllm", null]);
    assert.deepEqual([head!.secretEnv, worker!.secretEnv], [{}, {}]);
  });
});

describe("renderGpustack", () => {
  it("shows what goes into GPUStack's forms, for all nodes or one", () => {
    const file = join(STACKS_DIR, "Pulumi.qwen3.5-397b-w8a8-gpustack.yaml");
    const { plan } = loadStack({ file }).gpustack!;
    assertGolden(
      "render/qwen3.5-397b-w8a8-gpustack/forms.txt",
      renderGpustack(plan, new Set(["node0", "node1"])),
    );
    const one = renderGpustack(plan, new Set(["node1"]));
    assert.match(one, /^Name: qwen3\.5-397b-2$/m);
    assert.doesNotMatch(one, /^Name: qwen3\.5-397b$/m);
  });
});
