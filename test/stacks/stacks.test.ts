// Every committed stack file is a valid one, and the example shows every key. Does not prove that the values fit any real
// cluster.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { planGpustack } from "../../core/gpustack/cluster.js";
import { type ClusterSpecInput, clusterSpecSchema } from "../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../core/spec/parse.js";
import { repoDir } from "../../tools/setup/paths.mjs";

const stacksDir = join(repoDir, "stacks");

function clusterOf(file: string): unknown {
  return configOf(file)["vllm-ascend:cluster"];
}

function configOf(file: string) {
  return parse(readFileSync(join(stacksDir, file), "utf8")).config;
}

describe("stacks/", () => {
  for (const file of readdirSync(stacksDir).filter((name) => name.endsWith(".yaml"))) {
    it(`${file} parses without an issue`, () => {
      assert.doesNotThrow(() => parseClusterSpec(clusterOf(file)));
      const gpustack = configOf(file)["vllm-ascend:gpustack"];
      if (gpustack !== undefined) planGpustack(clusterOf(file) as ClusterSpecInput, gpustack);
    });
  }

  it("the example shows every key of the schema", () => {
    const shown = new Set(keyPaths(clusterOf("Pulumi.example.yaml")));
    const text = readFileSync(join(stacksDir, "Pulumi.example.yaml"), "utf8");
    // Keys that exclude what the example shows stand there as comments.
    const isComment = (path: string) =>
      new RegExp(`^ +# ${path.split(".").at(-1)}: `, "m").test(text);
    const missing = fields(z.toJSONSchema(clusterSpecSchema, { io: "input" }) as SchemaNode)
      .map(([path]) => path)
      .filter((path) => !shown.has(path) && !isComment(path));
    assert.deepEqual(missing, []);
  });

  it("the schema says of every key what it is for", () => {
    const silent = fields(z.toJSONSchema(clusterSpecSchema, { io: "input" }) as SchemaNode)
      .filter(([, { description }]) => description === undefined)
      .map(([path]) => path);
    assert.deepEqual(silent, []);
  });

  it("contains no secret in clear", () => {
    for (const file of readdirSync(stacksDir)) {
      assert.doesNotMatch(
        readFileSync(join(stacksDir, file), "utf8"),
        /^\s+vllm-ascend:apiKey: \S/m,
      );
    }
  });
});

function keyPaths(value: unknown, prefix = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => keyPaths(item, `${prefix}[]`));
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    return [path, ...keyPaths(inner, path)];
  });
}

interface SchemaNode {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
}

/** Every key below a schema, with its own schema. */
function fields(schema: SchemaNode, prefix = ""): [path: string, field: SchemaNode][] {
  const below = Object.entries(schema.properties ?? {}).flatMap(
    ([key, inner]): [string, SchemaNode][] => {
      const path = prefix === "" ? key : `${prefix}.${key}`;
      return [[path, inner], ...fields(inner, path)];
    },
  );
  return schema.items === undefined ? below : [...below, ...fields(schema.items, `${prefix}[]`)];
}
