import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { type AdoptFacts, type AdoptOptions, adoptGroup } from "../../../core/gpustack/adopt.js";
import type { BackendRow, DeviceRow, ModelRow, WorkerRow } from "../../../core/gpustack/api.js";
import { type GpustackInput, planGpustack } from "../../../core/gpustack/cluster.js";
import { groupHash, modelBody, versionConfigOf } from "../../../core/gpustack/deployment.js";
import { backendVersionInputs, deploymentGroupInputs } from "../../../core/gpustack/inputs.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { assertGolden } from "../../support/golden.js";

/**
 * Stack files of what a server holds: the document's pair as recorded from a real server, and whatever the plan itself makes.
 * Does not prove that an import through the engine is clean; test/lab/gpustack.test.ts does on a real server.
 */

const recorded = (name: string) =>
  JSON.parse(
    readFileSync(join(import.meta.dirname, `../../provider/recordings/${name}.json`), "utf8"),
  ).response.body;

const PRIMARY = "qwen3.5-397b-1";

describe("adopt", () => {
  it("writes the stack file of the document's pair as it was typed into GPUStack's form", () => {
    const { cluster, gpustack, imports, plan } = adoptGroup(PRIMARY, documentPair());
    assertGolden(
      "gpustack/adopted.yaml",
      stringify({ cluster, gpustack, imports }, { lineWidth: 0 }),
    );
    const rows = documentPair().models;
    assert.equal(groupHash(deploymentGroupInputs.parse(plan.group)), hashOf(rows, plan.group));
  });

  it("finds the members of the group by their rendezvous, and puts them in the order of their ranks", () => {
    const facts = documentPair();
    const { imports } = adoptGroup(PRIMARY, { ...facts, models: [...facts.models].reverse() });
    assert.equal(imports.resources[2]!.id, "qwen3.5-397b-1,qwen3.5-397b-2");
  });

  const spec = parse(
    readFileSync(
      join(import.meta.dirname, "../../../stacks/Pulumi.qwen3.5-397b-w8a8-gpustack.yaml"),
      "utf8",
    ),
  ).config;

  const forms: readonly [string, (cluster: ClusterSpecInput) => void, GpustackInput][] = [
    ["the pair of the stack file", () => undefined, {}],
    ["one deployment across workers", () => undefined, { singleDeployment: true }],
    [
      "one engine across workers",
      (cluster) => {
        Object.assign(cluster, { topology: "multiprocessing" });
        cluster.serve = { ...cluster.serve, pipelineParallelSize: 2, dataParallelSize: 1 };
        delete cluster.serve.apiServerCount;
      },
      {},
    ],
    [
      "one worker",
      (cluster) => {
        Object.assign(cluster, { topology: "multiprocessing", nodes: [cluster.nodes[0]] });
        cluster.serve = { ...cluster.serve, dataParallelSize: 1 };
        delete cluster.serve.apiServerCount;
      },
      { workers: { node0: "ascend-1" } },
    ],
    [
      "four NPUs of each worker, one node with a variable of its own",
      (cluster) => {
        cluster.serve.tensorParallelSize = 4;
        for (const node of cluster.nodes) node.visibleDevices = [4, 5, 6, 7];
        cluster.nodes[1]!.env = { HCCL_BUFFSIZE: "256" };
      },
      {},
    ],
    [
      "everything that can be set for GPUStack",
      () => undefined,
      {
        deployments: { node1: "peer" },
        replicas: 0,
        description: "ours",
        categories: ["llm", "reranker"],
        restartOnError: false,
        backendVersion: "mine-custom",
        runCommand: "{{model_path}} --port {{port}} --served-model-name {{model_name}}",
        leaveOut: { flags: ["gpu-memory-utilization"], env: ["HF_HUB_OFFLINE", "VLLM_HOST_IP"] },
      },
    ],
  ];
  for (const [what, change, options] of forms) {
    it(`gives back what the plan has made: ${what}`, () => {
      const cluster = structuredClone(spec["vllm-ascend:cluster"]) as ClusterSpecInput;
      change(cluster);
      const plan = planGpustack(cluster, { ...spec["vllm-ascend:gpustack"], ...options });
      const facts = factsOf(plan);
      const adopted = adoptGroup(plan.model, facts).plan;
      assert.equal(
        groupHash(deploymentGroupInputs.parse(adopted.group)),
        groupHash(deploymentGroupInputs.parse(plan.group)),
      );
      assert.deepEqual(
        backendVersionInputs.parse(adopted.version),
        backendVersionInputs.parse(plan.version),
      );
    });
  }

  it("writes no secret, and names the variables that have to be set", () => {
    const { secretEnv, gpustack, cluster, plan } = adoptGroup(
      PRIMARY,
      documentPair((row) => {
        Object.assign(row.env!, { HF_TOKEN: "hf_canary", HTTPS_PROXY: "http://me:canary@proxy" });
      }),
    );
    assert.deepEqual(secretEnv, ["HF_TOKEN", "HTTPS_PROXY"]);
    assert.deepEqual(gpustack.secretEnv, secretEnv);
    assert.doesNotMatch(JSON.stringify([cluster, gpustack, plan]), /canary/);
  });

  const refused: readonly [
    what: string,
    change: (row: ModelRow, index: number) => void,
    options: AdoptOptions,
    message: RegExp,
  ][] = [
    [
      "a pair without the variable that lets it start on GPUStack 2.2 and later",
      (row) => delete row.env!["GPUSTACK_SKIP_GPU_COUNT_CHECK"],
      {},
      /members\[0\]\.env\.GPUSTACK_SKIP_GPU_COUNT_CHECK|GPUSTACK_SKIP_GPU_COUNT_CHECK: is not set/,
    ],
    [
      "members that differ in a flag",
      (row, index) => {
        if (index === 1) row.backend_parameters!.push("--swap-space=8");
      },
      {},
      /qwen3\.5-397b-2 --swap-space: is "8", and a stack file would make it not set/,
    ],
    [
      "a flag that is given twice",
      (row) => row.backend_parameters!.push("--seed=1"),
      {},
      /qwen3\.5-397b-1\.backend_parameters: must be long flags, each once .*got --seed;/,
    ],
    ["a short flag", (row) => row.backend_parameters!.push("-O3"), {}, /got -O3;/],
    [
      "a token that is given twice, which is not shown",
      (row) => row.backend_parameters!.push("--hf-token=canary", "--hf-token=canary"),
      {},
      /^(?!.*canary).*got --hf-token;/s,
    ],
    [
      "a token among the flags, which is not shown",
      (row) => row.backend_parameters!.push("--hf-token=hf_canary"),
      {},
      /^(?!.*canary).*--hf-token is a secret/s,
    ],
    [
      "an interface that is not the worker's",
      (row, index) => {
        if (index === 0) row.env!["TP_SOCKET_IFNAME"] = "eth9";
      },
      {},
      /qwen3\.5-397b-1\.env\.TP_SOCKET_IFNAME: is "eth9"/,
    ],
    [
      "an address that is not the worker's",
      (row, index) => {
        if (index === 1) row.env!["HCCL_IF_IP"] = "10.9.9.9";
      },
      {},
      /qwen3\.5-397b-2\.env\.HCCL_IF_IP: is "10\.9\.9\.9", .*"127\.0\.0\.\d"/,
    ],
    [
      "a variable that the plan decides",
      (row) => Object.assign(row.env!, { VLLM_DP_RANK: "0" }),
      {},
      /env\.VLLM_DP_RANK: is decided by topology; remove it/,
    ],
    [
      "several replicas",
      (row) => Object.assign(row, { replicas: 2 }),
      {},
      /qwen3\.5-397b-1\.replicas: must be 0 or 1, got 2/,
    ],
    [
      "NPUs that GPUStack chooses",
      (row) => Object.assign(row, { gpu_selector: null }),
      {},
      /gpu_selector: NPUs are chosen by GPUStack; choose them by hand/,
    ],
    [
      "a setting that a stack file does not have",
      (row) => Object.assign(row, { extended_kv_cache: { enabled: true } }),
      {},
      /extended_kv_cache: is set, and a stack file has no place for it/,
    ],
    [
      "one of GPUStack's own versions",
      (row) => Object.assign(row, { backend_version: "0.30.0" }),
      {},
      /backend version: "0\.30\.0" is one of GPUStack's own/,
    ],
    [
      "a secret that differs between the members",
      (row, index) => Object.assign(row.env!, { HF_TOKEN: `canary${index}` }),
      {},
      /^(?!.*canary).*env\.HF_TOKEN: is a secret, and must be the same/s,
    ],
    [
      "a length that is left to the model",
      (row) => {
        row.backend_parameters = row.backend_parameters!.filter((e) => !/max-model-len/.test(e));
      },
      {},
      /serve\.maxModelLen: .*add --max-model-len/,
    ],
  ];
  for (const [what, change, options, message] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(() => adoptGroup(PRIMARY, documentPair(change), options), message);
    });
  }

  it("takes a length that is left to the model from the operator, and leaves the flag out", () => {
    const facts = documentPair((row) => {
      row.backend_parameters = row.backend_parameters!.filter((e) => !/max-model-len/.test(e));
    });
    const { cluster, gpustack } = adoptGroup(PRIMARY, facts, { maxModelLen: 262_144 });
    assert.equal(cluster.serve.maxModelLen, 262_144);
    assert.ok(gpustack.leaveOut?.flags?.includes("max-model-len"));
  });

  it("refuses a headless member and names its head, and a name that is not there", () => {
    assert.throws(
      () => adoptGroup("qwen3.5-397b-2", documentPair()),
      /name the head .*qwen3\.5-397b-1/,
    );
    assert.throws(() => adoptGroup("x", documentPair()), /no deployment x; GPUStack has qwen3\.5/);
  });
});

