import { type Command, InvalidArgumentError } from "commander";
import { type AnswerPiece, type ApiRequest, streamAnswer } from "./api-client.js";
import { readApiKey } from "./api-key.js";
import { gpustackValue } from "./gpustack-connection.js";
import { positiveInteger } from "./numbers.js";
import { addStackOptions, loadStack, type StackOptions } from "./stack.js";

/** What `complete` and `chat` are both called with. */
export interface AnswerOptions extends StackOptions {
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly endpoint?: string;
  readonly timeout: number;
  readonly json?: true;
}

/** Adds the options that `complete` and `chat` share. */
export function addAnswerOptions(command: Command): Command {
  return addStackOptions(command)
    .option("--max-tokens <count>", "longest answer, in tokens", positiveInteger)
    .option("--temperature <number>", "0 = always the likeliest token", temperature)
    .option("--endpoint <url>", "base URL with /v1, when the head is reached another way", baseUrl)
    .option("--timeout <seconds>", "longest silence of the server", positiveInteger, 300)
    .option("--json", "print answer, usage and times as JSON");
}

/** Where a stack's API is, and how to ask it. */
export type ApiTarget = Pick<
  ApiRequest,
  "endpoint" | "apiKey" | "keyVariable" | "timeoutSec" | "statusCommand"
> & {
  readonly model: string;
};

/**
 * @throws UsageError for a stack file with problems.
 * @throws StepError when the key of a guarded API cannot be read.
 */
export function apiTarget(options: AnswerOptions): ApiTarget {
  const stack = loadStack(options);
  const common = {
    timeoutSec: options.timeout,
    statusCommand: `vllm-cluster status --stack ${stack.name}`,
  };
  if (stack.gpustack !== undefined) {
    return {
      ...common,
      endpoint:
        options.endpoint ?? `${gpustackValue(stack, "GPUSTACK_URL").replace(/\/+$/, "")}/v1`,
      model: stack.gpustack.plan.model,
      apiKey: gpustackValue(stack, "GPUSTACK_INFERENCE_KEY"),
      keyVariable: "GPUSTACK_INFERENCE_KEY",
    };
  }
  return {
    ...common,
    endpoint: options.endpoint ?? stack.plan.endpoint.url,
    model: stack.plan.endpoint.model,
    apiKey: readApiKey(stack),
    keyVariable: "VLLM_API_KEY",
  };
}

/** The parameters that a user has set; what is left out is vLLM's or the model's own default. */
export function samplingBody({ maxTokens, temperature }: AnswerOptions): Record<string, number> {
  return {
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
  };
}

/** A whole answer. */
export interface Answer {
  readonly endpoint: string;
  readonly model: string;
  readonly text: string;
  readonly reasoning?: string;
  /** `stop`: the model has ended; `length`: the limit of tokens was reached. */
  readonly finishReason?: string;
  readonly usage?: NonNullable<AnswerPiece["usage"]>;
  readonly firstPieceSec: number;
  readonly totalSec: number;
}

/** Asks, shows each piece as it comes, and returns the whole. */
export async function collectAnswer(
  request: ApiRequest & { readonly model: string },
  show: (piece: AnswerPiece) => void,
): Promise<Answer> {
  const begin = performance.now();
  const since = () => Math.round(performance.now() - begin) / 1000;
  let text = "";
  let reasoning = "";
  let firstPieceSec: number | undefined;
  let last: Pick<AnswerPiece, "finishReason" | "usage"> = {};
  for await (const piece of streamAnswer(request)) {
    if (piece.text !== undefined || piece.reasoning !== undefined) firstPieceSec ??= since();
    text += piece.text ?? "";
    reasoning += piece.reasoning ?? "";
    const { finishReason, usage } = piece;
    last = { ...last, ...(finishReason ? { finishReason } : {}), ...(usage ? { usage } : {}) };
    show(piece);
  }
  const { endpoint, model } = request;
  return {
    ...{ endpoint, model, text },
    ...(reasoning === "" ? {} : { reasoning }),
    ...last,
    ...{ firstPieceSec: firstPieceSec ?? since(), totalSec: since() },
  };
}

/**
 * Shows an answer to a person: the text on standard output, the model's reasoning and the last line on standard error, so
 * that a pipe gets the answer only.
 */
export class AnswerPrinter {
  private isReasoning = false;

  readonly show = ({ text, reasoning }: AnswerPiece): void => {
    if (reasoning !== undefined) {
      this.isReasoning = true;
      process.stderr.write(printable(reasoning, process.stderr));
    }
    if (text === undefined) return;
    if (this.isReasoning) process.stderr.write("\n\n");
    this.isReasoning = false;
    process.stdout.write(printable(text, process.stdout));
  };

  /** After the last piece, also when it was not the planned one. */
  end(answer?: Answer): void {
    process.stdout.write("\n");
    if (answer !== undefined) process.stderr.write(`${summary(answer)}\n`);
  }
}

/** `[8 tokens in 1.2 s, the first after 0.4 s; stopped at the limit of tokens]` */
export function summary({ usage, finishReason, firstPieceSec, totalSec }: Answer): string {
  const count = usage === undefined ? "" : `${usage.completionTokens} tokens in `;
  const end = finishReason === "length" ? "; stopped at the limit of tokens" : "";
  return `[${count}${totalSec.toFixed(1)} s, the first after ${firstPieceSec.toFixed(1)} s${end}]`;
}

/** What a model writes must not control the terminal that shows it. */
function printable(text: string, { isTTY }: NodeJS.WriteStream): string {
  return isTTY ? text.replaceAll(/(?![\n\t])\p{Cc}/gu, "") : text;
}

function temperature(value: string): number {
  const number = Number(value);
  if (value.trim() === "" || !(number >= 0 && number <= 2)) {
    throw new InvalidArgumentError("It must be a number from 0 to 2.");
  }
  return number;
}

function baseUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new InvalidArgumentError("It must be a URL such as http://127.0.0.1:8000/v1.");
  }
  return value;
}
