import { type GatePlan, gatePlan } from "../plan/gate-plan.js";
import { planCluster } from "../plan/plan-cluster.js";
import { contentHash } from "../render/stable-json.js";
import type { ClusterSpecInput } from "../spec/cluster-spec.js";
import { type GpustackPlan, hasHostKeys, specOfGpustack } from "./cluster.js";

/**
 * What must be true on the workers before their replicas go from 0 to 1: NPUs, driver, and the network between the workers and
 * between their NPUs. The containers are GPUStack's, so nothing about images, weights, ports of the API or processes is checked.
 *
 * @param owner `<organization>/<project>/<stack>`
 * @returns `undefined` for a stack that gives no SSH access: no node has a `hostKey`.
 */
export function gpustackGate(
  rawCluster: ClusterSpecInput,
  { version, group }: GpustackPlan,
  owner: string,
): GatePlan | undefined {
  if (!hasHostKeys(rawCluster)) return undefined;
  const plan = gatePlan(planCluster(specOfGpustack(rawCluster), { owner, hasApiKey: false }));
  const hash = contentHash({ version, group });
  return {
    ...plan,
    through: "gpustack",
    // Checked again before each restart.
    plan: hash,
    serve: hash,
    nodes: plan.nodes.map((node) => ({
      ...node,
      ports: node.ports.filter(({ path }) => !PORTS_OF_GPUSTACK.includes(path)),
    })),
  };
}

/** Nothing listens there: GPUStack allocates the port of the API, and there is no supervisor. */
const PORTS_OF_GPUSTACK = ["serve.port", "supervisor.port"];
