// `complete` and `chat` against a small HTTP server in the place of vLLM, which answers with recorded shapes of vLLM 0.23. Does
// not prove that a model answers, nor that a template knows `enable_thinking`; the lab tests ask real engines.
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import fc from "fast-check";
import { collectAnswer, summary } from "../../cli/answer.js";
import { type AnswerPiece, streamAnswer } from "../../cli/api-client.js";
import { StepError } from "../../cli/errors.js";
import { eventData } from "../../cli/server-sent-events.js";
import { events, FakeApi, json, type Responder } from "../support/fake-api.js";

const KEY = "canary-api-key-51d2";

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
