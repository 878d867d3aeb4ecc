// Editing a stack file as a person would; that Pulumi reads the result: test/lab/rollback.test.ts.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { withConfig } from "../../cli/stack-file.js";

const STACKS = join(dirname(fileURLToPath(import.meta.url)), "../../stacks");
const TEXT = `# Who to call: the platform team.
encryptionsalt: v1:abc=
config:
  vllm-ascend:apiKey:
    secure: v1:xyz
  vllm-ascend:cluster:
    name: qwen
    # the rack next to the door
    nodes:
      - name: node0
        address: 10.0.0.1
    serve:
      maxNumSeqs: 32 # measured in May
      seed: 1024
    env:
      HCCL_BUFFSIZE: "512"
`;

interface Raw {
  serve: Record<string, unknown>;
  nodes: object[];
  env?: object;
}

describe("withConfig", () => {
  const cluster = (change: (raw: Raw) => void) => {
    const raw = parse(TEXT).config["vllm-ascend:cluster"];
    change(raw);
    return { "vllm-ascend:cluster": raw };
  };

  it("changes the lines that differ, and keeps comments and everything else", () => {
    const text = withConfig(TEXT, {
      ...cluster((raw) => {
        raw.serve["maxNumSeqs"] = 16;
        delete raw.env;
      }),
      "vllm-ascend:allowDowntimeFor": "1234567812345678",
    });
    assert.equal(
      text,
      `${TEXT.replace("maxNumSeqs: 32", "maxNumSeqs: 16").replace('    env:\n      HCCL_BUFFSIZE: "512"\n', "")}  vllm-ascend:allowDowntimeFor: "1234567812345678"\n`,
    );
  });

  it("adds and removes nodes", () => {
    const two = cluster((raw) => raw.nodes.push({ name: "node1", address: "10.0.0.2" }));
    const text = withConfig(TEXT, two);
    assert.deepEqual(parse(text).config["vllm-ascend:cluster"], two["vllm-ascend:cluster"]);
    assert.match(text, /seed: 1024/);
  });

  it("leaves a file alone when nothing differs", () => {
    assert.equal(
      withConfig(
        TEXT,
        cluster(() => undefined),
      ),
      TEXT,
    );
  });

  for (const file of readdirSync(STACKS).filter((name) => /^Pulumi\..*\.yaml$/.test(name))) {
    it(`keeps every line of ${file} but the one that changes`, () => {
      const text = readFileSync(join(STACKS, file), "utf8");
      const raw = parse(text).config["vllm-ascend:cluster"];
      raw.name = "another";
      const lines = withConfig(text, { "vllm-ascend:cluster": raw }).split("\n");
      const differing = text.split("\n").filter((line, index) => line !== lines[index]);
      assert.equal(differing.length, 1, differing.join("\n"));
    });
  }
});
