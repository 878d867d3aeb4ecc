import { lintCluster } from "../../core/lint/lint-cluster.js";
import { planCluster } from "../../core/plan/plan-cluster.js";
import type { ClusterSpec } from "../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../core/spec/parse.js";
import { checkClusterRules } from "../../core/spec/rules.js";

/**
 * `npm run bench`: how long checking and planning take as clusters grow. A stack file takes 64 nodes; what is measured beyond
 * that shows whether the time grows with the nodes or with their square. Ends with 1 when 1,000 nodes take a second.
 */
const SIZES = [64, 250, 500, 1000, 2000];
const RUNS = 5;
const LIMIT_MS = { nodes: 1000, ms: 1000 };

const STEPS: readonly (readonly [name: string, run: (spec: ClusterSpec) => unknown])[] = [
  ["rules", checkClusterRules],
  ["lint", (spec) => lintCluster(spec, { hasApiKey: true })],
  ["plan", (spec) => planCluster(spec, { owner: "acme/vllm-ascend/bench", hasApiKey: true })],
];

for (const topology of ["ray", "data-parallel", "multiprocessing"] as const) {
  process.stdout.write(`${topology}\n  nodes   rules ms    lint ms    plan ms   plan us/node\n`);
  for (const nodes of SIZES) {
    const spec = clusterOf(nodes, topology);
    const times = STEPS.map(([, run]) => medianMs(() => run(spec)));
    const plan = times.at(-1)!;
    const cells = [
      ...times.map((ms) => ms.toFixed(1).padStart(10)),
      ((plan * 1000) / nodes).toFixed(0).padStart(14),
    ];
    process.stdout.write(`  ${String(nodes).padStart(5)} ${cells.join(" ")}\n`);
    if (nodes === LIMIT_MS.nodes && plan >= LIMIT_MS.ms) {
      process.stdout.write(`  too slow: ${nodes} nodes must be planned in ${LIMIT_MS.ms} ms\n`);
      process.exitCode = 1;
    }
  }
}

function medianMs(work: () => unknown): number {
  work();
  const times = Array.from({ length: RUNS }, () => {
    const begin = performance.now();
    work();
    return performance.now() - begin;
  });
  return times.toSorted((a, b) => a - b)[Math.floor(RUNS / 2)]!;
}

/** A checked spec of two nodes, stretched: the schema itself stops at 64. */
function clusterOf(count: number, topology: ClusterSpec["topology"]): ClusterSpec {
  const node = (index: number) => ({
    name: `node${index}`,
    address: `10.${Math.floor(index / 62_500)}.${Math.floor(index / 250) % 250}.${1 + (index % 250)}`,
    hostKey: `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)}`,
  });
  const sizes = (nodes: number) =>
    topology === "data-parallel"
      ? { tensorParallelSize: 8, dataParallelSize: nodes }
      : { tensorParallelSize: 8, pipelineParallelSize: nodes };
  const spec = parseClusterSpec({
    name: "bench",
    topology,
    nodes: [node(0), node(1)],
    socketInterface: "enp67s0f0",
    image: {
      reference: "quay.io/ascend/vllm-ascend:v0.23.0",
      digest: `sha256:${"ab".repeat(32)}`,
    },
    model: { path: "/data/models/Qwen3-235B-A22B" },
    serve: { servedModelName: "qwen", maxModelLen: 8192, maxNumSeqs: 25, ...sizes(2) },
  });
  const [first] = spec.nodes;
  return {
    ...spec,
    nodes: Array.from({ length: count }, (_, index) => ({ ...first!, ...node(index) })),
    serve: { ...spec.serve, ...sizes(count) },
  } as ClusterSpec;
}
