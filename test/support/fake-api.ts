import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export type Responder = (response: ServerResponse, request: IncomingMessage) => void;

/** What vLLM streams for a chat: role, reasoning, text, end, usage. */
export const CHAT_EVENTS = [
  '{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"reasoning":"hm"},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"content":"Sle"},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"content":"ep 好"},"finish_reason":"stop"}]}',
  '{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}',
  "[DONE]",
];

export function events(...data: readonly string[]): Responder {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.end(data.map((line) => `data: ${line}\n\n`).join(""));
  };
}

export function json(status: number, body: unknown): Responder {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
}

/** The API in this process: answers as told, and keeps what it was asked. */
export class FakeApi {
  readonly requests: { path: string; authorization: string | undefined; body: unknown }[] = [];
  respond: Responder = events(...CHAT_EVENTS);
  private readonly server: Server = createServer((request, response) => {
    void text(request).then((body) => {
      const { authorization } = request.headers;
      this.requests.push({ path: request.url ?? "", authorization, body: JSON.parse(body) });
      this.respond(response, request);
    });
  });

  async start(): Promise<void> {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}
