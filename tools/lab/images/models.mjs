import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { workDir } from "../build/paths.mjs";
import { removeTree } from "../build/tree.mjs";
import { runInLayers } from "./layers.mjs";

/** Models with random weights that vLLM loads and answers with. */
export const tinyModels = /** @type {const} */ ({ "tiny-dense": "dense", "tiny-moe": "moe" });

/**
 * @param {string} tree
 * @param {object} options
 * @param {"dense" | "moe"} options.kind
 * @param {string[]} options.layers of the vLLM image, topmost first
 * @param {number} options.lock
 */
export async function buildTinyModel(tree, { kind, layers, lock }) {
  const scratch = join(workDir, `model-${kind}`);
  const cache = `${scratch}.out`;
  for (const directory of [scratch, cache]) mkdirSync(directory, { recursive: true });
  await runInLayers(scratch, {
    lower: layers,
    lock,
    cache,
    command: ["/run/source/make-tiny-model.sh", kind],
    what: `Making the model tiny-${kind}`,
  });
  cpSync(join(cache, "model"), tree, { recursive: true });
  for (const directory of [scratch, cache]) await removeTree(directory);
}

/**
 * A model directory for the stand-in `vllm`, which reads no weights: what a check of the directory
 * looks at is there.
 * @param {string} tree
 */
export async function buildStandinModel(tree) {
  const files = {
    "config.json": {
      architectures: ["Qwen3MoeForCausalLM"],
      model_type: "qwen3_moe",
      torch_dtype: "bfloat16",
      vocab_size: 512,
      hidden_size: 256,
      // A pipeline stage needs a layer: up to eight hosts.
      num_hidden_layers: 8,
      num_attention_heads: 16,
      num_key_value_heads: 16,
      head_dim: 32,
      num_experts: 16,
      num_experts_per_tok: 2,
      moe_intermediate_size: 256,
      max_position_embeddings: 65536,
    },
    "model.safetensors.index.json": { metadata: { total_size: 0 }, weight_map: {} },
  };
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(tree, name), `${JSON.stringify(content, null, 1)}\n`);
  }
}
