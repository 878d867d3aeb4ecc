import { chatCompletion } from "../core/gpustack/api.js";
import { type Connection, GpustackError, GpustackHttp } from "./http.js";
import type { Context } from "./resource.js";

/**
 * Asks a model for one short answer, until it gives one. A running head is not yet a route: GPUStack answers 404 or 503 for a
 * moment.
 *
 * @param apiKey of scope `inference`: a management key gets 403
 * @throws Error when none came before the deadline, or the key is refused
 */
export async function untilAnswered(
  { api, signal, report }: Context,
  {
    apiKey,
    model,
    deadline,
  }: { readonly apiKey: string; readonly model: string; readonly deadline: number },
): Promise<void> {
  const { effects, connection } = api.http;
  const http = new GpustackHttp({ url: connection.url, apiKey } satisfies Connection, effects);
  const body = {
    model,
    messages: [{ role: "user", content: "Hello" }],
    max_tokens: 8,
    // Without thinking the answer begins at once. At the top: the server does not look into `extra_body`.
    chat_template_kwargs: { enable_thinking: false },
  };
  for (;;) {
    try {
      await http.send("POST", "/v1/chat/completions", chatCompletion, {
        body,
        timeoutMs: ANSWER_TIMEOUT_MS,
      });
      return;
    } catch (error) {
      const isFinal = !(error instanceof GpustackError) || [400, 401, 403].includes(error.status);
      if (isFinal || effects.now() > deadline) throw error;
      if (signal.aborted)
        throw new Error(`interrupted before ${model} has answered: ${error.message}`);
      report(error.message);
    }
    await effects.sleep(POLL_MS);
  }
}

/** The first answer may wait for graphs to be captured. */
const ANSWER_TIMEOUT_MS = 300_000;
const POLL_MS = 2000;
