import { GpustackApi } from "../provider/gpustack-api.js";
import { GpustackError, GpustackHttp } from "../provider/http.js";
import { configValue } from "./api-key.js";
import { StepError, UsageError } from "./errors.js";
import type { LoadedStack } from "./stack.js";

/**
 * The server that the environment names, as for the provider.
 *
 * @throws UsageError with what is missing.
 */
export function gpustackFromEnv(): GpustackApi {
  const [url, apiKey] = [process.env["GPUSTACK_URL"], process.env["GPUSTACK_API_KEY"]];
  const missing = [
    ...(url ? [] : ["GPUSTACK_URL (http://<server>)"]),
    ...(apiKey ? [] : ["GPUSTACK_API_KEY (of scope management)"]),
  ];
  if (!url || !apiKey) throw new UsageError(`which server? export ${missing.join(" and ")}`);
  return gpustackAt(url, apiKey);
}

/**
 * The server of a stack: as the environment says, else as its secrets do.
 *
 * @throws UsageError when neither does.
 */
export function gpustackOfStack(stack: LoadedStack): GpustackApi {
  const url = gpustackValue(stack, "GPUSTACK_URL");
  return gpustackAt(url, gpustackValue(stack, "GPUSTACK_API_KEY"));
}

/** @throws UsageError when neither the environment nor the stack has it. */
export function gpustackValue(stack: LoadedStack, variable: keyof typeof CONFIG_KEYS): string {
  const value = process.env[variable];
  if (value) return value;
  const key = CONFIG_KEYS[variable];
  if (stack.gpustack?.configKeys.has(key)) {
    return configValue(stack, key, { what: `the secret ${key}`, variable });
  }
  throw new UsageError(
    `stack ${stack.name} is deployed through GPUStack: export ${variable}, or set the secret ${stack.namespace}:${key}`,
  );
}

const CONFIG_KEYS = {
  GPUSTACK_URL: "gpustackUrl",
  GPUSTACK_API_KEY: "gpustackApiKey",
  GPUSTACK_INFERENCE_KEY: "gpustackInferenceKey",
} as const;

function gpustackAt(url: string, apiKey: string): GpustackApi {
  return new GpustackApi(new GpustackHttp({ url: url.replace(/\/+$/, ""), apiKey }));
}

/** What the server is asked; refusals without a stack trace. */
export async function fromServer<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof GpustackError) throw new StepError(error.message);
    throw error;
  }
}
