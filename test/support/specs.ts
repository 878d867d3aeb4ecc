import type { NodeScripts } from "../../core/render/stage-script.js";
import type { ClusterSpec, ClusterSpecInput, Topology } from "../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../core/spec/parse.js";

/** A valid host key line that belongs to no machine. */
export const HOST_KEY = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)}`;

interface RawOptions {
  readonly nodes?: number;
  readonly topology?: Topology;
}

/**
 * A stack's raw cluster of `nodes` A2 servers: TP8 inside a node; over the nodes pipeline stages, or with data parallelism one engine
 * each (two on a single node).
 */
export function rawCluster(options: RawOptions = {}): ClusterSpecInput {
  const count = options.nodes ?? 2;
  const topology = options.topology ?? "ray";
  const engines = Math.max(2, count);
  return {
    name: "qwen",
    topology,
    nodes: Array.from({ length: count }, (_, index) => ({
      name: `node${index}`,
      address: `10.0.${Math.floor(index / 200)}.${11 + (index % 200)}`,
      hostKey: HOST_KEY,
    })),
    socketInterface: "enp67s0f0",
    image: {
      reference: "quay.io/ascend/vllm-ascend:v0.23.0",
      digest: `sha256:${"ab".repeat(32)}`,
    },
    model: { path: "/data/models/Qwen3-235B-A22B" },
    serve: {
      servedModelName: "qwen",
      ...(topology === "data-parallel"
        ? { tensorParallelSize: (8 * count) / engines, dataParallelSize: engines }
        : { tensorParallelSize: 8, pipelineParallelSize: count }),
      enableExpertParallel: true,
      seed: 1024,
      maxModelLen: 8192,
      maxNumSeqs: 25,
      trustRemoteCode: true,
      gpuMemoryUtilization: 0.9,
    },
    lint: { accept: [{ code: "TRUST_REMOTE_CODE_UNPINNED", reason: "nothing is served here" }] },
  };
}

/** The same, parsed, after a change. */
export function aClusterSpec(
  change: (raw: ClusterSpecInput) => void = () => undefined,
  options: RawOptions = {},
): ClusterSpec {
  const raw = rawCluster(options);
  change(raw);
  return parseClusterSpec(raw);
}

/** Stand-ins for the files of `node/`, so that goldens show the script around them. */
export const FAKE_SCRIPTS: NodeScripts = {
  host: {
    "commit.sh": "# commit.sh\n",
    "secrets.sh": "# secrets.sh\n",
    "token.sh": "# token.sh\n",
    "boot.sh": "# boot.sh\n",
    "image.sh": "# image.sh\n",
    "model.sh": "# model.sh\n",
    "fetch_model.py": "# fetch_model.py\n",
  },
  supervisor: {
    "__init__.py": "# supervisor\n",
    "__main__.py": "# command line\n",
    "core/slot.py": "# slot\n",
  },
};

export const PLAN_OPTIONS = { owner: "acme/vllm-ascend/production", hasApiKey: true } as const;
