// The command around core/fit: where the model comes from, what is printed, what is refused. The figures are proved in
// test/core/fit.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { addFitCommand } from "../../cli/commands/fit.js";
import { UsageError } from "../../cli/errors.js";
import { readWeightsDir } from "../../cli/weights-dir.js";
import { QWEN3_14B } from "../core/fit/models.js";
import { assertGolden } from "../support/golden.js";

const REPO = join(dirname(fileURLToPath(import.meta.url)), "../..");
const STACK_FILE = join(REPO, "stacks/Pulumi.qwen3-235b-ray-tp8-pp2.yaml");

describe("vllm-cluster fit", () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "fit-"));
  });

  afterEach(() => rmSync(dir, { recursive: true }));

  function write(name: string, content: unknown): string {
    const path = join(dir, name);
    writeFileSync(path, JSON.stringify(content));
    return path;
  }

  /** A file of safetensors with tensors of so many bytes, as sparse as a file can be. */
  function writeTensors(name: string, tensors: Readonly<Record<string, number>>): void {
    let end = 0;
    const entries = Object.entries(tensors).map(([tensor, bytes]) => {
      const begin = end;
      end += bytes;
      return [tensor, { dtype: "BF16", shape: [bytes / 2], data_offsets: [begin, end] }];
    });
    const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(join(dir, name), Buffer.concat([length, header]));
  }

  it("prints the keys that programs read, from options alone", () => {
    const config = write("config.json", QWEN3_14B);
    const { exitCode, stdout } = runFit(
      ...["--model-config", config, "--quantization", "bf16", "--tensor-parallel-size", "2"],
      ...["--pipeline-parallel-size", "1", "--data-parallel-size", "1", "--max-num-seqs", "16"],
      ...["--enable-expert-parallel", "--max-model-len", "8192", "--gpu-memory-utilization", "0.9"],
      ...["--hbm-gib", "64", "--json"],
    );
    const result = JSON.parse(stdout);
    assert.equal(exitCode, 0);
    for (const key of [
      ...["weightsGiBPerNpu", "kvBytesPerTokenPerNpu", "stateMiBPerSequence", "kvPoolGiB"],
      ...["kvTokens", "maxConcurrency"],
    ]) {
      assert.equal(typeof result[key], "number", key);
    }
    assert.deepEqual(
      [result.verdict, result.basis, result.verification],
      ["fits", "formula", "verified"],
    );
    assert.equal(result.largestLever.field, result.levers[0].field);
  });

  it("shows a stack's fit as the golden file does, by the name of its model", () => {
    const { exitCode, stdout } = runFit("--file", STACK_FILE);
    assert.equal(exitCode, 0);
    assertGolden("fit/qwen3-235b-ray-tp8-pp2.txt", stdout);
  });

  it("tries out what an option changes, and ends with 1 when it does not fit", () => {
    const { exitCode, stdout } = runFit("--file", STACK_FILE, "--pipeline-parallel-size", "1");
    assert.equal(exitCode, 1);
    assert.match(stdout, /^no: 1\.0 GiB are missing on each NPU/);
    assert.match(stdout, /^largest lever: pipelineParallelSize 1 -> 2 \(16 NPUs in place of 8\)/m);
  });

  it("says that it does not know an architecture, with no figure", () => {
    const config = write("config.json", { architectures: ["GlmMoeForCausalLM"] });
    const args = ["--model-config", config, "--max-model-len", "8192"];
    const { exitCode, stdout } = runFit(...args, "--json");
    const result = JSON.parse(stdout);
    assert.deepEqual([exitCode, result.verdict, result.weightsGiBPerNpu], [1, "unknown", null]);
    assert.match(runFit(...args).stdout, /^unknown: no formulas for the architecture GlmMoe/);
  });

  it("marks formulas that were not held against known figures", () => {
    const config = { ...QWEN3_14B, architectures: ["LlamaForCausalLM"] };
    const args = ["--model-config", write("config.json", config), "--max-model-len", "8192"];
    assert.equal(JSON.parse(runFit(...args, "--json").stdout).verification, "unverified");
    assert.match(runFit(...args).stdout, /LlamaForCausalLM, formulas unverified/);
  });

  it("takes the total size of an index whose files are not here", () => {
    write("config.json", QWEN3_14B);
    write("model.safetensors.index.json", {
      metadata: { total_size: 15_500_000_000 },
      weight_map: { "model.embed_tokens.weight": "model-00001-of-00002.safetensors" },
    });
    write("quant_model_description.json", { "model.layers.0.mlp.up_proj.weight": "W8A8_DYNAMIC" });
    const { stdout } = runFit("--weights-dir", dir, "--max-model-len", "8192", "--json");
    const result = JSON.parse(stdout);
    assert.deepEqual([result.basis, result.quantization], ["index", "w8a8"]);
    assert.ok(Math.abs(result.weightsGiBPerNpu - 15.5e9 / 2 ** 30) < 0.01);
    assert.match(result.remarks.join("\n"), /total size of the checkpoint/);
  });

  it("reads the tensors of all files of a checkpoint, and only their headers", () => {
    const layer = (n: number) => ({ [`model.layers.${n}.self_attn.q_proj.weight`]: 10 });
    writeTensors("a.safetensors", { "model.embed_tokens.weight": 20, ...layer(0) });
    writeTensors("b.safetensors", layer(1));
    const whole = readWeightsDir(dir);
    assert.deepEqual(
      whole.tensors?.map(({ bytes }) => bytes),
      [20, 10, 10],
    );
    write("model.safetensors.index.json", {
      metadata: { total_size: 40 },
      weight_map: { x: "b.safetensors", y: "c.safetensors" },
    });
    const partial = readWeightsDir(dir);
    assert.deepEqual([partial.tensors, partial.totalBytes], [undefined, 40]);
  });

  const REFUSED: readonly [title: string, args: () => readonly string[], says: RegExp][] = [
    ["no model", () => ["--max-model-len", "1"], /which model\? Add --stack/],
    [
      "no length",
      () => ["--model-config", write("config.json", QWEN3_14B)],
      /how long is a sequence\? Add --max-model-len/,
    ],
    [
      "a config without what is needed",
      () => [
        ...["--model-config", write("config.json", { architectures: ["Qwen3ForCausalLM"] })],
        ...["--max-model-len", "1"],
      ],
      /config\.json cannot be used:\n {2}hidden_size: /,
    ],
    [
      "a config that is no JSON",
      () => ["--model-config", STACK_FILE, "--max-model-len", "1"],
      /tp8-pp2\.yaml cannot be read: /,
    ],
    [
      "a layout that vLLM refuses",
      () => ["--file", STACK_FILE, "--tensor-parallel-size", "6"],
      /vLLM refuses this layout for Qwen3-235B-A22B:\n {2}tensorParallelSize: must divide the 64 /,
    ],
    [
      "a directory that is none",
      () => ["--weights-dir", join(dir, "none"), "--max-model-len", "1"],
      /none(\/config\.json cannot be read| is no directory of weights): /,
    ],
    [
      "a file that is cut short",
      () => {
        write("config.json", QWEN3_14B);
        write("a.safetensors", "short");
        return ["--weights-dir", dir, "--max-model-len", "1"];
      },
      /a\.safetensors is no file of safetensors, or was cut short/,
    ],
  ];
  for (const [title, args, says] of REFUSED) {
    it(`refuses ${title}, and says the way out`, () => {
      assert.throws(
        () => runFit(...args()),
        (error: unknown) => error instanceof UsageError && says.test(error.message),
      );
    });
  }
});

/** Runs the command in this process. */
function runFit(...args: readonly string[]): { exitCode: number; stdout: string } {
  const program = new Command().exitOverride();
  addFitCommand(program);
  const chunks: string[] = [];
  const write = process.stdout.write;
  const exitCode = process.exitCode;
  process.stdout.write = (chunk: string | Uint8Array) => {
    chunks.push(chunk.toString());
    return true;
  };
  try {
    program.parse(["fit", ...args], { from: "user" });
    return { exitCode: Number(process.exitCode ?? 0), stdout: chunks.join("") };
  } finally {
    process.stdout.write = write;
    process.exitCode = exitCode;
  }
}
