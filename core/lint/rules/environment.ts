import type { ClusterSpec } from "../../spec/cluster-spec.js";
import type { LintHit, LintRule } from "../lint-rule.js";

export const ENVIRONMENT_RULES: readonly LintRule[] = [
  {
    code: "PROXY_ENVIRONMENT",
    level: "warning",
    title: "a proxy is set in the environment of the engine",
    reason: "requests between the nodes and of the clients inside may go through it, and fail",
    wayOut: "remove it; the engine asks no hub and needs no proxy",
    sources: ["vllm-ascend docs `tutorials/features/pd_disaggregation_mooncake_multi_node.md`"],
    check: (spec) => variables(spec, (name) => /^(https?|all)_proxy$/i.test(name)),
  },
  {
    code: "HCCL_BUFFSIZE_MEMORY",
    level: "info",
    title: "HCCL_BUFFSIZE is larger than its default of 200 MB",
    reason:
      "each communicator takes twice as much of every NPU, outside of gpuMemoryUtilization: 1024 costs about 2 GiB",
    wayOut:
      "keep it where the guide of the model asks for it, and count it in the memory of the NPU",
    sources: ["HCCL docs `HCCL_BUFFSIZE.md`", "vllm-ascend `utils.py`"],
    check: (spec) =>
      variables(spec, (name, value) => name === "HCCL_BUFFSIZE" && Number(value) > 200),
  },
  {
    code: "HCCL_NUMBER",
    level: "error",
    title: "a variable of HCCL is outside of what HCCL takes",
    reason: "HCCL refuses it when the first communicator is made, after the weights are loaded",
    wayOut:
      "HCCL_BUFFSIZE: MB, from 1; HCCL_CONNECT_TIMEOUT: 120-7200 seconds; HCCL_IF_BASE_PORT: 1024-65520",
    sources: ["HCCL docs `hccl_env`"],
    check: (spec) =>
      variables(spec, (name, value) => {
        const range = HCCL_RANGES[name];
        return range !== undefined && !isWithin(value, range);
      }),
  },
  {
    code: "ENGINE_READY_TIMEOUT",
    level: "warning",
    title: "the API server waits shorter for its engines than the start may take",
    reason:
      "`Timed out waiting for engine core processes to start` ends a start that was only slow",
    wayOut: "set VLLM_ENGINE_READY_TIMEOUT_S to timeouts.serveStartSec or more",
    sources: ["vllm-ascend#7078", "vllm-ascend#7098", "vLLM 0.23 `v1/engine/core_client.py`"],
    check: (spec) =>
      variables(
        spec,
        (name, value) =>
          name === "VLLM_ENGINE_READY_TIMEOUT_S" && !(Number(value) >= spec.timeouts.serveStartSec),
      ),
  },
  {
    code: "HUB_ENVIRONMENT",
    level: "warning",
    title: "the engine may ask a hub for the model",
    reason:
      "the weights are a directory of each node; with a hub, a wrong path becomes a download of hundreds of GB",
    wayOut: "remove the variable; HF_HUB_OFFLINE=1 is set for you",
    sources: ["vllm#2289", "vllm#10886"],
    check: (spec) =>
      variables(
        spec,
        (name, value) =>
          (name === "HF_HUB_OFFLINE" && value !== "1") ||
          (name === "VLLM_USE_MODELSCOPE" && /^(1|true)$/i.test(value)),
      ),
  },
  {
    code: "IGNORED_ENVIRONMENT",
    level: "info",
    title: "a variable that the engine does not read any more",
    reason: "it does nothing: there is one engine only",
    wayOut: "remove it",
    sources: ["vLLM 0.23 `envs.py`"],
    check: (spec) => variables(spec, (name) => name === "VLLM_USE_V1"),
  },
  {
    code: "DEVELOPMENT_SERVER",
    level: "error",
    title: "the development endpoints of vLLM are turned on",
    reason: "whoever reaches the API can reset, sleep or reload the engine, with or without key",
    wayOut: "remove VLLM_SERVER_DEV_MODE",
    sources: ["vLLM docs `usage/security.md`"],
    check: (spec) =>
      variables(spec, (name, value) => name === "VLLM_SERVER_DEV_MODE" && value !== "0"),
  },
];

/** Smallest and largest value. */
const HCCL_RANGES: Readonly<Record<string, readonly [number, number]>> = {
  HCCL_BUFFSIZE: [1, 1_048_576],
  HCCL_CONNECT_TIMEOUT: [120, 7200],
  HCCL_IF_BASE_PORT: [1024, 65_520],
};

function isWithin(value: string, [least, most]: readonly [number, number]): boolean {
  return /^\d+$/.test(value) && Number(value) >= least && Number(value) <= most;
}

/** Variables of the cluster and of single nodes for which `matches` holds. */
function variables(
  spec: ClusterSpec,
  matches: (name: string, value: string) => boolean,
): readonly LintHit[] {
  const hits = (path: string, env: Readonly<Record<string, string>>): LintHit[] =>
    Object.entries(env)
      .filter(([name, value]) => matches(name, value))
      .map(([name, value]) => ({ path: `${path}.${name}`, got: JSON.stringify(shortened(value)) }));
  return [
    ...hits("env", spec.env),
    ...spec.nodes.flatMap((node, index) => hits(`nodes[${index}].env`, node.env)),
  ];
}

function shortened(value: string): string {
  return value.length > 60 ? `${value.slice(0, 57)}...` : value;
}