/** As recorded, with the variable without which GPUStack 2.3 starts neither. */
function documentPair(
  change: (row: ModelRow, index: number) => void = () => undefined,
): AdoptFacts {
  const models = ["model-create-primary", "model-create-secondary"].map(
    (name): ModelRow => structuredClone(recorded(name)),
  );
  models.forEach((row, index) => {
    Object.assign(row, { replicas: 1 });
    row.env!["GPUSTACK_SKIP_GPU_COUNT_CHECK"] = "1";
    change(row, index);
  });
  return {
    models,
    workers: recorded("workers-list").items,
    devices: recorded("gpu-devices-list").items,
    backend: recorded("backend-put"),
  };
}

function hashOf(rows: readonly ModelRow[], like: object): string {
  const wanted = deploymentGroupInputs.parse(like);
  return groupHash({
    ...wanted,
    members: rows.map((row) => ({
      name: row.name,
      gpuIds: row.gpu_selector!.gpu_ids!,
      backendParameters: row.backend_parameters!,
      env: row.env!,
    })),
  });
}

/** A server on which a plan was applied. */
function factsOf(plan: ReturnType<typeof planGpustack>): AdoptFacts {
  const group = deploymentGroupInputs.parse(plan.group);
  const version = backendVersionInputs.parse(plan.version);
  const workers = plan.nodes.map(
    ({ worker, address }, index): WorkerRow => ({
      id: index + 1,
      name: worker,
      ip: address,
      ifname: "enp67s0f0",
      state: "ready",
      cluster_id: 1,
    }),
  );
  return {
    models: group.members.map(
      (member, index) =>
        ({
          ...modelBody(group, member, { clusterId: 1, replicas: group.replicas }),
          id: index + 1,
        }) as unknown as ModelRow,
    ),
    workers,
    devices: workers.flatMap(({ name }) =>
      Array.from(
        { length: 8 },
        (_, index): DeviceRow => ({
          id: `${name}:cann:${index}`,
          type: "cann",
          index,
          name: "910B3",
          worker_name: name,
          memory: { total: 64 * 2 ** 30 },
        }),
      ),
    ),
    backend: {
      id: 1,
      backend_name: "vLLM",
      version_configs: { [version.version]: versionConfigOf(version) },
    } as BackendRow,
  };
}
