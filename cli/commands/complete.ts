import { text as readAll } from "node:stream/consumers";
import type { Command } from "commander";
import {
  type AnswerOptions,
  AnswerPrinter,
  addAnswerOptions,
  apiTarget,
  collectAnswer,
  samplingBody,
} from "../answer.js";
import { EXIT_INTERRUPTED, UsageError } from "../errors.js";

/** `vllm-cluster complete`: the model continues a text. */
export function addCompleteCommand(program: Command): void {
  addAnswerOptions(program.command("complete"))
    .argument("[prompt...]", "the text; without it, standard input is read")
    .summary("the model continues a text")
    .description(
      "Sends a text to /v1/completions and prints what the model adds, as it comes. No chat template is applied.\n" +
        "The key of a guarded API comes from VLLM_API_KEY, else from the stack's secret apiKey.\n" +
        "Through GPUStack: GPUSTACK_URL and GPUSTACK_INFERENCE_KEY, else the stack's secrets.",
    )
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster complete --stack qwen3-235b-ray-tp8-pp2 --max-tokens 100 "tell me how to sleep well"
  vllm-cluster complete --stack qwen3-235b-ray-tp8-pp2 --json <prompt.txt | jq .usage`,
    )
    .action(async (words: readonly string[], options: AnswerOptions) => {
      const prompt = await readPrompt(words);
      const target = apiTarget(options);
      const body = { model: target.model, prompt, ...samplingBody(options) };
      await answerOnce({ ...target, path: "completions", body }, options);
    });
}

/**
 * The words of the command line, or else all of standard input.
 *
 * @throws UsageError when there is neither.
 */
export async function readPrompt(words: readonly string[]): Promise<string> {
  if (words.length === 0 && process.stdin.isTTY) {
    throw new UsageError("nothing to ask: add a text, or give one on standard input");
  }
  const prompt = words.length > 0 ? words.join(" ") : await readAll(process.stdin);
  if (prompt.trim() === "") throw new UsageError("nothing to ask: the text is empty");
  return prompt;
}

/** Asks one question and prints the answer. Ctrl-C closes the request, so that vLLM drops it. */
export async function answerOnce(
  request: Omit<Parameters<typeof collectAnswer>[0], "signal">,
  { json }: AnswerOptions,
): Promise<void> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const printer = new AnswerPrinter();
  try {
    const show = json ? () => undefined : printer.show;
    const answer = await collectAnswer({ ...request, signal: stop.signal }, show);
    if (json) process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`);
    else printer.end(answer);
  } catch (error) {
    if (!json) printer.end();
    if (!stop.signal.aborted) throw error;
    process.exitCode = EXIT_INTERRUPTED;
  }
}
