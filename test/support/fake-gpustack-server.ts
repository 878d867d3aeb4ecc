import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { FAKE_KEY, FAKE_URL, FakeGpustack } from "../provider/fake-gpustack.js";

/** The in-memory GPUStack behind a port of this machine, for processes of their own. Its workers live twice as fast. */
export class FakeGpustackServer {
  readonly fake = new FakeGpustack();
  readonly #clock: NodeJS.Timeout;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += String(chunk);
      });
      request.on("end", () => {
        const headers = { authorization: String(request.headers["authorization"]) };
        const { method } = request;
        void this.fake
          .fetch(`${FAKE_URL}${request.url}`, {
            method: method!,
            headers,
            ...(body ? { body } : {}),
          })
          .then(async (answered) => {
            response.writeHead(answered.status, { "content-type": "application/json" });
            response.end(await answered.text());
          });
      });
    });
    this.#clock = setInterval(() => void this.fake.sleep(500), 250);
  }

  static async start(): Promise<FakeGpustackServer> {
    const started = new FakeGpustackServer();
    await new Promise<void>((resolve) => started.#server.listen(0, "127.0.0.1", resolve));
    return started;
  }

  get connection() {
    const { port } = this.#server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}`, apiKey: FAKE_KEY };
  }

  stop(): void {
    clearInterval(this.#clock);
    this.#server.close();
  }
}
