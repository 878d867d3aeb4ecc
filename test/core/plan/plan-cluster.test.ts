// Laws and goldens of the plan. Does not prove that the planned commands work: that is the lab's job.
import assert from "node:assert/strict";
import fc from "fast-check";
import type { ClusterPlan } from "../../../core/plan/cluster-plan.js";
import { gatePlan } from "../../../core/plan/gate-plan.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { renderBootUnit } from "../../../core/render/boot-unit.js";
import { stableJson } from "../../../core/render/stable-json.js";
import { renderStageScript } from "../../../core/render/stage-script.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { assertGolden } from "../../support/golden.js";
import { aClusterSpec, FAKE_SCRIPTS, PLAN_OPTIONS, rawCluster } from "../../support/specs.js";

const plan = (change?: (raw: ClusterSpecInput) => void, nodes = 2): ClusterPlan =>
  planCluster(aClusterSpec(change, { nodes }), PLAN_OPTIONS);

describe("planCluster", () => {
  it("gives the same bytes for the same spec", () => {
    assert.equal(stableJson(plan()), stableJson(plan()));
  });

  const shapes: [name: string, change: (raw: ClusterSpecInput) => void][] = [
    ["ray-tp8-pp2", () => undefined],
    [
      "ray-tp16",
      (raw) => {
        raw.serve.tensorParallelSize = 16;
        delete raw.serve.pipelineParallelSize;
      },
    ],
  ];
  for (const [name, change] of shapes) {
    it(`plans what the golden files of ${name} show`, () => {
      const planned = plan(change);
      assertGolden(`plan/${name}/ray.manifest.json`, `${stableJson(planned.ray.manifest, 2)}\n`);
      assertGolden(
        `plan/${name}/serve.manifest.json`,
        `${stableJson(planned.serve.manifest, 2)}\n`,
      );
      assertGolden(`plan/${name}/gate.json`, `${stableJson(gatePlan(planned), 2)}\n`);
      for (const node of planned.nodes) {
        const golden = (file: string, text: string) =>
          assertGolden(`plan/${name}/${node.name}.${file}`, text);
        golden("container.json", `${stableJson(node.container, 2)}\n`);
        golden("stage.sh", renderStageScript(planned, node, FAKE_SCRIPTS));
        golden("boot.service", renderBootUnit(planned, node));
      }
    });
  }

  it("covers ranks 0 to size-1 once, whatever NPUs the nodes give", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 }), (nodes, npus) => {
        const planned = plan((raw) => {
          for (const node of raw.nodes) {
            node.visibleDevices = Array.from({ length: npus }, (_, id) => id);
          }
          raw.serve.tensorParallelSize = npus;
        }, nodes);
        const ranks = planned.nodes.flatMap((node) => node.ranks);
        assert.deepEqual(
          ranks,
          Array.from({ length: nodes * npus }, (_, rank) => rank),
        );
        assert.equal(planned.nodes.filter((node) => node.role === "head").length, 1);
        for (const node of planned.nodes) assert.equal(node.ranks.length, npus);
      }),
      { numRuns: 100 },
    );
  });

  it("gives every node its own address in every address variable", () => {
    for (const node of plan(undefined, 8).nodes) {
      const { env } = node.releases.ray;
      assert.equal(env["HCCL_IF_IP"], node.connection.address);
      assert.equal(env["VLLM_HOST_IP"], node.connection.address);
      assert.ok(
        node.releases.ray.command?.includes(`--node-ip-address=${node.connection.address}`),
      );
    }
  });

  it("lets the environment of a node win over the cluster's", () => {
    const planned = plan((raw) => {
      raw.env = { HCCL_BUFFSIZE: "1024" };
      raw.nodes[1]!.env = { HCCL_BUFFSIZE: "512" };
    });
    assert.deepEqual(
      planned.nodes.map((node) => node.env["HCCL_BUFFSIZE"]),
      ["1024", "512"],
    );
  });

  // What a change restarts is decided by which identities it changes; the engine tests show the same in a preview.
  const effects: [
    name: string,
    change: (raw: ClusterSpecInput) => void,
    changed: { runtime: boolean; ray: boolean; serve: boolean; gate: boolean },
  ][] = [
    [
      "a flag of serve",
      (raw) => {
        raw.serve.maxNumSeqs = 26;
      },
      { runtime: false, ray: false, serve: true, gate: false },
    ],
    [
      "an environment variable",
      (raw) => {
        raw.env = { HCCL_BUFFSIZE: "512" };
      },
      { runtime: false, ray: true, serve: true, gate: false },
    ],
    [
      "the image",
      (raw) => {
        raw.image.digest = `sha256:${"cd".repeat(32)}`;
      },
      { runtime: true, ray: true, serve: true, gate: true },
    ],
    [
      "the tag only, with the same digest (the gate looks at it again, nothing restarts)",
      (raw) => {
        raw.image.reference = "quay.io/ascend/vllm-ascend:v0.23.0-openeuler";
      },
      { runtime: false, ray: false, serve: false, gate: true },
    ],
    ["nothing", () => undefined, { runtime: false, ray: false, serve: false, gate: false }],
  ];
  for (const [name, change, expected] of effects) {
    it(`changes exactly the identities that read ${name}`, () => {
      const [before, after] = [plan(), plan(change)];
      assert.deepEqual(
        {
          runtime: before.nodes[0]!.runtime !== after.nodes[0]!.runtime,
          ray: before.ray.release !== after.ray.release,
          serve: before.serve.release !== after.serve.release,
          gate: stableJson(gatePlan(before)) !== stableJson(gatePlan(after)),
        },
        expected,
      );
    });
  }

  it("keeps the containers of the other nodes when one is added", () => {
    const before = plan(undefined, 2);
    const after = plan(undefined, 3);
    assert.deepEqual(
      after.nodes.slice(0, 2).map((node) => node.runtime),
      before.nodes.map((node) => node.runtime),
    );
    assert.notEqual(after.ray.release, before.ray.release);
  });

  it("puts hostile values into a release byte for byte", () => {
    const hostile = "a'b\"c$(id)`id`\n-x \\ ünï \u2028";
    const planned = plan((raw) => {
      raw.env = { HOSTILE: hostile };
      raw.serve.extraArgs = { "chat-template": hostile };
    });
    assert.equal(planned.nodes[0]!.releases.ray.env["HOSTILE"], hostile);
    assert.ok(planned.nodes[0]!.releases.serve.command?.includes(`--chat-template=${hostile}`));
  });

  it("tells a reader how to ask the model, with the key only where there is one", () => {
    const { curl } = plan().endpoint;
    assert.match(curl, /\$VLLM_API_KEY/);
    assert.doesNotMatch(
      planCluster(aClusterSpec(), { ...PLAN_OPTIONS, hasApiKey: false }).endpoint.curl,
      /Authorization/,
    );
  });

  it("names every resource of a two-node cluster as the golden list says", () => {
    const { names, nodes } = plan();
    const all = [...Object.values(names), ...nodes.flatMap((node) => Object.values(node.names))];
    assertGolden("plan/names.txt", `${all.join("\n")}\n`);
    assert.equal(new Set(all).size, all.length, "two resources share a name");
  });

  it("plans a cluster of one node", () => {
    assert.equal(planCluster(aClusterSpec(undefined, { nodes: 1 }), PLAN_OPTIONS).nodes.length, 1);
    assert.equal(rawCluster({ nodes: 1 }).nodes.length, 1);
  });
});
