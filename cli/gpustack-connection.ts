import { GpustackApi } from "../provider/gpustack-api.js";
import { GpustackError, GpustackHttp } from "../provider/http.js";
import { StepError, UsageError } from "./errors.js";

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

export function gpustackAt(url: string, apiKey: string): GpustackApi {
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
