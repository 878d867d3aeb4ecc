import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

export const HUB_REPOSITORY = "acme/tiny";
export const HUB_REVISION = "0123456789abcdef0123456789abcdef01234567";

/** A server that speaks the protocols of huggingface.co and modelscope.cn for one repository at one commit. */
export class FakeHub {
  /** `Range` of every request for a file, in order. */
  readonly ranges: string[] = [];
  /** The next answers with content end after so many bytes. */
  readonly cutAfter: number[] = [];
  private readonly server = createServer((request, response) => this.answer(request, response));

  /** @param files content by path */
  constructor(private readonly files: Readonly<Record<string, Buffer>>) {}

  /** @returns base URL */
  async listen(address: string): Promise<string> {
    this.server.listen(0, address);
    await once(this.server, "listening");
    return `http://${address}:${(this.server.address() as { port: number }).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://hub");
    const path = decodeURIComponent(url.pathname);
    const resolve = `/${HUB_REPOSITORY}/resolve/${HUB_REVISION}/`;
    const modelScope = `/api/v1/models/${HUB_REPOSITORY}/repo`;
    if (path === `/api/models/${HUB_REPOSITORY}/revision/${HUB_REVISION}`) {
      sendJson(response, { sha: HUB_REVISION, siblings: this.siblings() });
    } else if (path === `${modelScope}/files`) {
      sendJson(response, { Code: 200, Data: { Files: this.modelScopeFiles() } });
    } else if (path.startsWith(resolve)) {
      this.sendFile(path.slice(resolve.length), request, response);
    } else if (path === modelScope && url.searchParams.get("Revision") === HUB_REVISION) {
      this.sendFile(url.searchParams.get("FilePath") ?? "", request, response);
    } else {
      response.writeHead(404).end();
    }
  }

  private siblings(): readonly object[] {
    return Object.entries(this.files).map(([rfilename, data]) => ({
      rfilename,
      size: data.length,
      blobId: createHash("sha1").update(`blob ${data.length}\0`).update(data).digest("hex"),
      ...(data.length > 100_000 ? { lfs: { size: data.length, sha256: sha256(data) } } : {}),
    }));
  }

  private modelScopeFiles(): readonly object[] {
    return Object.entries(this.files).map(([path, data]) => ({
      Path: path,
      Type: "blob",
      Size: data.length,
      Sha256: sha256(data),
    }));
  }

  private sendFile(path: string, request: IncomingMessage, response: ServerResponse): void {
    const data = this.files[path];
    if (data === undefined) {
      response.writeHead(404).end();
      return;
    }
    const { range } = request.headers;
    if (data.length > 100_000) this.ranges.push(range ?? "all");
    const begin = range === undefined ? 0 : Number(/^bytes=(\d+)-$/.exec(range)?.[1]);
    response.writeHead(range === undefined ? 200 : 206, {
      etag: `"${sha256(data)}"`,
      "content-length": data.length - begin,
      ...(range === undefined
        ? {}
        : { "content-range": `bytes ${begin}-${data.length - 1}/${data.length}` }),
    });
    const cut = data.length > 100_000 ? this.cutAfter.shift() : undefined;
    if (cut === undefined) response.end(data.subarray(begin));
    else response.write(data.subarray(begin, begin + cut), () => response.destroy());
  }
}

function sendJson(response: ServerResponse, value: object): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function sha256(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}
