// The table of failures that people have met in the field, row by row, against what refuses, finds or survives them here: every row names
// its evidence, and evidence of the pure layers is tried on a bad and on a good case. Rows that only a log can tell are not in it.
// Tests of other layers are named, not run; that they exist is checked, that they pass is their own affair.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { lintCluster } from "../../core/lint/lint-cluster.js";
import type { ClusterPlan } from "../../core/plan/cluster-plan.js";
import { planCluster } from "../../core/plan/plan-cluster.js";
import type { ClusterSpecInput, Topology } from "../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../core/spec/parse.js";
import { ClusterSpecError } from "../../core/spec/spec-issue.js";
import { rawCluster } from "../support/specs.js";
import { BAD_CASES } from "./facts/bad-cases.js";
import { BAD_RUNS } from "./smoke/bad-runs.js";

const TEST_DIR = join(dirname(fileURLToPath(import.meta.url)), "..");

type Change = (raw: ClusterSpecInput) => void;

/** What stands against a failure. */
type Evidence =
  /** Cases of the preflight that name the row. */
  | { readonly kind: "preflight" }
  /** Cases of the smoke run that name the row. */
  | { readonly kind: "smoke" }
  /** A code of lint. */
  | { readonly kind: "lint"; readonly code: string; readonly change: Change }
  /** Refused by the schema or a rule; the path of the issue. */
  | { readonly kind: "refused"; readonly path: string; readonly change: Change }
  /** True of every plan. */
  | {
      readonly kind: "plan";
      readonly topology: Topology;
      readonly holds: (plan: ClusterPlan) => boolean;
    }
  /** A test of another layer. */
  | { readonly kind: "test"; readonly file: string; readonly title: string };

const preflight: Evidence = { kind: "preflight" };
const smoke: Evidence = { kind: "smoke" };
const lint = (code: string, change: Change): Evidence => ({ kind: "lint", code, change });
const refused = (path: string, change: Change): Evidence => ({ kind: "refused", path, change });
const plan = (topology: Topology, holds: (plan: ClusterPlan) => boolean): Evidence => ({
  kind: "plan",
  ...{ topology, holds },
});
const test = (file: string, title: string): Evidence => ({ kind: "test", file, title });

const ofEveryNode = (holds: (node: ClusterPlan["nodes"][number]) => boolean) => (of: ClusterPlan) =>
  of.nodes.every(holds);
const flag = (node: ClusterPlan["nodes"][number], name: string) =>
  node.releases.serve.command?.find((word) => word === name || word.startsWith(`${name}=`));
const set = (value: object) => (raw: ClusterSpecInput) => void Object.assign(raw, value);

