// `complete` and `chat` against a small HTTP server in the place of vLLM, which answers with recorded shapes of vLLM 0.23. Does
// not prove that a model answers, nor that a template knows `enable_thinking`; the lab tests ask real engines.
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { stringify } from "yaml";
import { collectAnswer, summary } from "../../cli/answer.js";
import { type AnswerPiece, streamAnswer } from "../../cli/api-client.js";
import { readApiKey } from "../../cli/api-key.js";
import { StepError } from "../../cli/errors.js";
import { eventData } from "../../cli/server-sent-events.js";
import { loadStack } from "../../cli/stack.js";
import { rawCluster } from "../support/specs.js";

const REPO = join(dirname(fileURLToPath(import.meta.url)), "../..");
const KEY = "canary-api-key-51d2";

type Responder = (response: ServerResponse, request: IncomingMessage) => void;

/** What vLLM streams for a chat: role, reasoning, text, end, usage. */
const CHAT_EVENTS = [
  '{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"reasoning":"hm"},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"content":"Sle"},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"content":"ep 好"},"finish_reason":"stop"}]}',
  '{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}',
  "[DONE]",
];

function events(...data: readonly string[]): Responder {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.end(data.map((line) => `data: ${line}\n\n`).join(""));
  };
}

function json(status: number, body: unknown): Responder {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
}

/** The API in this process: answers as told, and keeps what it was asked. */
class FakeApi {
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

describe("server-sent events", () => {
  it("are the same however the stream is cut and its lines end", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "grapheme" }).filter((data) => !/[\r\n]/.test(data))),
        fc.constantFrom("\n", "\r\n", "\r"),
        fc.infiniteStream(fc.integer({ min: 1, max: 7 })),
        async (data, end, sizes) => {
          const bytes = Buffer.from(
            data.map((line) => `: ping${end}id: 1${end}data: ${line}${end}${end}`).join(""),
          );
          async function* pieces() {
            for (let at = 0; at < bytes.length; ) {
              const size = sizes.next().value;
              yield bytes.subarray(at, at + size);
              at += size;
            }
          }
          const seen = [];
          // A last lone CR could be half of CR LF: only a further byte tells.
          for await (const event of eventData(pieces())) seen.push(event);
          assert.deepEqual(seen, end === "\r" ? data.slice(0, -1) : data);
        },
      ),
      { numRuns: 100 },
    ));
});

