import assert from "node:assert/strict";
import fc from "fast-check";
import { FakeGpustack } from "./fake-gpustack.js";
import { Stack, VERSION, VERSION_URN } from "./support.js";

/**
 * One version among others in the shared row of a backend, on the in-memory server. Does not prove how long the real
 * server's writers are between read and write.
 */

describe("BackendVersion", () => {
  it("adds its version and echoes every field of the row, the protection of built-in backends first", async () => {
    const fake = new FakeGpustack();
    const before = { ...fake.backends.get("vLLM")! };
    const stack = new Stack(VERSION_URN, fake);
    assert.equal(await stack.up(VERSION), "create");
    assert.equal(stack.id, "vLLM/0.18.0rc1-custom");
    const { version_configs: versions, ...row } = fake.backends.get("vLLM")!;
    assert.deepEqual(versions["0.18.0rc1-custom"], {
      image_name: VERSION.imageName,
      entrypoint: "vllm serve",
      run_command:
        "{{model_path}} --host {{worker_ip}} --port {{port}} --served-model-name {{model_name}}",
      custom_framework: "cann",
      env: null,
    });
    const { version_configs: _, created_at: __, updated_at: ___, ...kept } = before;
    assert.deepEqual(row, kept);
  });

  it("changes its image in place and leaves other versions alone", async () => {
    const { fake, stack } = await created();
    versionsOf(fake)["by-hand-custom"] = { image_name: "x", source_name: "kept" };
    assert.equal(await stack.up({ ...VERSION, imageName: "quay.io/other:1" }), "update");
    assert.deepEqual(versionsOf(fake)["by-hand-custom"], { image_name: "x", source_name: "kept" });
    assert.equal(versionsOf(fake)["0.18.0rc1-custom"]!["image_name"], "quay.io/other:1");
    assert.equal(await stack.up({ ...VERSION, imageName: "quay.io/other:1" }), "same");
  });

  it("finds an image that was changed by hand, and puts it back", async () => {
    const { fake, stack } = await created();
    versionsOf(fake)["0.18.0rc1-custom"]!["image_name"] = "quay.io/by-hand:1";
    await stack.refresh();
    assert.equal(await stack.up(VERSION), "update");
    assert.equal(versionsOf(fake)["0.18.0rc1-custom"]!["image_name"], VERSION.imageName);
  });

  it("is gone when its key is gone", async () => {
    const { fake, stack } = await created();
    delete versionsOf(fake)["0.18.0rc1-custom"];
    await stack.refresh();
    assert.equal(stack.id, undefined);
  });

  it("is imported by backend and version", async () => {
    const { fake } = await created();
    const other = new Stack(VERSION_URN, fake);
    await other.import("vLLM/0.18.0rc1-custom");
    assert.equal(await other.up(VERSION), "same");
  });

  it("does not take over a version that is there", async () => {
    const { fake } = await created();
    await assert.rejects(
      new Stack(VERSION_URN, fake).up(VERSION),
      /has a version 0\.18\.0rc1-custom already: import it .*"vLLM\/0\.18\.0rc1-custom"/,
    );
  });

  it("removes its own key only", async () => {
    const { fake, stack } = await created();
    versionsOf(fake)["by-hand-custom"] = {};
    await stack.destroy();
    assert.deepEqual(Object.keys(versionsOf(fake)), ["by-hand-custom"]);
    assert.equal(fake.backends.get("vLLM")!["backend_source"], "built_in");
  });

  it("is written once when the answer to the write was lost", async () => {
    const fake = new FakeGpustack();
    fake.fail(/^PUT \/v2\/inference-backends/, "lost");
    await new Stack(VERSION_URN, fake).up(VERSION);
    assert.deepEqual(fake.writes(), ["PUT /v2/inference-backends/1"]);
  });

  it("names a backend that the server does not have", async () => {
    const stack = new Stack(VERSION_URN, new FakeGpustack());
    await assert.rejects(stack.up({ ...VERSION, backend: "vllm" }), /has no backend vllm/);
  });

  it("survives any other writer of the row: no version of either is lost", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 1500 }), { maxLength: 6 }),
        async (times) => {
          const { fake } = await created();
          // Another writer with an old copy of the row: what was added since is lost by its write.
          times.forEach((at, index) => {
            const copy = structuredClone(versionsOf(fake));
            fake.after(at, () => {
              fake.backends.get("vLLM")!.version_configs = {
                ...copy,
                [`hand-${index}-custom`]: {},
              };
            });
          });
          await new Stack(VERSION_URN, fake).up({ ...VERSION, version: "new-custom" });
          if (Math.max(0, ...times) <= 800) assert.ok(versionsOf(fake)["new-custom"] !== undefined);
          assert.ok(versionsOf(fake)["0.18.0rc1-custom"] !== undefined);
        },
      ),
      { numRuns: 30 },
    );
  });

  const wrong: [string, Record<string, unknown>, RegExp][] = [
    [
      "a name without -custom",
      { version: "0.18.0rc1" },
      /version: must end in "-custom".*"0\.18\.0rc1-custom"/,
    ],
    [
      "an unknown placeholder",
      { runCommand: "{{model_path}} --port {{prt}}" },
      /unknown placeholder \{\{prt\}\}/,
    ],
    ["an open quote", { runCommand: "{{model_path}} --x 'a" }, /runCommand: has a quote/],
    ["another framework", { customFramework: "npu" }, /customFramework: /],
    ["an unknown input", { image: "x" }, /image/],
    ["a number as a variable", { env: { X: 1 } }, /env\.X: must be a string/],
  ];
  for (const [what, change, message] of wrong) {
    it(`is refused in the preview with ${what}`, async () => {
      const fake = new FakeGpustack();
      await assert.rejects(new Stack(VERSION_URN, fake).up({ ...VERSION, ...change }), message);
      assert.deepEqual(fake.requests, []);
    });
  }
});

async function created() {
  const fake = new FakeGpustack();
  const stack = new Stack(VERSION_URN, fake);
  await stack.up(VERSION);
  return { fake, stack };
}

function versionsOf(fake: FakeGpustack) {
  return fake.backends.get("vLLM")!.version_configs as Record<string, Record<string, unknown>>;
}
