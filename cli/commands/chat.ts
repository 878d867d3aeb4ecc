import { createInterface } from "node:readline";
import { type Command, Option } from "commander";
import {
  type AnswerOptions,
  AnswerPrinter,
  type ApiTarget,
  addAnswerOptions,
  apiTarget,
  collectAnswer,
  samplingBody,
} from "../answer.js";
import { StepError, UsageError } from "../errors.js";
import { answerOnce, readPrompt } from "./complete.js";

interface ChatOptions extends AnswerOptions {
  readonly system?: string;
  readonly thinking?: "on" | "off";
}

/** `vllm-cluster chat`: one question, or a conversation. */
export function addChatCommand(program: Command): void {
  addAnswerOptions(program.command("chat"))
    .argument("[message...]", "one question; without it, a conversation on a terminal")
    .summary("ask the model, once or in a conversation")
    .description(
      "Sends messages to /v1/chat/completions and prints the answer as it comes; what the model thinks before goes to\n" +
        "standard error. Without a message, a terminal starts a conversation and anything else is read as the message.\n" +
        "Ctrl-C ends an answer. The key of a guarded API comes from VLLM_API_KEY, else from the stack's secret apiKey.\n" +
        "Through GPUStack: GPUSTACK_URL and GPUSTACK_INFERENCE_KEY, else the stack's secrets.",
    )
    .option("--system <text>", "the system message")
    .addOption(
      new Option(
        "--thinking <switch>",
        "let the model think before it answers; unset = the model's own default",
      ).choices(["on", "off"]),
    )
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster chat --stack qwen3-235b-ray-tp8-pp2 --thinking off "tell me how to sleep well"
  vllm-cluster chat --stack qwen3-235b-ray-tp8-pp2
  vllm-cluster chat --stack qwen3-235b-ray-tp8-pp2 --json "hello" | jq -r .text`,
    )
    .action(async (words: readonly string[], options: ChatOptions) => {
      if (words.length === 0 && process.stdin.isTTY) {
        if (options.json) throw new UsageError("--json needs a message");
        await converse(apiTarget(options), options);
        return;
      }
      const content = await readPrompt(words);
      const target = apiTarget(options);
      const body = chatBody(target, options, [{ role: "user", content }]);
      await answerOnce({ ...target, path: "chat/completions", body }, options);
    });
}

interface Message {
  readonly role: "user" | "assistant";
  readonly content: string;
}

function chatBody(
  { model }: ApiTarget,
  options: ChatOptions,
  messages: readonly Message[],
): Record<string, unknown> {
  const { system, thinking } = options;
  return {
    model,
    messages: [...(system === undefined ? [] : [{ role: "system", content: system }]), ...messages],
    ...samplingBody(options),
    // At the top level: `extra_body` is how OpenAI's SDK writes it, and vLLM ignores a field of that name.
    ...(thinking === undefined
      ? {}
      : { chat_template_kwargs: { enable_thinking: thinking === "on" } }),
  };
}

/** A question that got no answer is forgotten, so that the next one can be asked as if it had not been. */
async function converse(target: ApiTarget, options: ChatOptions): Promise<void> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, prompt: "> " });
  let answering: AbortController | undefined;
  lines.on("SIGINT", () => {
    if (answering === undefined) lines.close();
    else answering.abort();
  });
  process.stderr.write(`${target.model} at ${target.endpoint}; Ctrl-D ends\n`);
  let messages: readonly Message[] = [];
  lines.prompt();
  for await (const content of lines) {
    if (content.trim() !== "") {
      const asked: readonly Message[] = [...messages, { role: "user", content }];
      answering = new AbortController();
      const text = await ask(target, chatBody(target, options, asked), answering.signal);
      answering = undefined;
      if (text !== undefined) messages = [...asked, { role: "assistant", content: text }];
    }
    lines.prompt();
  }
  process.stderr.write("\n");
}

/** The text of the answer; nothing when it failed, which is told, or was ended by Ctrl-C. */
async function ask(
  target: ApiTarget,
  body: Record<string, unknown>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const printer = new AnswerPrinter();
  try {
    const answer = await collectAnswer(
      { ...target, path: "chat/completions", body, signal },
      printer.show,
    );
    printer.end(answer);
    return answer.text;
  } catch (error) {
    printer.end();
    if (!signal.aborted && !(error instanceof StepError)) throw error;
    if (error instanceof StepError) process.stderr.write(`vllm-cluster: ${error.message}\n`);
    return undefined;
  }
}