describe("an answer of the API", () => {
  let api: FakeApi;
  beforeEach(async () => {
    api = new FakeApi();
    await api.start();
  });
  afterEach(() => api.stop());

  function request(overrides: Partial<Parameters<typeof collectAnswer>[0]> = {}) {
    return {
      endpoint: `http://127.0.0.1:${api.port}/v1`,
      path: "chat/completions" as const,
      model: "qwen",
      body: { model: "qwen" },
      signal: new AbortController().signal,
      timeoutSec: 5,
      statusCommand: "vllm-cluster status --stack prod",
      ...overrides,
    };
  }

  async function failure(respond: Responder, overrides = {}): Promise<string> {
    api.respond = respond;
    try {
      await collectAnswer(request(overrides), () => undefined);
    } catch (error) {
      assert.ok(error instanceof StepError, String(error));
      return error.message;
    }
    assert.fail("was an answer");
  }

  it("is shown piece by piece, and whole at the end with reasoning, usage and why it ended", async () => {
    const shown: AnswerPiece[] = [];
    const answer = await collectAnswer(request(), (piece) => shown.push(piece));
    assert.deepEqual(
      shown.flatMap((piece) => piece.text ?? []),
      ["Sle", "ep 好"],
    );
    const { firstPieceSec, totalSec, ...rest } = answer;
    assert.deepEqual(rest, {
      endpoint: request().endpoint,
      model: "qwen",
      text: "Sleep 好",
      reasoning: "hm",
      finishReason: "stop",
      usage: { promptTokens: 9, completionTokens: 4 },
    });
    assert.ok(firstPieceSec <= totalSec);
    assert.equal(
      summary({ ...answer, firstPieceSec: 0.42, totalSec: 1.234, finishReason: "length" }),
      "[4 tokens in 1.2 s, the first after 0.4 s; stopped at the limit of tokens]",
    );
  });

  it("of a text completion comes from the same stream", async () => {
    api.respond = events(
      '{"choices":[{"index":0,"text":"a","finish_reason":null}]}',
      '{"choices":[{"index":0,"text":" b","finish_reason":"length"}]}',
      "[DONE]",
    );
    const { text: whole, finishReason } = await collectAnswer(
      request({ path: "completions" }),
      () => undefined,
    );
    assert.deepEqual([whole, finishReason], ["a b", "length"]);
    assert.equal(api.requests[0]!.path, "/v1/completions");
  });

  it("of an old vLLM has its reasoning under the old name", async () => {
    api.respond = events('{"choices":[{"delta":{"reasoning_content":"hm"}}]}', "[DONE]");
    const { reasoning } = await collectAnswer(request(), () => undefined);
    assert.equal(reasoning, "hm");
  });

  const refusals: readonly [title: string, respond: Responder, message: RegExp][] = [
    [
      "a guarded API without a key",
      json(401, { error: "Unauthorized" }),
      /^http:\S+\/v1\/chat\/completions: HTTP 401: Unauthorized\nnext: export VLLM_API_KEY/,
    ],
    [
      "a model of another name",
      json(404, { error: { message: "The model `qwen` does not exist.", type: "NotFoundError" } }),
      /HTTP 404: The model `qwen` does not exist\.\nnext: .*servedModelName qwen/,
    ],
    [
      "a request that vLLM refuses",
      json(400, { error: { message: "max_tokens must be at least 1" } }),
      /HTTP 400: max_tokens must be at least 1\nnext: correct the request/,
    ],
    [
      "an engine that has died",
      json(500, { error: { message: "EngineCore encountered an issue." } }),
      /HTTP 500: EngineCore encountered an issue\.\nnext: vllm-cluster status --stack prod; /,
    ],
    [
      "a page that is no API",
      (response) => response.writeHead(200, { "content-type": "text/html" }).end("<h1>hello</h1>"),
      /the answer is no event stream: <h1>hello<\/h1>\nnext: .*--endpoint/,
    ],
    [
      "an error inside of the stream",
      events('{"choices":[{"text":"a"}]}', '{"error":{"message":"Internal server error"}}'),
      /the answer ended with an error: Internal server error\nnext: vllm-cluster status/,
    ],
    [
      "a stream without an end",
      events('{"choices":[{"text":"a"}]}'),
      /the answer broke off before its end\nnext: vllm-cluster status/,
    ],
    [
      "a connection that breaks",
      (response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write('data: {"choices":[{"text":"a"}]}\n\n', () => response.destroy());
      },
      /^http:\S+\/v1: aborted\nnext: vllm-cluster status --stack prod; /,
    ],
  ];
  for (const [title, respond, message] of refusals) {
    it(`tells endpoint, cause and next action of ${title}`, async () => {
      assert.match(await failure(respond), message);
    });
  }

  it("tells a wrong key from a missing one", async () => {
    const said = await failure(json(401, { error: "Unauthorized" }), { apiKey: KEY });
    assert.match(said, /the key is not the one that runs/);
    assert.doesNotMatch(said, new RegExp(KEY));
  });

  it("is not waited for when nothing comes for the given time, before or within it", async () => {
    for (const respond of [
      () => undefined,
      (response: ServerResponse) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write('data: {"choices":[{"text":"a"}]}\n\n');
      },
    ]) {
      assert.match(
        await failure(respond, { timeoutSec: 0.1 }),
        /: nothing came for 0\.1 s\nnext: .*--timeout/,
      );
    }
  });

  it("of a port on which nothing listens is a refused connection", async () => {
    const closed = new FakeApi();
    await closed.start();
    const endpoint = `http://127.0.0.1:${closed.port}/v1`;
    await closed.stop();
    const said = await failure(() => undefined, { endpoint });
    assert.match(said, /^http:\S+: connect ECONNREFUSED \S+\nnext: vllm-cluster status/);
  });

  it("ends with the signal of the caller, and the server sees the connection close", async () => {
    const stop = new AbortController();
    const closed = new Promise<void>((resolve) => {
      api.respond = (response) => {
        response.on("close", resolve);
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write('data: {"choices":[{"text":"a"}]}\n\n');
      };
    });
    await assert.rejects(async () => {
      for await (const _ of streamAnswer(request({ signal: stop.signal }))) stop.abort();
    }, /abort/i);
    await closed;
  });
});

