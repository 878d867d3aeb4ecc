// What a change of each field restarts, by the identities in the plan. Does not prove that the hosts do exactly that:
// test/lab/lifecycle.test.ts does for one field of each kind, by process identities.
import assert from "node:assert/strict";
import { z } from "zod";
import {
  IDENTITY_FIELDS,
  RESTART_TABLE,
  restartBetween,
  restartRow,
} from "../../../core/changes/restart.js";
import type { ClusterPlan } from "../../../core/plan/cluster-plan.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import {
  type ClusterSpecInput,
  clusterSpecSchema,
  type Topology,
} from "../../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../../core/spec/parse.js";
import { ClusterSpecError } from "../../../core/spec/spec-issue.js";
import { HOST_KEY, PLAN_OPTIONS, rawCluster } from "../../support/specs.js";

/** Another valid value of every field; dotted paths below the cluster, `*` = the second node. */
const OTHER_VALUES: Readonly<Record<string, unknown>> = {
  "ssh.user": "ops",
  "ssh.port": 2222,
  "ssh.become": "sudo",
  "ssh.bastion.address": "192.0.2.1",
  "ssh.bastion.user": "jump",
  "ssh.bastion.port": 2222,
  "ssh.bastion.hostKey": `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"B".repeat(43)}`,
  "nodes.*.address": "10.9.9.9",
  "nodes.*.hostKey": HOST_KEY.replace("IA", "IB"),
  "nodes.*.socketInterface": "eth1",
  "nodes.*.visibleDevices": [7, 6, 5, 4, 3, 2, 1, 0],
  "nodes.*.npuMemoryGib": 32,
  "nodes.*.env": { HCCL_BUFFSIZE: "512" },
  socketInterface: "eth1",
  "image.reference": "quay.io/ascend/vllm-ascend:v0.23.0-again",
  "image.digest": `sha256:${"cd".repeat(32)}`,
  "image.id": `sha256:${"cd".repeat(32)}`,
  "image.source": "present",
  "image.archive": "/data/other.tar",
  "image.vllmVersion": "0.18.0",
  "image.rayVersion": "2.52.0",
  "model.path": "/data/models/other",
  "model.source": "modelscope",
  "model.repository": "acme/other",
  "model.revision": "cd".repeat(20),
  "model.endpoint": "http://10.0.0.9:8000",
  "ray.port": 7001,
  "ray.nodeManagerPort": 7002,
  "ray.objectManagerPort": 7003,
  "ray.runtimeEnvAgentPort": 7004,
  "ray.dashboardAgentGrpcPort": 7005,
  "ray.dashboardAgentListenPort": 7006,
  "ray.metricsExportPort": 7007,
  "ray.minWorkerPort": 10_003,
  "ray.maxWorkerPort": 10_998,
  "ray.objectStoreMemoryGib": 9,
  "ray.numCpus": 9,
  "serve.servedModelName": "other",
  "serve.port": 8001,
  "serve.tensorParallelSize": 4,
  "serve.pipelineParallelSize": 4,
  "serve.dataParallelSize": 4,
  "serve.dataParallelRpcPort": 13_390,
  "serve.apiServerCount": 2,
  "serve.masterPort": 29_502,
  "serve.enableExpertParallel": false,
  "serve.maxModelLen": 4096,
  "serve.maxNumSeqs": 26,
  "serve.maxNumBatchedTokens": 4096,
  "serve.gpuMemoryUtilization": 0.8,
  "serve.seed": 7,
  "serve.quantization": "ascend",
  "serve.trustRemoteCode": false,
  "serve.extraArgs": { "max-log-len": 1 },
  env: { HCCL_BUFFSIZE: "512" },
  "acceptMemoryFit.reason": "tried it",
  preflight: {
    accept: [{ code: "NPU_LLDP", reason: "no LLDP on this switch", until: "2099-01-01" }],
  },
  lint: { accept: [{ code: "RAY_PP_EP", reason: "tried it" }] },
  hostPaths: { dcmi: "/opt/dcmi" },
  "container.shmSizeGib": 17,
  "container.nofile": 4096,
  "container.mounts": [{ source: "/a", target: "/b" }],
  "timeouts.rayStartSec": 7,
  "timeouts.smokeSec": 70,
  "timeouts.modelSec": 700,
  "timeouts.serveStartSec": 7,
  "timeouts.stopSec": 7,
  "timeouts.completionSec": 7,
  "supervisor.port": 26_381,
  "supervisor.maxFailures": 7,
  "supervisor.backoffSec": 7,
  "supervisor.backoffMaxSec": 70,
};

const fromArchive = (raw: ClusterSpecInput): void => {
  raw.image = {
    reference: raw.image.reference,
    source: "archive",
    id: `sha256:${"ab".repeat(32)}`,
    archive: "/data/image.tar",
  };
};
const fromHub = (raw: ClusterSpecInput): void => {
  raw.model = {
    ...raw.model,
    source: "huggingface",
    repository: "acme/model",
    revision: "ab".repeat(20),
  };
};
const throughBastion = (raw: ClusterSpecInput): void => {
  raw.ssh = { ...raw.ssh, bastion: { address: "192.0.2.9", hostKey: HOST_KEY } };
};

/** Fields that only some clusters have: what the cluster is like before the change. */
const BEFORE: Readonly<Record<string, (raw: ClusterSpecInput) => void>> = {
  "ssh.bastion.address": throughBastion,
  "ssh.bastion.user": throughBastion,
  "ssh.bastion.port": throughBastion,
  "ssh.bastion.hostKey": throughBastion,
  "image.source": fromArchive,
  "image.archive": fromArchive,
  "model.source": fromHub,
  "model.repository": fromHub,
  "model.revision": fromHub,
  "model.endpoint": fromHub,
};

