// Laws and goldens of the plan. Does not prove that the planned commands work: that is the lab's job.
import assert from "node:assert/strict";
import fc from "fast-check";
import type { ClusterPlan, NodePlan } from "../../../core/plan/cluster-plan.js";
import { gatePlan } from "../../../core/plan/gate-plan.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { renderBootUnit } from "../../../core/render/boot-unit.js";
import { stableJson } from "../../../core/render/stable-json.js";
import { renderStageScript } from "../../../core/render/stage-script.js";
import {
  type ClusterSpecInput,
  TOPOLOGIES,
  type Topology,
} from "../../../core/spec/cluster-spec.js";
import { assertGolden } from "../../support/golden.js";
import { aClusterSpec, FAKE_SCRIPTS, PLAN_OPTIONS } from "../../support/specs.js";

const plan = (
  change?: (raw: ClusterSpecInput) => void,
  nodes = 2,
  topology: Topology = "ray",
): ClusterPlan => planCluster(aClusterSpec(change, { nodes, topology }), PLAN_OPTIONS);

/** `--flag=value` of a node's `vllm serve` as a record; `true` is a bare flag. */
function serveFlags(node: NodePlan): Record<string, string | true> {
  const { command } = node.releases.serve;
  assert.ok(command, `${node.name} runs no serve`);
  return Object.fromEntries(
    command.slice(3).map((word) => {
      const [, flag, value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
      return [flag!, value ?? true];
    }),
  );
}

describe("planCluster", () => {
  it("gives the same bytes for the same spec", () => {
    assert.equal(stableJson(plan()), stableJson(plan()));
  });

  it("does not depend on the order of keys: Pulumi sorts them, a stack file has its own", () => {
    const flags = { "async-scheduling": true, "additional-config": { b: 1, a: 2 } };
    const sorted = { "additional-config": { a: 2, b: 1 }, "async-scheduling": true };
    const [own, pulumis] = [flags, sorted].map((extraArgs) =>
      plan((raw) => {
        raw.serve.extraArgs = extraArgs;
        raw.env = extraArgs === flags ? { B: "1", A: "2" } : { A: "2", B: "1" };
      }),
    );
    assert.equal(stableJson(own), stableJson(pulumis));
  });

  const noPipeline = (raw: ClusterSpecInput) => {
    raw.serve.tensorParallelSize = 16;
    delete raw.serve.pipelineParallelSize;
  };
  const shapes: [name: string, topology: Topology, change: (raw: ClusterSpecInput) => void][] = [
    ["ray-tp8-pp2", "ray", () => undefined],
    ["ray-tp16", "ray", noPipeline],
    [
      "dp2-tp8",
      "data-parallel",
      (raw) => {
        raw.serve.apiServerCount = 2;
      },
    ],
    ["mp-tp8-pp2", "multiprocessing", () => undefined],
    ["mp-tp16", "multiprocessing", noPipeline],
  ];
  for (const [name, topology, change] of shapes) {
    it(`plans what the golden files of ${name} show`, () => {
      const planned = plan(change, 2, topology);
      if (planned.ray !== null) {
        assertGolden(`plan/${name}/ray.manifest.json`, `${stableJson(planned.ray.manifest, 2)}\n`);
      }
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

  for (const topology of TOPOLOGIES) {
    for (const count of [1, 2, 4, 8]) {
      it(`gives each of ${count} nodes under ${topology} its own address, NPUs and ports`, () => {
        const planned = plan(undefined, count, topology);
        assert.equal(planned.nodes.length, count);
        assert.equal(planned.ray === null, topology !== "ray");
        assert.equal(planned.serve.manifest["ray"], planned.ray?.release ?? null);
        for (const [index, node] of planned.nodes.entries()) {
          const { ray, serve } = node.releases;
          assert.equal(node.role, index === 0 ? "head" : "worker");
          assert.equal(ray === null, topology !== "ray");
          assert.equal(serve.ray, planned.ray?.release ?? null);
          assert.equal(serve.command === null, topology === "ray" && index > 0);
          assert.equal(serve.readiness === undefined, index > 0);
          assert.equal(node.env["HCCL_IF_IP"], node.connection.address);
          assert.equal(node.env["VLLM_HOST_IP"], node.connection.address);
          assert.deepEqual(serve.env, node.env);
          assert.equal(node.env["ASCEND_RT_VISIBLE_DEVICES"]?.split(",").length, node.ranks.length);
          const headOnly = ["serve.", "supervisor."];
          assert.equal(
            node.ports.some(({ path }) => headOnly.some((prefix) => path.startsWith(prefix))),
            index === 0,
          );
          assert.deepEqual(Object.keys(serve.secretEnv), index === 0 ? ["VLLM_API_KEY"] : []);
        }
      });
    }
  }

  for (const count of [1, 2, 4, 8]) {
    it(`starts the engines of ${count} nodes with data parallelism in one row, behind the head alone`, () => {
      const planned = plan(
        (raw) => {
          raw.serve.apiServerCount = 3;
        },
        count,
        "data-parallel",
      );
      const engines = Math.max(2, count);
      let start = 0;
      for (const [index, node] of planned.nodes.entries()) {
        const flags = serveFlags(node);
        const isHead = index === 0;
        assert.equal(flags["data-parallel-size"], String(engines));
        assert.equal(flags["data-parallel-address"], planned.nodes[0]!.connection.address);
        assert.equal(flags["data-parallel-rpc-port"], "13389");
        assert.equal(flags["api-server-count"], isHead ? "3" : undefined);
        assert.equal(flags["host"], isHead ? node.connection.address : undefined);
        assert.equal(flags["headless"], isHead ? undefined : true);
        assert.equal(flags["data-parallel-start-rank"], isHead ? undefined : String(start));
        assert.equal(node.env["VLLM_ENGINE_READY_TIMEOUT_S"], "3600");
        start += Number(flags["data-parallel-size-local"]);
      }
      assert.equal(start, engines);
      assert.equal(planned.nodes[0]!.releases.serve.readiness?.engines, engines);
      assert.deepEqual(planned.nodes[0]!.releases.serve.ports, [8000, 13389]);
    });

    it(`numbers ${count} nodes under multiprocessing, with rank 0 on the head`, () => {
      const planned = plan(undefined, count, "multiprocessing");
      for (const [index, node] of planned.nodes.entries()) {
        const flags = serveFlags(node);
        const several = (value: string) => (count === 1 ? undefined : value);
        assert.equal(flags["distributed-executor-backend"], "mp");
        assert.equal(flags["nnodes"], several(String(count)));
        assert.equal(flags["node-rank"], several(String(index)));
        assert.equal(flags["master-addr"], several(planned.nodes[0]!.connection.address));
        assert.equal(flags["master-port"], several("29501"));
        assert.equal(flags["headless"], index === 0 ? undefined : true);
        assert.equal(flags["host"], index === 0 ? node.connection.address : undefined);
      }
      assert.deepEqual(
        planned.nodes[0]!.releases.serve.ports,
        count === 1 ? [8000] : [8000, 29501],
      );
    });
  }

  it("gives all nodes the same flags but those that tell them apart", () => {
    const own = {
      "data-parallel": ["host", "port", "headless", "api-server-count", "data-parallel-start-rank"],
      multiprocessing: ["host", "port", "headless", "node-rank"],
    };
    for (const [topology, names] of Object.entries(own)) {
      const [head, ...members] = plan(undefined, 4, topology as Topology).nodes.map((node) => {
        const flags = serveFlags(node);
        for (const name of names) delete flags[name];
        return flags;
      });
      for (const member of members) assert.deepEqual(member, head);
    }
  });

  it("counts the engines of nodes with different numbers of NPUs", () => {
    const planned = plan(
      (raw) => {
        raw.nodes[1]!.visibleDevices = [0, 1, 2, 3];
        raw.serve.tensorParallelSize = 4;
        raw.serve.dataParallelSize = 5;
      },
      3,
      "data-parallel",
    );
    assert.deepEqual(
      planned.nodes.map((node) => {
        const flags = serveFlags(node);
        return [flags["data-parallel-size-local"], flags["data-parallel-start-rank"]];
      }),
      [
        ["2", undefined],
        ["1", "2"],
        ["2", "3"],
      ],
    );
  });

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
      const { ray } = node.releases;
      assert.ok(ray);
      const { env, command } = ray;
      assert.equal(env["HCCL_IF_IP"], node.connection.address);
      assert.equal(env["VLLM_HOST_IP"], node.connection.address);
      assert.ok(command?.includes(`--node-ip-address=${node.connection.address}`));
    }
  });

  it("starts Ray, and all that talk to it, with the group's token from Ray 2.52 on", () => {
    const variables = (rayVersion?: string) => {
      const { nodes } = plan((raw) => {
        raw.image.rayVersion = rayVersion;
      }, 2);
      return nodes.map(({ env, releases }) => {
        assert.deepEqual(releases.ray?.env, env);
        return [env["RAY_AUTH_MODE"], env["RAY_AUTH_TOKEN_PATH"]];
      });
    };
    const token = ["token", "/vllm-cluster/in/secrets/group-token"];
    assert.deepEqual(variables("2.52.0"), [token, token]);
    assert.deepEqual(variables("2.51.0"), [
      [undefined, undefined],
      [undefined, undefined],
    ]);
    assert.deepEqual(variables(), variables("2.51.0"));
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
      { runtime: false, ray: false, serve: true, gate: true },
    ],
    [
      "an environment variable",
      (raw) => {
        raw.env = { HCCL_BUFFSIZE: "512" };
      },
      { runtime: false, ray: true, serve: true, gate: true },
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
          ray: before.ray?.release !== after.ray?.release,
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
    assert.notEqual(after.ray?.release, before.ray?.release);
  });

  it("puts hostile values into a release byte for byte", () => {
    const hostile = "a'b\"c$(id)`id`\n-x \\ ünï \u2028";
    const planned = plan((raw) => {
      raw.env = { HOSTILE: hostile };
      raw.serve.extraArgs = { "chat-template": hostile };
    });
    assert.equal(planned.nodes[0]!.releases.ray?.env["HOSTILE"], hostile);
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
});
