import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeComment {
  readonly id: number;
  body: string;
  readonly author: string;
}

/**
 * The part of GitHub's and GitLab's API that `vllm-cluster comment` uses, for pull request 7 of `acme/serving` and merge request 7 of
 * project 42. Written from their documentation, not recorded.
 */
export class FakeReviewApi {
  readonly comments: FakeComment[] = [];
  /** `<method> <path>` of every request. */
  readonly requests: string[] = [];
  headSha = "a".repeat(40);
  private readonly server: Server;

  constructor(private readonly token: string) {
    this.server = createServer((request, response) => {
      void this.answer(request).then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async answer(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    const { method = "", headers } = request;
    const url = new URL(request.url ?? "", "http://localhost");
    this.requests.push(`${method} ${url.pathname}`);
    if (
      headers.authorization !== `Bearer ${this.token}` &&
      headers["private-token"] !== this.token
    ) {
      return { status: 401, body: { message: "Bad credentials" } };
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString("utf8");
    const sent = text === "" ? "" : (JSON.parse(text) as { body: string }).body;
    const page = Number(url.searchParams.get("page") ?? 1);
    const size = Number(url.searchParams.get("per_page") ?? 30);
    const list = this.comments.slice((page - 1) * size, page * size);
    const own = url.pathname.startsWith("/api/v4") ? "robot" : "github-actions[bot]";
    const id = Number(/\/(?:comments|notes)\/(\d+)$/.exec(url.pathname)?.[1]);
    const comment = this.comments.find((each) => each.id === id);
    switch (`${method} ${url.pathname.replace(/\/(comments|notes)\/\d+$/, "/$1/ID")}`) {
      case "GET /repos/acme/serving/pulls/7":
        return { status: 200, body: { head: { sha: this.headSha } } };
      case "GET /repos/acme/serving/issues/7/comments":
        return {
          status: 200,
          body: list.map(({ author, ...rest }) => ({
            ...rest,
            user: { login: author, type: author.endsWith("[bot]") ? "Bot" : "User" },
          })),
        };
      case "GET /api/v4/user":
        return { status: 200, body: { id: 5 } };
      case "GET /api/v4/projects/42/merge_requests/7/notes":
        return {
          status: 200,
          body: list.map(({ author, ...rest }) => ({
            ...rest,
            author: { id: author === "robot" ? 5 : 6 },
          })),
        };
      case "POST /repos/acme/serving/issues/7/comments":
      case "POST /api/v4/projects/42/merge_requests/7/notes":
        this.comments.push({ id: 1000 + this.comments.length, body: sent, author: own });
        return { status: 201, body: {} };
      case "PATCH /repos/acme/serving/issues/comments/ID":
      case "PUT /api/v4/projects/42/merge_requests/7/notes/ID":
        if (comment === undefined) return { status: 404, body: {} };
        comment.body = sent;
        return { status: 200, body: {} };
      default:
        return { status: 404, body: { message: `${method} ${url.pathname}` } };
    }
  }
}
