import type { ClusterSpec } from "../../spec/cluster-spec.js";
import { isOlder, vllmVersion } from "../../spec/image-version.js";
import { hitIf, type LintRule } from "../lint-rule.js";

export const ENGINE_RULES: readonly LintRule[] = [
  {
    code: "QUANTIZATION_MISSING",
    level: "warning",
    title:
      "the name of the weights says that they are quantized, and `serve.quantization` is unset",
    reason:
      "vllm-ascend before v0.18.0rc1 then takes them for plain ones and fails while loading; later it looks for quant_model_description.json beside them",
    wayOut: "set serve.quantization: ascend, or accept it where that file is there",
    sources: ["vllm-ascend#6645", "vllm-ascend docs `user_guide/feature_guide/quantization.md`"],
    check: ({ model, serve }) =>
      hitIf(
        serve.quantization === undefined && /w[48]a(4|8|16)/i.test(lastPart(model.path)),
        "serve.quantization",
        `unset for ${lastPart(model.path)}`,
      ),
  },
  {
    code: "ASYNC_SCHEDULING",
    level: "info",
    title: "`async-scheduling` is set by hand",
    reason:
      "it is on by itself wherever it can be; set by hand, an executor that cannot do it is an error instead of being left out",
    wayOut: "remove serve.extraArgs.async-scheduling",
    sources: ["vLLM 0.23 `config/vllm.py`"],
    check: (spec) =>
      hitIf(
        isOn(spec, "async-scheduling") && !cannotScheduleAsync(spec),
        "serve.extraArgs.async-scheduling",
        "true",
      ),
  },
  {
    code: "ASYNC_SCHEDULING_RAY",
    level: "error",
    title: "`async-scheduling` with the Ray executor of vLLM 0.18",
    reason: "vLLM refuses to start: `… does not support async scheduling yet`",
    wayOut: "remove serve.extraArgs.async-scheduling",
    sources: ["vLLM 0.18 `config/vllm.py`"],
    check: (spec) =>
      hitIf(
        isOn(spec, "async-scheduling") && cannotScheduleAsync(spec),
        "serve.extraArgs.async-scheduling",
        `true with topology ray and vLLM ${vllmVersion(spec.image)}`,
      ),
  },
  {
    code: "STATISTICS_OFF",
    level: "error",
    title: "`disable-log-stats` with topology data-parallel",
    reason:
      "`/metrics` then shows no engines, and readiness asks each engine by name and sees by its token counter that it has answered: the start ends at its deadline",
    wayOut:
      "remove serve.extraArgs.disable-log-stats; access logs are quieter with disable-uvicorn-access-log",
    sources: ["vLLM 0.23 `v1/engine/async_llm.py`"],
    check: (spec) =>
      hitIf(
        spec.topology === "data-parallel" && isOn(spec, "disable-log-stats"),
        "serve.extraArgs.disable-log-stats",
        "true",
      ),
  },
  {
    code: "SPECULATIVE_METHOD",
    level: "info",
    title: "the speculative method has a newer name",
    reason: "vLLM maps `qwen3_5_mtp` and its like to `mtp` and warns about it at each start",
    wayOut: "write method: mtp in serve.extraArgs.speculative-config",
    sources: ["vLLM 0.23 `config/speculative.py`"],
    check: (spec) => {
      const method = configOf(spec, "speculative-config")["method"];
      return hitIf(
        typeof method === "string" && /_mtp$/.test(method),
        "serve.extraArgs.speculative-config",
        String(method),
      );
    },
  },
  {
    code: "SPECULATIVE_EAGER",
    level: "info",
    title: "the draft model of speculative decoding runs eagerly",
    reason: "`enforce_eager` leaves the draft without graphs, which costs speed at small batches",
    wayOut:
      "leave enforce_eager out of serve.extraArgs.speculative-config, as the guide of vllm-ascend does by now",
    sources: ["vllm-ascend docs `tutorials/models/Qwen3.5-397B-A17B.md`"],
    check: (spec) =>
      hitIf(
        configOf(spec, "speculative-config")["enforce_eager"] === true,
        "serve.extraArgs.speculative-config",
        "enforce_eager: true",
      ),
  },
  {
    code: "EAGER_AND_GRAPHS",
    level: "warning",
    title: "`enforce-eager` turns off the graphs that `compilation-config` asks for",
    reason: "vLLM runs without graphs, silently and much slower at decoding",
    wayOut: "remove one of serve.extraArgs.enforce-eager and compilation-config.cudagraph_mode",
    sources: ["vLLM 0.23 `config/vllm.py`"],
    check: (spec) => {
      const mode = configOf(spec, "compilation-config")["cudagraph_mode"];
      return hitIf(
        isOn(spec, "enforce-eager") && typeof mode === "string" && mode !== "NONE",
        "serve.extraArgs.enforce-eager",
        `true with cudagraph_mode ${String(mode)}`,
      );
    },
  },
  {
    code: "MEMORY_UTILIZATION",
    level: "warning",
    title: "almost all memory of the NPUs is given to vLLM",
    reason:
      "HCCL's buffers and the driver lie outside of it; the first long prompt runs out of memory",
    wayOut: "lower serve.gpuMemoryUtilization to 0.9",
    sources: ["vllm-ascend#9372", "vllm-ascend#1987"],
    check: ({ serve }) =>
      hitIf(
        serve.gpuMemoryUtilization > 0.95,
        "serve.gpuMemoryUtilization",
        String(serve.gpuMemoryUtilization),
      ),
  },
  {
    code: "SERVE_BY_TLS_OR_GRPC",
    level: "error",
    title: "the API would not answer plain HTTP",
    reason: "the readiness check asks for a completion over HTTP and would never see one",
    wayOut: "remove the flag; put a proxy with TLS in front of the API",
    sources: ["vLLM 0.23 `entrypoints/openai/api_server.py`"],
    check: ({ serve }) =>
      ["ssl-keyfile", "ssl-certfile", "grpc", "uds", "tokens-only"].flatMap((flag) =>
        hitIf(
          serve.extraArgs[flag] !== undefined && serve.extraArgs[flag] !== false,
          `serve.extraArgs.${flag}`,
          "set",
        ),
      ),
  },
];

/** Whether a flag without value is given. */
function isOn({ serve }: ClusterSpec, flag: string): boolean {
  return serve.extraArgs[flag] === true;
}

/** The value of a JSON flag, whether written as map or as text. */
function configOf({ serve }: ClusterSpec, flag: string): Readonly<Record<string, unknown>> {
  const value = serve.extraArgs[flag];
  if (typeof value === "object") return value;
  if (typeof value !== "string") return {};
  try {
    const parsed: unknown = JSON.parse(value);
    return parsed !== null && typeof parsed === "object"
      ? (parsed as Readonly<Record<string, unknown>>)
      : {};
  } catch {
    return {};
  }
}

/** The first Ray executor of the V1 engine; 0.23 has the second one. */
function cannotScheduleAsync({ topology, image }: ClusterSpec): boolean {
  const version = vllmVersion(image);
  return topology === "ray" && version !== undefined && isOlder(version, "0.19.0");
}

function lastPart(path: string): string {
  return path.split("/").findLast((part) => part !== "") ?? "";
}
