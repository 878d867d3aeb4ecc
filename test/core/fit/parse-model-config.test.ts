// Each architecture is read from its public config.json keys. Does not prove that a future config keeps its keys.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { catalogModel } from "../../../core/fit/catalog.js";
import { formulaBytes, totalBytes } from "../../../core/fit/model-bytes.js";
import { KNOWN_ARCHITECTURES, parseModelConfig } from "../../../core/fit/parse-model-config.js";
import { DEEPSEEK_V3, LLAMA_70B, modelOf, QWEN3_14B, QWEN3_235B, QWEN35_397B } from "./models.js";

describe("parseModelConfig", () => {
  it("reads the mix of layers of Qwen3.5, by interval and by layer_types alike", () => {
    const kinds = QWEN35_397B.layers.map(({ mixer }) => mixer.kind);
    assert.deepEqual([kinds.length, kinds.filter((kind) => kind === "gdn").length], [60, 45]);
    assert.deepEqual(kinds.slice(0, 4), ["gdn", "gdn", "gdn", "attention"]);
    assert.deepEqual([QWEN35_397B.mtpLayers.length, QWEN35_397B.hasVision], [1, true]);
    const byTypes = modelOf({
      architectures: ["Qwen3_5ForCausalLM"],
      ...{ hidden_size: 8, vocab_size: 64, num_hidden_layers: 2, num_attention_heads: 2 },
      ...{ num_key_value_heads: 1, head_dim: 4, intermediate_size: 16 },
      ...{ linear_num_key_heads: 1, linear_key_head_dim: 4, linear_conv_kernel_dim: 4 },
      ...{ linear_num_value_heads: 2, linear_value_head_dim: 4 },
      layer_types: ["full_attention", "linear_attention"],
    });
    assert.deepEqual(
      byTypes.layers.map(({ mixer, mlp }) => [mixer.kind, mlp.kind]),
      [
        ["attention", "dense"],
        ["gdn", "dense"],
      ],
    );
  });

  it("reads which layers of Qwen3-MoE and DeepSeek are dense", () => {
    const dense = (config: object) =>
      modelOf(config).layers.flatMap(({ mlp }, index) => (mlp.kind === "dense" ? [index] : []));
    assert.deepEqual(dense(DEEPSEEK_V3), [0, 1, 2]);
    const qwen = {
      architectures: ["Qwen3MoeForCausalLM"],
      ...{ hidden_size: 8, vocab_size: 64, num_hidden_layers: 4, num_attention_heads: 2 },
      ...{ num_experts: 4, moe_intermediate_size: 4, intermediate_size: 16 },
    };
    assert.deepEqual(dense(qwen), []);
    assert.deepEqual(dense({ ...qwen, mlp_only_layers: [1] }), [1]);
    assert.deepEqual(dense({ ...qwen, decoder_sparse_step: 2 }), [0, 2]);
  });

  const COUNTS: readonly [title: string, billions: number, model: typeof QWEN3_235B][] = [
    ["Qwen3-235B-A22B", 235.09, QWEN3_235B],
    ["Qwen3-14B", 14.77, modelOf(QWEN3_14B)],
    ["Llama-3.1-70B", 70.55, modelOf(LLAMA_70B)],
    ["DeepSeek-V3 without its drafting layer", 671.03, { ...modelOf(DEEPSEEK_V3), mtpLayers: [] }],
    ["Qwen3.5-397B-A17B, text only", 396.35, { ...QWEN35_397B, mtpLayers: [], hasVision: false }],
  ];
  for (const [title, billions, model] of COUNTS) {
    it(`counts the published parameters within 0.1 %: ${title}`, () => {
      const counted = totalBytes(formulaBytes(model, "bf16")) / 2 / 1e9;
      assert.ok(Math.abs(counted / billions - 1) < 0.001, `${counted}`);
    });
  }

  it("counts the experts and the drafting layer of the published figures", () => {
    const experts = (model: typeof QWEN3_235B) =>
      formulaBytes(model, "bf16").layers.reduce((sum, layer) => sum + layer.experts, 0) / 2e9;
    assert.deepEqual(
      [experts(QWEN3_235B), experts(QWEN35_397B)].map((b) => b.toFixed(2)),
      ["227.10", "386.55"],
    );
    const { mtp } = formulaBytes(QWEN35_397B, "bf16");
    const total = (mtp.sharded + mtp.keyValue + mtp.experts + mtp.replicated) / 2e9;
    assert.ok(Math.abs(total - 6.6) < 0.02, `${total}`);
  });

  it("marks what was not held against known figures", () => {
    for (const [config, isVerified] of [
      [QWEN3_14B, true],
      [LLAMA_70B, false],
      [DEEPSEEK_V3, false],
    ] as const) {
      assert.equal(modelOf(config).isVerified, isVerified);
    }
  });

  it("does not guess an architecture that it does not know", () => {
    const parsed = parseModelConfig({ ...QWEN3_14B, architectures: ["GlmMoeForCausalLM"] });
    assert.deepEqual(parsed, { kind: "unknown", architecture: "GlmMoeForCausalLM" });
  });

  it("names every field that is missing or of another type", () => {
    const { num_attention_heads: _, ...config } = QWEN3_14B;
    const parsed = parseModelConfig({ ...config, hidden_size: "5120" });
    assert.equal(parsed.kind, "invalid");
    const text = parsed.kind === "invalid" ? parsed.issues.join("\n") : "";
    assert.match(text, /^hidden_size: /m);
    assert.match(text, /^num_attention_heads: /m);
    for (const raw of [null, [], "x", {}, { architectures: [] }]) {
      assert.equal(parseModelConfig(raw).kind, "invalid");
    }
  });
});

describe("catalogModel", () => {
  const CASES: readonly [path: string, name: string | undefined][] = [
    ["/data/models/Qwen3-235B-A22B", "Qwen3-235B-A22B"],
    ["/data/models/Qwen3-235B-A22B-Instruct-2507/", "Qwen3-235B-A22B"],
    ["/weights/qwen3.5-397b-a17b-w8a8-mtp", "Qwen3.5-397B-A17B"],
    ["/data/Eco-Tech__Qwen3.5-397B-A17B", "Qwen3.5-397B-A17B"],
    ["/data/models/Qwen3-235B-A22Bx", undefined],
    ["/data/Qwen3-235B-A22B/checkpoint", undefined],
    ["/srv/models/tiny-moe", undefined],
  ];
  for (const [path, name] of CASES) {
    it(`takes ${path} for ${name ?? "none of its models"}`, () => {
      assert.equal(catalogModel(path)?.name, name);
    });
  }
});

describe("docs/memory-fit.md", () => {
  it("names every known architecture, and how far its formulas were checked", () => {
    const file = join(dirname(fileURLToPath(import.meta.url)), "../../../docs/memory-fit.md");
    const rows = [
      ...readFileSync(file, "utf8").matchAll(/^\| (`\w+For.*) \| (verified|unverified)/gm),
    ];
    const documented = rows.flatMap(([, names, state]) =>
      [...names!.matchAll(/`(\w+)`/g)].map(([, name]) => ({
        name: name!,
        isVerified: state === "verified",
      })),
    );
    assert.deepEqual(documented, KNOWN_ARCHITECTURES);
  });
});
