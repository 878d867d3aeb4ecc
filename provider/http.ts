import type { z } from "zod";
import { redact, serverMessage, wayOut } from "../core/gpustack/server-error.js";

/** Where the server is, and with which key it is asked. */
export interface Connection {
  readonly url: string;
  readonly apiKey: string;
}

/** Clock and network of the client; tests replace them. */
export interface Effects {
  readonly fetch: typeof fetch;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

export const realEffects: Effects = {
  fetch: (...args) => fetch(...args),
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** A request that the server has refused, or that has got no usable answer. One line, free of secrets. */
export class GpustackError extends Error {
  override readonly name = "GpustackError";

  constructor(
    message: string,
    /** HTTP status; 0 when there was no answer at all. */
    readonly status: number,
  ) {
    super(message);
  }

  /** Whether the request may have taken effect all the same: the state has to be looked up before it is sent again. */
  get isAmbiguous(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

/** Whether an error is the server's answer that there is no such thing. */
export function isMissing(error: unknown): boolean {
  return error instanceof GpustackError && error.status === 404;
}

export interface RequestOptions {
  readonly body?: unknown;
  /** What must not show in an error, by name: values of the body that are environment or keys. */
  readonly secrets?: ReadonlyMap<string, string>;
  /** How long reads are repeated while the server does not answer. @default 60 s */
  readonly patienceMs?: number;
  /** For the whole answer. @default 30 s */
  readonly timeoutMs?: number;
}

/** JSON over HTTP to one GPUStack server. */
export class GpustackHttp {
  constructor(
    readonly connection: Connection,
    readonly effects: Effects = realEffects,
  ) {}

  /**
   * A read. Repeated while the server is down or overloaded, because reading twice harms nothing.
   *
   * @throws GpustackError
   */
  async get<T extends z.ZodType>(
    path: string,
    schema: T,
    options: RequestOptions = {},
  ): Promise<z.output<T>> {
    const deadline = this.effects.now() + (options.patienceMs ?? READ_PATIENCE_MS);
    for (let pauseMs = 500; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      try {
        return await this.send("GET", path, schema, options);
      } catch (error) {
        const isWorthRepeating =
          error instanceof GpustackError && (error.isAmbiguous || error.status === 429);
        if (!isWorthRepeating || this.effects.now() + pauseMs > deadline) throw error;
        await this.effects.sleep(pauseMs);
      }
    }
  }

  /**
   * One request, sent once. A write is never repeated blindly: after an ambiguous error the caller looks up what it has
   * done.
   *
   * @throws GpustackError
   */
  async send<T extends z.ZodType>(
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    schema: T,
    { body, secrets = new Map(), timeoutMs = REQUEST_TIMEOUT_MS }: RequestOptions = {},
  ): Promise<z.output<T>> {
    const where = `GPUStack ${method} ${path}`;
    const clean = (text: string) =>
      redact(text, new Map([...secrets, [this.connection.apiKey, "API key"]]));
    let status: number;
    let text: string;
    try {
      const response = await this.effects.fetch(`${this.connection.url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${this.connection.apiKey}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
        // A redirect would carry the key to another host.
        redirect: "error",
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      throw new GpustackError(
        clean(
          `${where}: no answer from ${this.connection.url} (${causeOf(error, timeoutMs)}): check that the server runs and that GPUSTACK_URL is its address`,
        ),
        0,
      );
    }
    const answer = parseJson(text);
    if (status >= 400) {
      const way = wayOut(status, path);
      throw new GpustackError(
        clean(
          `${where}: ${status} ${serverMessage(status, answer)}${way === undefined ? "" : `; ${way}`}`,
        ),
        status,
      );
    }
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw new GpustackError(
      `${where}: ${status} with an unexpected answer (${issue?.path.join(".") || "whole"}: ${issue?.message}): is ${this.connection.url} a GPUStack server of version 2.3?`,
      status,
    );
  }
}

function parseJson(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text.replace(/<[^>]*>/g, " ");
  }
}

/** `fetch` hides why behind "fetch failed". */
function causeOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `none within ${timeoutMs / 1000} s`;
  const { cause } = error;
  if (cause instanceof Error)
    return cause.message || (cause as NodeJS.ErrnoException).code || "failed";
  return error.message;
}

const REQUEST_TIMEOUT_MS = 30_000;
const READ_PATIENCE_MS = 60_000;
const MAX_PAUSE_MS = 5000;
