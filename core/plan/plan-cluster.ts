import { memoryDemand, suggestedQuantization } from "../fit/spec-memory.js";
import { hardwareSeries } from "../hardware/series.js";
import { shellQuote } from "../render/quote.js";
import { contentHash } from "../render/stable-json.js";
import type { ClusterSpec, NodeSpec, RayClusterSpec } from "../spec/cluster-spec.js";
import { visibleDevices } from "../spec/rules.js";
import { modelPlan } from "./arrival.js";
import type {
  ClusterPlan,
  CommitPlan,
  ContainerPlan,
  EndpointPlan,
  NodePlan,
} from "./cluster-plan.js";
import { containerPlan, supervisorCommand } from "./container.js";
import { clusterNames, nodeNames } from "./names.js";
import { nodeEnv } from "./node-env.js";
import { nodePorts } from "./node-ports.js";
import { assignRanks } from "./ranks.js";
import { headNode, rayAddress } from "./ray-command.js";
import { planReleases, type Releases } from "./releases.js";
import { commonServeArgs, nodeServeArgs } from "./serve-command.js";

/** What the plan needs beside the spec. */
export interface PlanOptions {
  /** `<organization>/<project>/<stack>`: written to the hosts, a foreign owner is refused. */
  readonly owner: string;
  /** Whether the API is guarded; the key itself never enters a plan. */
  readonly hasApiKey: boolean;
  /** `vllm-ascend:allowDowntimeFor`: the plan for which a group that serves may be stopped. */
  readonly allowDowntimeFor?: string | undefined;
}

/** Decides everything about a cluster. Deterministic: no clock, no environment, no randomness. */
export function planCluster(spec: ClusterSpec, options: PlanOptions): ClusterPlan {
  const baseDir = `/var/lib/vllm-cluster/${spec.name}`;
  const containers = new Map(
    spec.nodes.map((node) => [
      node.name,
      planContainer(spec, node, { baseDir, owner: options.owner }),
    ]),
  );
  const runtimes = new Map([...containers].map(([name, { runtime }]) => [name, runtime]));
  const releases = planReleases(spec, runtimes, options.hasApiKey);
  const ranks = assignRanks(spec);
  const nodes = spec.nodes.map((node): NodePlan => {
    const { container, runtime } = containers.get(node.name)!;
    return {
      name: node.name,
      role: node.name === headNode(spec).name ? "head" : "worker",
      connection: { address: node.address, hostKey: node.hostKey, ...spec.ssh },
      socketInterface: node.socketInterface ?? spec.socketInterface,
      visibleDevices: visibleDevices(spec, node),
      npuMemoryGib: node.npuMemoryGib ?? hardwareSeries(spec.series).npuMemoryGib,
      ranks: ranks.get(node.name)!,
      env: nodeEnv(spec, node),
      container,
      runtime,
      releases: releases.byNode.get(node.name)!,
      ports: nodePorts(spec, node),
      names: nodeNames(spec.name, node.name),
    };
  });
  return {
    cluster: spec.name,
    topology: spec.topology,
    series: spec.series,
    accept: spec.preflight.accept,
    owner: options.owner,
    baseDir,
    containerName: `vllm-cluster-${spec.name}`,
    unitName: `vllm-cluster-${spec.name}.service`,
    nodes,
    ray: spec.topology === "ray" ? rayCommit(spec, releases) : null,
    serve: serveCommit(spec, releases),
    model: modelPlan(spec),
    memory: {
      demand: memoryDemand(spec),
      quantization: suggestedQuantization(spec),
      acceptedReason: spec.acceptMemoryFit?.reason,
    },
    endpoint: endpointPlan(spec, options.hasApiKey),
    smokeSec: spec.timeouts.smokeSec,
    names: clusterNames(spec.name),
    // An emptied line in a stack file is no consent.
    allowDowntimeFor: options.allowDowntimeFor === "" ? undefined : options.allowDowntimeFor,
  };
}

function planContainer(
  spec: ClusterSpec,
  node: NodeSpec,
  where: { readonly baseDir: string; readonly owner: string },
): { container: ContainerPlan; runtime: string } {
  const container = containerPlan(spec, node, where);
  // The command names the runtime, so the hash is taken over the command without it.
  // The tag is for people: another name of the same image restarts nothing.
  const { pull } = container.image;
  const runtime = contentHash({
    ...container,
    image: pull,
    command: supervisorCommand(spec, node, ""),
  });
  return { container: { ...container, command: supervisorCommand(spec, node, runtime) }, runtime };
}

/** What a reviewer reads in a preview when Ray restarts: addresses, keys and environment of all nodes. */
function rayCommit(spec: RayClusterSpec, releases: Releases): CommitPlan {
  const { rayHash } = releases;
  if (rayHash === null) throw new Error("a Ray topology has a Ray release");
  return {
    release: rayHash,
    manifest: {
      kind: "ray",
      release: rayHash,
      deadlineSec: spec.timeouts.rayStartSec + COMMIT_MARGIN_SEC,
      rayAddress: rayAddress(spec),
      ray: spec.ray,
      restart: spec.supervisor,
      nodes: reviewedNodes(spec, releases),
    },
  };
}

/** Without Ray this is the first commit, so it shows what Ray's shows elsewhere, and the flags that differ from node to node. */
function serveCommit(spec: ClusterSpec, releases: Releases): CommitPlan {
  const { rayHash, serveHash } = releases;
  const common = commonServeArgs(spec);
  return {
    release: serveHash,
    manifest: {
      kind: "serve",
      release: serveHash,
      ray: rayHash,
      deadlineSec: spec.timeouts.serveStartSec + COMMIT_MARGIN_SEC,
      model: spec.model.path,
      stopTimeoutSec: spec.timeouts.stopSec,
      ...(spec.topology === "ray"
        ? { args: { ...nodeServeArgs(spec, headNode(spec)), ...common } }
        : {
            args: common,
            restart: spec.supervisor,
            nodes: reviewedNodes(spec, releases, (node) => ({ args: nodeServeArgs(spec, node) })),
          }),
    },
  };
}

function reviewedNodes(
  spec: ClusterSpec,
  { byNode }: Releases,
  more: (node: NodeSpec) => object = () => ({}),
): Readonly<Record<string, object>> {
  return Object.fromEntries(
    spec.nodes.map((node) => {
      const { role, runtime, env } = byNode.get(node.name)!.serve;
      const { address, hostKey } = node;
      const npus = visibleDevices(spec, node);
      return [node.name, { address, hostKey, role, npus, runtime, env, ...more(node) }];
    }),
  );
}

function endpointPlan(spec: ClusterSpec, hasApiKey: boolean): EndpointPlan {
  const url = `http://${headNode(spec).address}:${spec.serve.port}/v1`;
  const body = {
    model: spec.serve.servedModelName,
    prompt: "tell me how to sleep well",
    max_tokens: 100,
    temperature: 0,
  };
  return {
    url,
    model: spec.serve.servedModelName,
    curl: [
      `curl ${shellQuote(`${url}/completions`)}`,
      "-H 'Content-Type: application/json'",
      ...(hasApiKey ? ['-H "Authorization: Bearer $VLLM_API_KEY"'] : []),
      `-d ${shellQuote(JSON.stringify(body))}`,
    ].join(" "),
  };
}

/** Stopping what ran before, waiting for freed NPUs, and one back-off, beside the start itself. */
const COMMIT_MARGIN_SEC = 300;
