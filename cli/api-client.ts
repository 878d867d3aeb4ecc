import * as http from "node:http";
import * as https from "node:https";
import { StepError } from "./errors.js";
import { eventData } from "./server-sent-events.js";

/** A question to the OpenAI-compatible API of `vllm serve`. */
export interface ApiRequest {
  /** Base URL with `/v1`. */
  readonly endpoint: string;
  readonly path: "completions" | "chat/completions";
  /** Without `stream`: every answer is streamed. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly apiKey?: string | undefined;
  /** Variable of this program's environment that may hold it, for messages. @default "VLLM_API_KEY" */
  readonly keyVariable?: "VLLM_API_KEY" | "GPUSTACK_INFERENCE_KEY";
  /** Ends the request; vLLM then drops it. */
  readonly signal: AbortSignal;
  /** Longest silence of the server, in seconds. */
  readonly timeoutSec: number;
  /** Command that tells the state of the cluster, for messages. */
  readonly statusCommand: string;
}

/** A piece of an answer. */
export interface AnswerPiece {
  readonly text?: string;
  /** What a model thinks before it answers, where vLLM has a `--reasoning-parser` for it. */
  readonly reasoning?: string;
  readonly finishReason?: string;
  readonly usage?: { readonly promptTokens: number; readonly completionTokens: number };
}

/**
 * Asks, and gives the pieces of the answer as they come.
 *
 * `node:http` and not `fetch`: fetch gives up after 300 s of silence whatever is asked of it, and refuses some ports.
 *
 * @throws StepError with endpoint, cause and next action.
 */
export async function* streamAnswer(request: ApiRequest): AsyncGenerator<AnswerPiece> {
  const { endpoint, signal, statusCommand } = request;
  const limits = new AbortController();
  try {
    const response = await send(request, limits);
    const type = response.headers["content-type"] ?? "";
    if (response.statusCode !== 200 || !type.startsWith("text/event-stream")) {
      throw await refusal(request, response);
    }
    for await (const data of eventData(response)) {
      if (data === "[DONE]") return;
      yield readPiece(request, data);
    }
  } catch (error) {
    if (error instanceof StepError || signal.aborted) throw error;
    throw connectionError(limits.signal.aborted ? limits.signal.reason : error, request);
  }
  throw new StepError(
    `${endpoint}: the answer broke off before its end\nnext: ${statusCommand}; a group that lost a process starts again by itself`,
  );
}

/** Sends the question; `limits` is aborted, with the reason, when the server is silent for too long. */
function send(
  { endpoint, path, body, apiKey, signal, timeoutSec }: ApiRequest,
  limits: AbortController,
): Promise<http.IncomingMessage> {
  const url = new URL(`${endpoint.replace(/\/+$/, "")}/${path}`);
  const { request } = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      signal: AbortSignal.any([signal, limits.signal]),
      timeout: timeoutSec * 1000,
      // One question, one connection: nothing stays open when the program ends.
      agent: false,
    });
    const connecting = setTimeout(
      () => limits.abort(new NoConnectionError(`no connection within ${CONNECT_SEC} s`)),
      CONNECT_SEC * 1000,
    );
    sent.on("socket", (socket) => socket.once("connect", () => clearTimeout(connecting)));
    sent.on("close", () => clearTimeout(connecting));
    sent.on("timeout", () => limits.abort(new SilenceError(`nothing came for ${timeoutSec} s`)));
    sent.on("response", resolve);
    sent.on("error", reject);
    sent.end(JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }));
  });
}

class NoConnectionError extends Error {}
class SilenceError extends Error {}

function connectionError(error: unknown, { endpoint, statusCommand }: ApiRequest): StepError {
  const { code = "", message = "" } = error as NodeJS.ErrnoException;
  return new StepError(`${endpoint}: ${message || code}\nnext: ${statusCommand}; ${advice()}`);

  function advice(): string {
    if (error instanceof SilenceError) return "a long queue needs a longer --timeout";
    return error instanceof NoConnectionError || NOT_REACHED.has(code)
      ? "if it serves, this machine does not reach the head: forward a port (ssh -L) and give --endpoint"
      : "nothing listens there, or it is being restarted";
  }
}