/** Beginnings of the symptoms; docs/preflight.md and docs/lint.md have the threads. */
const FIELD_FAILURES: Readonly<Record<string, readonly Evidence[]>> = {
  // NPU network
  "`Get_Socket_Timeout(EI0006)": [preflight, smoke],
  "transfer errors between A2 groups": [preflight],
  "`Value Disable for config": [preflight],
  "IP family mismatch": [preflight],
  "`HcclCommPrepare fail, ret: 0x9`": [preflight],
  "2 x 8 x 910B2 Qwen3-235B launch fails": [preflight],
  "error cqe status 12": [preflight],
  "dies 10-20 min after first requests": [
    plan("data-parallel", ({ nodes, serve }) =>
      nodes.every(({ releases }) => releases.serve.hash === serve.release),
    ),
    test(
      "node/test_live.py",
      "test_a_release_that_a_member_lacks_stops_nothing_and_names_the_node",
    ),
  ],
  // Host network
  "`topo exchange agent get socket timeout!": [preflight, smoke],
  "`Failed to bind the IP port`": [preflight],
  "`Gloo connectFullMesh failed": [preflight, smoke],
  "`Did not receive response from front-end": [preflight, smoke],
  "`MessageQueue` ZMQ `Address already in use`": [
    test("node/test_live.py", "test_the_group_serves_again_after_kill_9_of_each_process"),
    test("node/test_cores.py", "test_it_starts_only_after_the_ports_were_looked_at"),
  ],
  "NCCL/collective hang with MTU": [preflight],
  "2-node hang, version skew": [
    smoke,
    test(
      "node/test_cores.py",
      "test_a_start_that_takes_too_long_shows_the_last_lines_of_what_runs",
    ),
  ],
  "`The hostname of the client socket": [preflight],
  "client or proxy errors": [
    preflight,
    lint("PROXY_ENVIRONMENT", set({ env: { http_proxy: "http://proxy:3128" } })),
  ],
  // Ray
  "`Every node should have a unique IP": [
    preflight,
    plan(
      "ray",
      ofEveryNode(
        ({ env, connection, releases: { ray } }) =>
          env["VLLM_HOST_IP"] === connection.address &&
          ray?.command?.includes(`--node-ip-address=${connection.address}`) === true,
      ),
    ),
    refused("env.VLLM_HOST_IP", set({ env: { VLLM_HOST_IP: "10.0.0.1" } })),
    test("node/test_cores.py", "test_ray_nodes_are_compared_with_the_plan"),
  ],
  "`Waiting for creating a placement group": [
    test("node/test_cores.py", "test_a_ray_that_is_not_as_planned_gets_no_serve_and_is_given_up"),
  ],
  "`0.0/16.0 GPU`": [
    refused("ray.numGpus", set({ ray: { numGpus: 8 } })),
    test("node/test_cores.py", "test_ray_nodes_are_compared_with_the_plan"),
  ],
  "`Current node has no NPU available.": [
    test("node/test_cores.py", "test_npus_that_stay_taken_after_a_serve_fail_the_group"),
  ],
  "`Error setting ASCEND_RT_VISIBLE_DEVICES": [
    refused("serve.dataParallelSize", (raw) => {
      raw.serve.dataParallelSize = 2;
    }),
  ],
  "`Set visible device failed": [
    smoke,
    plan(
      "ray",
      ofEveryNode(({ env }) => env["RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES"] === "1"),
    ),
  ],
  "NPUs ignored with `resources=": [
    refused("ray.resources", set({ ray: { resources: { NPU: 8 } } })),
  ],
  "PP and DP fail on Ray": [
    lint("RAY_PIPELINE_OLD_IMAGE", (raw) => {
      raw.image.reference = "quay.io/ascend/vllm-ascend:v0.9.1";
    }),
  ],
  "`ACL stream synchronize failed": [
    lint("RAY_PIPELINE_EXPERT_PARALLEL", (raw) => {
      raw.serve.enableExpertParallel = true;
    }),
  ],
  "multi-node PP crash on 0.18": [
    lint("PIPELINE_ON_0_18", (raw) => {
      raw.image.reference = "quay.io/ascend/vllm-ascend:v0.18.0";
    }),
  ],
  "`Version mismatch: The cluster was started": [preflight],
  "`System memory request exceeds memory": [
    refused("ray.objectStoreMemoryGib", set({ container: { shmSizeGib: 1 } })),
  ],
  // Container, driver, model
  "`dcmi module initialize failed": [preflight, smoke],
  "EngineCore core dump under load": [preflight],
  "Python `can't start new thread`": [preflight, smoke],
  "Qwen3.5 on two A2 nodes stalls while loading": [preflight],
  "API server dead, chips still reserved": [
    preflight,
    test(
      "node/test_live.py",
      "test_an_orphan_that_hides_and_ignores_sigterm_is_killed_before_the_next_start",
    ),
  ],
  "`/health` 200 while every completion hangs": [
    test("node/test_live.py", "test_readiness_is_a_completion_not_a_health_check"),
    test(
      "node/test_cores.py",
      "test_a_stall_is_reported_only_when_requests_run_and_no_token_comes",
    ),
  ],
  "`No available shared memory broadcast block": [smoke],
  "driver mismatch between nodes": [preflight],
  "`socversion Ascend910B1 of bin package": [
    preflight,
    lint("IMAGE_SERIES", (raw) => {
      raw.image.reference = "quay.io/ascend/vllm-ascend:v0.23.0-a3";
    }),
  ],
  "`Failed to get file list for": [
    preflight,
    plan(
      "ray",
      ofEveryNode(({ env }) => env["HF_HUB_OFFLINE"] === "1"),
    ),
  ],
  "`NPU out of memory. Tried to allocate`": [
    lint("MEMORY_UTILIZATION", (raw) => {
      raw.serve.gpuMemoryUtilization = 0.98;
    }),
    test("core/facts/judge-gate.test.ts", 'title: "a model that is larger than the NPUs"'),
  ],
  "HBM held after a crash": [preflight],
  "`Free memory on device": [preflight],
  "headless node stays up after the head died": [
    test("node/test_live.py", "test_a_lost_head_makes_headless_members_stop"),
  ],
  "`Remote engine 1 must use --headless": [
    plan("data-parallel", ({ nodes }) =>
      nodes.every((node, index) => (flag(node, "--headless") !== undefined) === index > 0),
    ),
    refused("serve.extraArgs.headless", (raw) => {
      raw.serve.extraArgs = { headless: true };
    }),
  ],
  "`data_parallel_rank (r) must be in the range": [
    plan("data-parallel", ({ nodes }) =>
      nodes.every(
        (node, index) =>
          index === 0 || flag(node, "--data-parallel-start-rank")?.endsWith(`=${index}`) === true,
      ),
    ),
  ],
  "`Total number of attention heads": [
    test("core/facts/judge-gate.test.ts", 'title: "a layout that vLLM refuses for the model"'),
  ],
  "`Configuration mismatch detected for engine": [
    test("node/test_files.py", "test_a_release_made_for_something_else_is_reported_not_started"),
  ],
  "`Distributed inference using vllm-ascend failed`": [preflight, smoke],
  "GPUStack `selected gpu count (8)": [
    test("core/gpustack/rules.test.ts", "as in the document, with the skip variable, has no issue"),
  ],
  "GPUStack instance stays `starting`": [
    test(
      "core/gpustack/readiness.test.ts",
      "does not serve when the worker of a headless peer is gone",
    ),
  ],
  // Derived from code
  "`HCCL_IF_IP` not on this node": [
    refused("env.HCCL_IF_IP", set({ env: { HCCL_IF_IP: "10.0.0.1" } })),
  ],
  "`--seed` differs": [
    refused("nodes[1].seed", (raw) => {
      Object.assign(raw.nodes[1]!, { seed: 7 });
    }),
  ],
  "clock skew": [preflight],
};

