// `vllm-cluster complete` and `chat` as a person calls them, against a small HTTP server in the place of vLLM and a script in the
// place of pulumi. Does not prove that a model answers; the lab tests ask real engines. How answers are read: test/cli/answer.test.ts.
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { readApiKey } from "../../cli/api-key.js";
import { loadStack } from "../../cli/stack.js";
import { CHAT_EVENTS, events, FakeApi } from "../support/fake-api.js";
import { rawCluster } from "../support/specs.js";

const REPO = join(dirname(fileURLToPath(import.meta.url)), "../..");
const KEY = "canary-api-key-51d2";

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
    // In the place of pulumi, which this layer does not have.
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
