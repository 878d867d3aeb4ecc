import type { ClusterSpec, NodeSpec } from "../spec/cluster-spec.js";
import { hasRayToken } from "../spec/image-version.js";
import { visibleDevices } from "../spec/rules.js";

/** Directory of vLLM's own configuration in the container: it holds the file named at `RAY_NON_CARRY_OVER_ENV`. */
const VLLM_CONFIG_ROOT = "/vllm-cluster/in/vllm";

/**
 * The environment of vLLM, and of Ray where there is one, on one node. It must be there before `ray start`: Ray's workers inherit it
 * from the raylet, and vLLM's Ray executor copies what is missing from the head, so a forgotten `HCCL_IF_IP` would silently be
 * the head's.
 */
export function nodeEnv(spec: ClusterSpec, node: NodeSpec): Readonly<Record<string, string>> {
  const socketInterface = node.socketInterface ?? spec.socketInterface;
  return {
    // The model is a directory of the node; without this a typo in the path makes vLLM ask a hub for minutes.
    HF_HUB_OFFLINE: "1",
    VLLM_NO_USAGE_STATS: "1",
    ...topologyDefaults(spec),
    ...spec.env,
    ...node.env,
    ...(spec.topology === "ray" ? { VLLM_CONFIG_ROOT } : {}),
    HCCL_IF_IP: node.address,
    VLLM_HOST_IP: node.address,
    GLOO_SOCKET_IFNAME: socketInterface,
    TP_SOCKET_IFNAME: socketInterface,
    HCCL_SOCKET_IFNAME: socketInterface,
    ASCEND_RT_VISIBLE_DEVICES: visibleDevices(spec, node).join(","),
    ...(spec.topology === "ray" ? { RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES: "1" } : {}),
    ...(spec.topology === "ray" && hasRayToken(spec.image) ? RAY_TOKEN_ENV : {}),
  };
}

/**
 * Who reaches Ray's ports runs code, unless each connection carries a token. The group's own token serves: it is made on the head and is
 * on all nodes in a 0600 file, and members of the group are one domain of trust anyway.
 */
const RAY_TOKEN_ENV = {
  RAY_AUTH_MODE: "token",
  RAY_AUTH_TOKEN_PATH: "/vllm-cluster/in/secrets/group-token",
};

/** Variables that a stack may set to something else. */
function topologyDefaults(spec: ClusterSpec): Readonly<Record<string, string>> {
  // API servers wait for their engines so long (vLLM 0.23 `v1/engine/core_client.py`); its own default, 600 s, is shorter than
  // large weights take to load, and the deadline of a start is the stack's.
  return spec.topology === "data-parallel"
    ? { VLLM_ENGINE_READY_TIMEOUT_S: String(spec.timeouts.serveStartSec) }
    : {};
}

/**
 * Variables that vLLM's Ray executor must not copy from the head to the other nodes: the API key, and what differs per node.
 * Read from `$VLLM_CONFIG_ROOT/ray_non_carry_over_env_vars.json` (vLLM 0.23 `vllm/ray/ray_env.py`).
 */
export const RAY_NON_CARRY_OVER_ENV: readonly string[] = [
  "VLLM_API_KEY",
  "VLLM_CLUSTER_PROCESS",
  "HCCL_IF_IP",
  "HCCL_SOCKET_IFNAME",
  "GLOO_SOCKET_IFNAME",
  "TP_SOCKET_IFNAME",
  "ASCEND_RT_VISIBLE_DEVICES",
];