function readPiece({ endpoint, statusCommand }: ApiRequest, data: string): AnswerPiece {
  let chunk: Chunk;
  try {
    chunk = JSON.parse(data) as Chunk;
  } catch {
    throw new StepError(
      `${endpoint}: a piece of the answer is not JSON: ${short(data)}\nnext: is this the API of vLLM? ${statusCommand}`,
    );
  }
  // vLLM reports what fails after the first token inside of the stream.
  if (chunk.error !== undefined) {
    throw new StepError(
      `${endpoint}: the answer ended with an error: ${errorText(chunk)}\nnext: ${statusCommand}`,
    );
  }
  const choice = chunk.choices?.[0];
  const text = choice?.text ?? choice?.delta?.content;
  // vLLM 0.23 calls it `reasoning`, up to 0.11 `reasoning_content`.
  const reasoning = choice?.delta?.reasoning ?? choice?.delta?.reasoning_content;
  const { usage } = chunk;
  return {
    ...(text ? { text } : {}),
    ...(reasoning ? { reasoning } : {}),
    ...(choice?.finish_reason ? { finishReason: choice.finish_reason } : {}),
    ...(usage
      ? {
          usage: { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens },
        }
      : {}),
  };
}

async function refusal(
  { endpoint, path, body, apiKey, keyVariable = "VLLM_API_KEY", statusCommand }: ApiRequest,
  response: http.IncomingMessage,
): Promise<StepError> {
  const status = response.statusCode ?? 0;
  const text = await bounded(response);
  const told = (cause: string, next: string) =>
    new StepError(`${endpoint}/${path}: ${cause}\nnext: ${next}`);
  if (status === 200) {
    return told(
      `the answer is no event stream: ${short(text)}`,
      "is this the API of vLLM? Correct --endpoint",
    );
  }
  const cause = `HTTP ${status}: ${refusalText(text)}`;
  switch (status) {
    case 401:
      return told(
        cause,
        apiKey === undefined
          ? "export VLLM_API_KEY: the API is guarded, and the stack file has no apiKey"
          : keyVariable === "VLLM_API_KEY"
            ? "the key is not the one that runs: correct VLLM_API_KEY, or `pulumi up` after a rotation"
            : `the key is wrong or expired: correct ${keyVariable}`,
      );
    case 403:
      return told(
        cause,
        keyVariable === "VLLM_API_KEY"
          ? "correct the request"
          : `a key of scope management cannot ask a model: ${keyVariable} must be one of scope inference`,
      );
    case 404:
      return told(
        cause,
        `the stack file says servedModelName ${String(body["model"])}: \`pulumi up\` if it has changed since; ${statusCommand}`,
      );
    default:
      return told(
        cause,
        status < 500
          ? "correct the request"
          : keyVariable === "VLLM_API_KEY"
            ? `${statusCommand}; vllm-cluster logs`
            : statusCommand,
      );
  }
}

/** Error pages of proxies may be long; only their beginning is shown. */
async function bounded(response: http.IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of response.setEncoding("utf8")) {
    text += String(piece);
    if (text.length > 10_000) break;
  }
  return text;
}

function refusalText(text: string): string {
  try {
    return errorText(JSON.parse(text) as Chunk) || short(text);
  } catch {
    return short(text) || "no text";
  }
}

/** `{"error": {"message": …}}`, `{"error": "Unauthorized"}` and FastAPI's `{"detail": …}`. */
function errorText({ error, detail }: Chunk): string {
  if (typeof error === "string") return error;
  return error?.message ?? (typeof detail === "string" ? detail : JSON.stringify(detail ?? ""));
}

function short(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, " ");
  return line.length > 300 ? `${line.slice(0, 297)}...` : line;
}

/** What is read of a chunk, and of an error in its place. */
interface Chunk {
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: {
      readonly content?: string | null;
      readonly reasoning?: string | null;
      readonly reasoning_content?: string | null;
    };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
  readonly error?: string | { readonly message?: string };
  readonly detail?: unknown;
}

const CONNECT_SEC = 10;
const NOT_REACHED: ReadonlySet<string> = new Set(["EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT"]);