describe("vllm-cluster complete and chat", () => {
  let api: FakeApi;
  let dir: string;

  before(async () => {
    api = new FakeApi();
    await api.start();
    dir = mkdtempSync(join(tmpdir(), "answer-"));
    const cluster = rawCluster();
    cluster.nodes[0]!.address = "127.0.0.1";
    cluster.serve.port = api.port;
    const secret = { secure: "v1:ciphertext" };
    writeFileSync(
      join(dir, "Pulumi.prod.yaml"),
      stringify({ config: { "vllm-ascend:cluster": cluster, "vllm-ascend:apiKey": secret } }),
    );
    mkdirSync(join(dir, "bin"));
    // In the place of pulumi, which the unit layer does not have.
    writeFileSync(
      join(dir, "bin", "pulumi"),
      `#!/bin/bash\n[ "$*" = "config get vllm-ascend:apiKey --stack prod --config-file ${dir}/Pulumi.prod.yaml --non-interactive" ] || { echo "error: $*" >&2; exit 255; }\necho ${KEY}\n`,
      { mode: 0o755 },
    );
  });
  beforeEach(() => {
    api.respond = events(...CHAT_EVENTS);
    api.requests.splice(0);
  });
  after(async () => {
    await api.stop();
    rmSync(dir, { recursive: true });
  });

  function start(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const [command = "", ...args] = argv;
    return spawn(command, args, {
      cwd: REPO,
      env: { PATH: `${dir}/bin:${process.env["PATH"]}`, HOME: dir, ...env },
    });
  }

  const cli = (...args: readonly string[]) => [
    ...[process.execPath, "--import", "tsx", "cli/main.ts", args[0]!],
    ...["--file", join(dir, "Pulumi.prod.yaml"), ...args.slice(1)],
  ];

  async function end(child: ChildProcessWithoutNullStreams) {
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      child.exitCode ?? once(child, "exit"),
    ]);
    return { code: child.exitCode, stdout, stderr };
  }

  it("chat prints the answer only on standard output, and asks with the stack's secret key", async () => {
    const child = start(cli("chat", "--thinking", "off", "--system", "be brief", "how", "to?"));
    child.stdin.end();
    const { code, stdout, stderr } = await end(child);
    assert.deepEqual([code, stdout], [0, "Sleep 好\n"], stderr);
    assert.match(stderr, /^hm\n\n\[4 tokens in /);
    assert.deepEqual(api.requests, [
      {
        path: "/v1/chat/completions",
        authorization: `Bearer ${KEY}`,
        body: {
          model: "qwen",
          messages: [
            { role: "system", content: "be brief" },
            { role: "user", content: "how to?" },
          ],
          chat_template_kwargs: { enable_thinking: false },
          stream: true,
          stream_options: { include_usage: true },
        },
      },
    ]);
  });

  it("complete reads standard input, prefers VLLM_API_KEY and gives JSON", async () => {
    api.respond = events('{"choices":[{"text":"a\\u001bb","finish_reason":"length"}]}', "[DONE]");
    const child = start(cli("complete", "--json", "--max-tokens", "3", "--temperature", "0"), {
      VLLM_API_KEY: "from-environment",
    });
    child.stdin.end("the quick");
    const { code, stdout, stderr } = await end(child);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal((JSON.parse(stdout) as { text: string }).text, "a\u001bb");
    const [asked] = api.requests;
    assert.equal(asked?.authorization, "Bearer from-environment");
    const body = asked?.body as Record<string, unknown>;
    assert.deepEqual(
      [body["prompt"], body["max_tokens"], body["temperature"]],
      ["the quick", 3, 0],
    );
  });

  it("ends an answer for Ctrl-C with exit code 130 and no error", async () => {
    api.respond = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write('data: {"choices":[{"text":"begun"}]}\n\n');
    };
    const child = start(cli("complete", "the quick"));
    child.stdout.once("data", () => child.kill("SIGINT"));
    const { code, stdout, stderr } = await end(child);
    assert.deepEqual([code, stdout, stderr], [130, "begun\n", ""]);
  });

  it("holds a conversation on a terminal, each question with what was said before", async () => {
    // script(1) gives the program a terminal.
    const command = cli("chat").join(" ");
    const child = start(["script", "--quiet", "--return", "--command", command, "/dev/null"]);
    let seen = "";
    let asked = 0;
    child.stdout.on("data", (piece: Buffer) => {
      seen += piece.toString();
      const prompts = seen.split("> ").length - 1;
      if (prompts > asked) {
        asked = prompts;
        child.stdin.write(asked === 1 ? "first\n" : asked === 2 ? "second\n" : "\u0004");
      }
    });
    await once(child, "exit");
    assert.equal(child.exitCode, 0, seen);
    assert.match(seen, /Sleep 好/);
    assert.deepEqual(
      api.requests.map(({ body }) => (body as { messages: unknown }).messages),
      [
        [{ role: "user", content: "first" }],
        [
          { role: "user", content: "first" },
          { role: "assistant", content: "Sleep 好" },
          { role: "user", content: "second" },
        ],
      ],
    );
  });

  it("tells how to give the key when pulumi cannot", () => {
    const stack = { ...loadStack({ file: join(dir, "Pulumi.prod.yaml") }), projectDir: dir };
    const path = process.env["PATH"];
    process.env["PATH"] = `${dir}/bin:${path}`;
    try {
      assert.equal(readApiKey(stack), KEY);
      assert.throws(
        () => readApiKey({ ...stack, name: "other" }),
        /^StepError: the API key of stack other cannot be read: pulumi config get: error: config .*\nnext: export VLLM_API_KEY; or /,
      );
    } finally {
      process.env["PATH"] = path;
    }
  });
});
