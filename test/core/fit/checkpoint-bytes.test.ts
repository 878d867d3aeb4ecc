// Sizes from a checkpoint's tensors must be those of the formula where the checkpoint is what the formula assumes. Does not
// prove the names that a future model repository uses.
import assert from "node:assert/strict";
import {
  describedQuantization,
  sizesOfCheckpoint,
  type TensorSize,
} from "../../../core/fit/checkpoint-bytes.js";
import { judgeFit } from "../../../core/fit/judge-fit.js";
import { formulaBytes, type ModelBytes, totalBytes } from "../../../core/fit/model-bytes.js";
import { aRequest, DEEPSEEK_V3, modelOf, QWEN3_235B, QWEN35_397B } from "./models.js";

const GIB = 2 ** 30;

describe("sizesOfCheckpoint", () => {
  it("sorts the tensors of Qwen3-MoE as the formula does", () => {
    assertAlike(sizesOf(QWEN3_235B, qwen3MoeTensors()), formulaBytes(QWEN3_235B, "bf16"), 0.001);
  });

  it("sorts the tensors of Qwen3.5: linear attention, shared expert, image tower, drafting layer", () => {
    const bytes = sizesOf(QWEN35_397B, qwen35Tensors());
    assertAlike(bytes, { ...formulaBytes(QWEN35_397B, "bf16"), vision: 900_000_000 }, 0.002);
  });

  it("sorts the tensors of DeepSeek, whose drafting layer is numbered after the others", () => {
    const model = modelOf(DEEPSEEK_V3);
    assertAlike(sizesOf(model, deepseekTensors()), formulaBytes(model, "bf16"), 0.001);
  });

  it("judges by the checkpoint's own sizes, and says so", () => {
    const half = qwen3MoeTensors().map(({ name, bytes }) => ({
      name,
      bytes: name.includes(".experts.") ? bytes / 2 : bytes,
    }));
    const checkpoint = sizesOf(QWEN3_235B, half);
    const fit = judgeFit(aRequest({ checkpoint, quantization: "w8a8" }, 8));
    assert.equal(fit.basis, "index");
    // Experts in 8 bit, everything else in BF16: more than W8A8 by formula, less than BF16.
    assert.ok(fit.weightsGiB > 27.65 + 0.5 && fit.weightsGiB < 54.9, `${fit.weightsGiB}`);
  });

  it("spreads the total size of an index over the layers, and keeps what is BF16 in every format", () => {
    const formula = formulaBytes(QWEN3_235B, "bf16");
    const exact = sizesOfCheckpoint(QWEN3_235B, "bf16", { totalBytes: totalBytes(formula) });
    assertAlike(exact.bytes!, formula, 1e-9);
    const { bytes } = sizesOfCheckpoint(QWEN3_235B, "w8a8", { totalBytes: 250e9 });
    assert.ok(Math.abs(totalBytes(bytes!) - 250e9) < 1);
    assert.equal(bytes!.embedding, formula.embedding);
  });

  it("prefers tensors to the total, and says when they are not this model's", () => {
    const formula = totalBytes(formulaBytes(QWEN3_235B, "bf16"));
    const tensors = qwen3MoeTensors().filter(({ name }) => !name.includes(".layers.7."));
    const { bytes, remarks } = sizesOfCheckpoint(QWEN3_235B, "bf16", {
      tensors,
      totalBytes: formula,
    });
    assert.ok(bytes !== undefined);
    assert.match(remarks[0]!, /not this model's: no tensor of layer 7/);
    assert.deepEqual(sizesOfCheckpoint(QWEN3_235B, "bf16", { tensors }).bytes, undefined);
  });

  it("asks whether the format is right when the size is another format's", () => {
    const bf16 = totalBytes(formulaBytes(QWEN3_235B, "bf16"));
    const { bytes, remarks } = sizesOfCheckpoint(QWEN3_235B, "w8a8", { totalBytes: bf16 });
    assert.ok(bytes !== undefined);
    assert.match(remarks.join("\n"), /437\.9 GiB, one in w8a8 would have about .*: is it w8a8\?/);
  });

  it("does not take a total that cannot be this model's, nor one of 0", () => {
    for (const total of [1e9, 5e12]) {
      const { bytes, remarks } = sizesOfCheckpoint(QWEN3_235B, "bf16", { totalBytes: total });
      assert.equal(bytes, undefined);
      assert.match(remarks.join("\n"), /does not explain/);
    }
    assert.deepEqual(sizesOfCheckpoint(QWEN3_235B, "bf16", { totalBytes: 0 }), { remarks: [] });
  });
});

describe("describedQuantization", () => {
  it("reads the format from the tensors' own, not from their order", () => {
    const mixed = { "a.weight": "FLOAT", "b.weight": "W8A8_DYNAMIC" };
    assert.equal(describedQuantization(mixed), "w8a8");
    assert.equal(describedQuantization({ ...mixed, "c.weight": "W4A8_DYNAMIC" }), "w4a8");
    assert.equal(describedQuantization({ "a.weight": "FLOAT", version: 1 }), "bf16");
    assert.equal(describedQuantization(null), "bf16");
  });
});

function sizesOf(model: typeof QWEN3_235B, tensors: readonly TensorSize[]): ModelBytes {
  const { bytes, remarks } = sizesOfCheckpoint(model, "bf16", { tensors });
  assert.ok(bytes !== undefined, remarks.join("; "));
  return bytes;
}

/** Every part within a share; norms are in the checkpoint and not in the formula. */
function assertAlike(actual: ModelBytes, expected: ModelBytes, share: number): void {
  const near = (a: number, b: number, what: string) =>
    assert.ok(Math.abs(a - b) <= Math.max(share * b, 0.0005 * GIB), `${what}: ${a} for ${b}`);
  assert.equal(actual.layers.length, expected.layers.length);
  const pairs = [
    ...actual.layers.map((layer, index) => [layer, expected.layers[index]!] as const),
    [actual.mtp, expected.mtp] as const,
  ];
  for (const [index, [a, b]] of pairs.entries()) {
    for (const part of ["sharded", "keyValue", "experts", "replicated"] as const) {
      near(a[part], b[part], `layer ${index} ${part}`);
    }
  }
  for (const part of ["embedding", "head", "vision"] as const)
    near(actual[part], expected[part], part);
}

function bf16(name: string, ...shape: readonly number[]): TensorSize {
  return { name, bytes: shape.reduce((product, size) => product * size, 2) };
}

function qwen3MoeTensors(): TensorSize[] {
  const h = 4096;
  const layer = (prefix: string) => [
    bf16(`${prefix}.self_attn.q_proj.weight`, 64 * 128, h),
    bf16(`${prefix}.self_attn.k_proj.weight`, 4 * 128, h),
    bf16(`${prefix}.self_attn.v_proj.weight`, 4 * 128, h),
    bf16(`${prefix}.self_attn.o_proj.weight`, h, 64 * 128),
    bf16(`${prefix}.self_attn.q_norm.weight`, 128),
    bf16(`${prefix}.input_layernorm.weight`, h),
    bf16(`${prefix}.mlp.gate.weight`, 128, h),
    ...["gate_proj", "up_proj", "down_proj"].flatMap((name) =>
      // Of 128, so that the test is quick.
      ["0", "127"].map((expert) =>
        bf16(`${prefix}.mlp.experts.${expert}.${name}.weight`, 64, 1536, h),
      ),
    ),
  ];
  return [
    bf16("model.embed_tokens.weight", 151_936, h),
    bf16("lm_head.weight", 151_936, h),
    bf16("model.norm.weight", h),
    ...Array.from({ length: 94 }, (_, index) => layer(`model.layers.${index}`)).flat(),
  ];
}

function qwen35Tensors(): TensorSize[] {
  const h = 4096;
  const mlp = (prefix: string) => [
    bf16(`${prefix}.mlp.gate.weight`, 512, h),
    bf16(`${prefix}.mlp.experts.gate_up_proj`, 512, 2 * 1024, h),
    bf16(`${prefix}.mlp.experts.down_proj`, 512, 1024, h),
    ...["gate_proj", "up_proj", "down_proj"].map((name) =>
      bf16(`${prefix}.mlp.shared_expert.${name}.weight`, 1024, h),
    ),
    bf16(`${prefix}.mlp.shared_expert_gate.weight`, 1, h),
  ];
  const full = (prefix: string) => [
    bf16(`${prefix}.self_attn.q_proj.weight`, 2 * 32 * 256, h),
    bf16(`${prefix}.self_attn.k_proj.weight`, 2 * 256, h),
    bf16(`${prefix}.self_attn.v_proj.weight`, 2 * 256, h),
    bf16(`${prefix}.self_attn.o_proj.weight`, h, 32 * 256),
    ...mlp(prefix),
  ];
  const linear = (prefix: string) => [
    bf16(`${prefix}.linear_attn.in_proj_qkv.weight`, 2 * 2048 + 8192, h),
    bf16(`${prefix}.linear_attn.in_proj_z.weight`, 8192, h),
    bf16(`${prefix}.linear_attn.in_proj_a.weight`, 64, h),
    bf16(`${prefix}.linear_attn.in_proj_b.weight`, 64, h),
    bf16(`${prefix}.linear_attn.conv1d.weight`, 2 * 2048 + 8192, 1, 4),
    bf16(`${prefix}.linear_attn.out_proj.weight`, h, 8192),
    ...mlp(prefix),
  ];
  return [
    bf16("model.language_model.embed_tokens.weight", 248_320, h),
    bf16("lm_head.weight", 248_320, h),
    { name: "model.visual.blocks.0.attn.qkv.weight", bytes: 900_000_000 },
    ...Array.from({ length: 60 }, (_, index) => {
      const prefix = `model.language_model.layers.${index}`;
      return index % 4 === 3 ? full(prefix) : linear(prefix);
    }).flat(),
    ...full("mtp.layers.0"),
    bf16("mtp.fc.weight", h, 2 * h),
    bf16("mtp.pre_fc_norm_hidden.weight", h),
  ];
}

function deepseekTensors(): TensorSize[] {
  const h = 7168;
  const attention = (prefix: string) => [
    bf16(`${prefix}.self_attn.q_a_proj.weight`, 1536, h),
    bf16(`${prefix}.self_attn.q_b_proj.weight`, 128 * 192, 1536),
    bf16(`${prefix}.self_attn.kv_a_proj_with_mqa.weight`, 576, h),
    bf16(`${prefix}.self_attn.kv_b_proj.weight`, 128 * 256, 512),
    bf16(`${prefix}.self_attn.o_proj.weight`, h, 128 * 128),
  ];
  const matrices = (prefix: string, width: number) =>
    ["gate_proj", "up_proj", "down_proj"].map((name) => bf16(`${prefix}.${name}.weight`, width, h));
  const moe = (prefix: string) => [
    ...attention(prefix),
    bf16(`${prefix}.mlp.gate.weight`, 256, h),
    bf16(`${prefix}.mlp.gate.e_score_correction_bias`, 256),
    ...matrices(`${prefix}.mlp.shared_experts`, 2048),
    ...matrices(`${prefix}.mlp.experts.0`, 256 * 2048),
  ];
  const layer = (index: number) => {
    const prefix = `model.layers.${index}`;
    return index < 3 ? [...attention(prefix), ...matrices(`${prefix}.mlp`, 18_432)] : moe(prefix);
  };
  return [
    bf16("model.embed_tokens.weight", 129_280, h),
    bf16("lm_head.weight", 129_280, h),
    ...Array.from({ length: 62 }, (_, index) => layer(index)).flat(),
    bf16("model.layers.61.eh_proj.weight", h, 2 * h),
    bf16("model.layers.61.embed_tokens.weight", 129_280, h),
    bf16("model.layers.61.shared_head.head.weight", 129_280, h),
  ];
}
