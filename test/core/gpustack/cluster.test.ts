import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { type GpustackInput, planGpustack } from "../../../core/gpustack/cluster.js";
import { renderGpustack } from "../../../core/gpustack/render.js";
import { optionsOf, splitWords } from "../../../core/gpustack/words.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../../core/spec/parse.js";
import { assertGolden } from "../../support/golden.js";

/**
 * The stack file of the document as deployments of GPUStack. Does not prove that GPUStack starts them; test/lab/gpustack.test.ts
 * starts their like.
 */

const { config } = parse(
  readFileSync(
    join(import.meta.dirname, "../../../stacks/Pulumi.qwen3.5-397b-w8a8-gpustack.yaml"),
    "utf8",
  ),
);

describe("a cluster through GPUStack", () => {
  it("is the two deployments of the document", () => {
    assertGolden("gpustack/qwen3.5-397b-w8a8.json", `${JSON.stringify(plan(), undefined, 2)}\n`);
  });

  it("has the flags of the document, and the direct form's, but for what GPUStack sets", () => {
    const recorded = JSON.parse(
      readFileSync(
        join(import.meta.dirname, "../../provider/recordings/model-create-secondary.json"),
        "utf8",
      ),
    ).request.body.backend_parameters as string[];
    const own = flagsOf(plan().group.members[1]!.backendParameters!);
    const document = flagsOf(recorded);
    const addresses = ["data-parallel-address"];
    for (const [flag, value] of Object.entries(document)) {
      if (!addresses.includes(flag)) assert.equal(number(own[flag]), number(value), flag);
    }
    const direct = planCluster(parseClusterSpec(config["vllm-ascend:cluster"]), {
      owner: "a/b/c",
      hasApiKey: false,
    }).nodes[1]!.releases.serve.command!;
    const { "served-model-name": _, ...wanted } = flagsOf(direct.slice(3), false);
    assert.deepEqual(own, wanted);
  });

  it("is what docs/gpustack-article.md says, line by line", () => {
    const root = join(import.meta.dirname, "../../..");
    const page = readFileSync(join(root, "docs/gpustack-article.md"), "utf8");
    const stack = readFileSync(join(root, "stacks/Pulumi.qwen3.5-397b-w8a8-gpustack.yaml"), "utf8");
    const forms = renderGpustack(plan(), new Set(["node0", "node1"]));
    const truth: Readonly<Record<string, string>> = { yaml: stack, text: forms };
    const blocks = [...page.matchAll(/^```(yaml|text)\n([^`]*)^```/gm)];
    assert.ok(blocks.length >= 8);
    for (const [, kind = "", block = ""] of blocks) {
      const lines = truth[kind]!.split("\n");
      // In the order of the truth: a block is an excerpt.
      let at = -1;
      for (const line of block.trimEnd().split("\n")) {
        const found = lines.indexOf(line, at + 1);
        assert.ok(found > at, `${kind}: ${line}`);
        at = found;
      }
    }
  });

  it("needs neither host keys nor an image digest", () => {
    const { imageName } = plan((cluster) => {
      for (const node of cluster.nodes) delete (node as { hostKey?: string }).hostKey;
      delete cluster.image.digest;
    }).version;
    assert.equal(imageName, "quay.io/ascend/vllm-ascend:v0.18.0rc1");
  });

  it("pins the digest of the image where there is one", () => {
    const { imageName } = plan((cluster) => {
      cluster.image.digest = `sha256:${"ab".repeat(32)}`;
    }).version;
    assert.equal(imageName, `quay.io/ascend/vllm-ascend:v0.18.0rc1@sha256:${"ab".repeat(32)}`);
  });

  for (const [what, change, options] of [
    ["of topology multiprocessing", multiprocessing, {}],
    ["by singleDeployment", () => undefined, { singleDeployment: true }],
  ] as const) {
    it(`is one deployment across the workers ${what}, without what differs per worker`, () => {
      const { members } = plan(change, options).group;
      assert.equal(members.length, 1);
      const { gpuIds, backendParameters = [], env = {} } = members[0]!;
      assert.equal(gpuIds.length, 16);
      const flags = flagsOf(backendParameters);
      assert.equal(flags["distributed-executor-backend"], "mp");
      for (const name of ["nnodes", "master-addr", "headless", "data-parallel-address"]) {
        assert.ok(!(name in flags), name);
      }
      assert.ok(!Object.keys(env).some((name) => /IF_IP|IFNAME|SKIP_GPU/.test(name)));
    });
  }

  const refused: [string, (cluster: ClusterSpecInput) => void, GpustackInput, RegExp][] = [
    [
      "Ray",
      (cluster) =>
        Object.assign(cluster, {
          topology: "ray",
          serve: {
            ...cluster.serve,
            dataParallelSize: 1,
            pipelineParallelSize: 2,
            apiServerCount: undefined,
          },
        }),
      {},
      /topology: "ray" is not deployed through GPUStack/,
    ],
    [
      "a worker of no node",
      () => undefined,
      { workers: { node7: "x" } },
      /gpustack\.workers\.node7: names no node; the nodes are node0, node1/,
    ],
    [
      "a version without -custom",
      () => undefined,
      { backendVersion: "0.18" },
      /version: must end in "-custom"/,
    ],
    [
      "a name that GPUStack does not take",
      (cluster) => Object.assign(cluster.serve, { servedModelName: "a/b" }),
      {},
      /members\.0\.name: must begin with a letter/,
    ],
    ["an unknown key", () => undefined, { worker: {} } as GpustackInput, /gpustack: .*worker/],
    [
      "a wrong field of the cluster",
      (cluster) => Object.assign(cluster.serve, { maxModelLen: -5 }),
      {},
      /serve\.maxModelLen/,
    ],
  ];
  for (const [what, change, options, message] of refused) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => plan(change, options), message);
    });
  }
});

function plan(
  change: (cluster: ClusterSpecInput) => void = () => undefined,
  options: GpustackInput = {},
) {
  const cluster = structuredClone(config["vllm-ascend:cluster"]) as ClusterSpecInput;
  change(cluster);
  return planGpustack(cluster, { ...config["vllm-ascend:gpustack"], ...options });
}

function multiprocessing(cluster: ClusterSpecInput): void {
  const { dataParallelSize, apiServerCount, ...serve } = cluster.serve;
  Object.assign(cluster, {
    topology: "multiprocessing",
    serve: { ...serve, pipelineParallelSize: 2 },
  });
}

function flagsOf(entries: readonly string[], isQuoted = true): Record<string, string | true> {
  const words = isQuoted ? entries.flatMap((entry) => splitWords(entry)!) : entries;
  return Object.fromEntries(optionsOf(words));
}

/** `0.90` and `0.9` are one value. */
function number(value: string | true | undefined) {
  if (typeof value !== "string") return value;
  if (value.startsWith("{")) return JSON.stringify(Object.entries(JSON.parse(value)).sort());
  return Number.isNaN(Number(value)) ? value : Number(value);
}