describe("the failures of the field", () => {
  for (const [symptom, evidences] of Object.entries(FIELD_FAILURES)) {
    it(`are met: ${symptom}`, () => {
      assert.notEqual(evidences.length, 0);
      for (const evidence of evidences) prove(symptom, evidence);
    });
  }

  it("are all that a case of the preflight or of the smoke run names", () => {
    const rowsOf = (kind: Evidence["kind"]) =>
      Object.entries(FIELD_FAILURES)
        .filter(([, evidences]) => evidences.some((evidence) => evidence.kind === kind))
        .map(([symptom]) => symptom);
    const named = (cases: readonly { readonly field?: string }[]) =>
      new Set(cases.flatMap(({ field }) => field ?? []));
    assert.deepEqual(new Set(rowsOf("preflight")), named(BAD_CASES));
    assert.deepEqual(new Set(rowsOf("smoke")), named(BAD_RUNS));
  });
});

function prove(symptom: string, evidence: Evidence): void {
  switch (evidence.kind) {
    // Each of these cases has a test of its own, which tries the good case, too.
    case "preflight":
      assert.ok(BAD_CASES.some(({ field }) => field === symptom));
      return;
    case "smoke":
      assert.ok(BAD_RUNS.some(({ field }) => field === symptom));
      return;
    case "lint": {
      const { code, change } = evidence;
      assert.ok(lintCodes(change).includes(code), code);
      const good = lintCodes((raw) => {
        raw.serve = { ...raw.serve, enableExpertParallel: false };
      });
      assert.ok(!good.includes(code), `${code} of a good stack`);
      return;
    }
    case "refused": {
      const raw = rawCluster();
      evidence.change(raw);
      assert.deepEqual(
        issuesOf(raw).filter((path) => path === evidence.path),
        [evidence.path],
      );
      assert.deepEqual(issuesOf(rawCluster()), []);
      return;
    }
    case "plan": {
      const spec = parseClusterSpec(rawCluster({ topology: evidence.topology }));
      assert.ok(evidence.holds(planCluster(spec, { owner: "o/p/s", hasApiKey: true })));
      return;
    }
    case "test": {
      const file = join(TEST_DIR, evidence.file);
      assert.ok(existsSync(file), evidence.file);
      assert.ok(readFileSync(file, "utf8").includes(evidence.title), evidence.title);
      return;
    }
    default:
      evidence satisfies never;
  }
}

function lintCodes(change: Change): readonly string[] {
  const raw = rawCluster();
  change(raw);
  return lintCluster(parseClusterSpec(raw), { hasApiKey: true }).map(({ code }) => code);
}

function issuesOf(raw: ClusterSpecInput): readonly string[] {
  try {
    parseClusterSpec(raw);
    return [];
  } catch (error) {
    if (error instanceof ClusterSpecError) return error.issues.map(({ path }) => path);
    throw error;
  }
}