/** What else must change for the cluster to stay valid. */
const TOGETHER: Readonly<Record<string, (raw: ClusterSpecInput) => void>> = {
  "ssh.user": (raw) => {
    raw.ssh = { ...raw.ssh, become: "sudo" };
  },
  "image.source": (raw) => {
    delete raw.image.archive;
  },
  "image.id": (raw) => {
    delete raw.image.digest;
  },
  "nodes.*.visibleDevices": (raw) => {
    for (const node of raw.nodes) node.visibleDevices = [7, 6, 5, 4, 3, 2, 1, 0];
  },
  "serve.tensorParallelSize": (raw) => {
    const { pipelineParallelSize = 1, dataParallelSize } = raw.serve;
    if (dataParallelSize === undefined) raw.serve.pipelineParallelSize = pipelineParallelSize * 2;
    else raw.serve.dataParallelSize = dataParallelSize * 2;
  },
  "serve.pipelineParallelSize": (raw) => {
    raw.serve.tensorParallelSize = raw.serve.dataParallelSize === undefined ? 4 : 2;
  },
  "serve.dataParallelSize": (raw) => {
    raw.serve.tensorParallelSize = 4;
  },
};

const WITHOUT_RAY: readonly Topology[] = ["multiprocessing", "data-parallel"];

describe("what a change restarts", () => {
  it("is said for every field of the schema", () => {
    const fields = schemaFields().filter((field) => !IDENTITY_FIELDS.includes(field));
    const unsaid = fields.filter((field) => restartRow(field) === undefined);
    assert.deepEqual(unsaid, [], "add rows to RESTART_TABLE");
    const untested = fields.filter((field) => valuePath(field) === undefined);
    assert.deepEqual(untested, [], "add other values to this test");
    const idle = RESTART_TABLE.filter((row) => !fields.some((field) => restartRow(field) === row));
    assert.deepEqual(idle, [], "rows without a field");
  });

  for (const field of Object.keys(OTHER_VALUES)) {
    it(`is what the table says for ${field}`, () => {
      const row = restartRow(field);
      assert.ok(row !== undefined);
      const withRay = restarted("ray", field);
      const without = WITHOUT_RAY.map((topology) => restarted(topology, field)).filter(
        (restart) => restart !== undefined,
      );
      assert.ok(withRay !== undefined || without.length > 0, "valid in no topology");
      if (withRay !== undefined) assert.equal(withRay, row.restart);
      if (without.length > 0) assert.equal(without[0], row.withoutRay ?? row.restart);
    });
  }

  it("is everything, when the head moves to another address", () => {
    const before = plan("ray", () => undefined);
    const after = plan("ray", (raw) => {
      raw.nodes[0]!.address = "10.9.9.9";
    });
    assert.equal(restartBetween(before!, after!), "containers");
  });

  it("is everything, when a node comes or goes", () => {
    const two = planCluster(parseClusterSpec(rawCluster({ nodes: 2 })), PLAN_OPTIONS);
    const four = planCluster(parseClusterSpec(rawCluster({ nodes: 4 })), PLAN_OPTIONS);
    assert.equal(restartBetween(two, four), "containers");
    assert.equal(restartBetween(four, two), "containers");
  });
});

/** `undefined` where the topology does not have the field. */
function restarted(topology: Topology, field: string) {
  const base = BEFORE[field] ?? (() => undefined);
  const before = plan(topology, base);
  const after = plan(topology, (raw) => {
    base(raw);
    setField(raw, field, OTHER_VALUES[field]);
    TOGETHER[field]?.(raw);
  });
  return before === undefined || after === undefined ? undefined : restartBetween(before, after);
}

function plan(topology: Topology, edit: (raw: ClusterSpecInput) => void): ClusterPlan | undefined {
  const raw = rawCluster({ topology });
  edit(raw);
  try {
    return planCluster(parseClusterSpec(raw), PLAN_OPTIONS);
  } catch (error) {
    if (error instanceof ClusterSpecError && /belongs to topology/.test(error.message))
      return undefined;
    throw error;
  }
}

function setField(raw: object, field: string, value: unknown): void {
  const keys = field.split(".").map((key) => (key === "*" ? "1" : key));
  let place = raw as Record<string, unknown>;
  for (const key of keys.slice(0, -1)) {
    place[key] ??= {};
    place = place[key] as Record<string, unknown>;
  }
  place[keys.at(-1)!] = value;
}

function valuePath(field: string): string | undefined {
  return Object.keys(OTHER_VALUES).find((path) => field === path || field.startsWith(`${path}.`));
}

/** Dotted paths of all leaves. */
function schemaFields(): string[] {
  interface Node {
    readonly properties?: Readonly<Record<string, Node>>;
    readonly items?: Node;
  }
  const walk = (node: Node, path: string): string[] => {
    if (node.properties !== undefined) {
      return Object.entries(node.properties).flatMap(([key, inner]) =>
        walk(inner, path === "" ? key : `${path}.${key}`),
      );
    }
    return node.items?.properties === undefined ? [path] : walk(node.items, `${path}.*`);
  };
  return walk(
    z.toJSONSchema(clusterSpecSchema, { io: "input", unrepresentable: "any" }) as Node,
    "",
  );
}
