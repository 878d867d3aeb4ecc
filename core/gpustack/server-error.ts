/**
 * What the server says when it refuses. It has three shapes, and the first failing request to `/v1` changes the shape of
 * all later ones until its restart: the status decides, never the shape. A 422 repeats the whole request, environment
 * included, so only the place and the rule of each complaint are taken from it.
 */

/** One line for people: what the server says, without what was sent to it. */
export function serverMessage(status: number, body: unknown): string {
  const text = rawMessage(body);
  if (text === undefined) return `no explanation (HTTP ${status})`;
  const complaints = validationComplaints(text);
  if (complaints.length > 0) return complaints.join("; ");
  // A validation error of an unknown form still repeats the request.
  if (status === 422)
    return "the request is not valid (the server's text repeats it, so it is left out)";
  return oneLine(text);
}

/** The way out of a refusal, where the status tells one. */
export function wayOut(status: number, path: string): string | undefined {
  if (status === 401 && path.startsWith("/v1/")) {
    return "the inference key is wrong or expired: set GPUSTACK_INFERENCE_KEY";
  }
  if (status === 401) {
    return "the API key is missing, wrong or expired: set GPUSTACK_API_KEY, or the secret `vllm-ascend:gpustackApiKey`";
  }
  if (status === 403) {
    return path.startsWith("/v1/")
      ? "a completion needs a key of scope inference: set GPUSTACK_INFERENCE_KEY"
      : "this needs a key of scope management, made by an administrator of GPUStack";
  }
  if (status >= 500) return "the server's log tells more; run the same command again";
  return undefined;
}

/** Replaces every occurrence of a secret in a text by what it is. */
export function redact(text: string, secrets: ReadonlyMap<string, string>): string {
  let clean = text;
  // The longest first: one value may be part of another.
  for (const value of [...secrets.keys()].sort((a, b) => b.length - a.length)) {
    if (value.length >= MIN_SECRET_LENGTH)
      clean = clean.replaceAll(value, `<${secrets.get(value)}>`);
  }
  return clean;
}

function rawMessage(body: unknown): string | undefined {
  if (typeof body === "string") return body.trim() === "" ? undefined : body;
  if (typeof body !== "object" || body === null) return undefined;
  const { message, error, detail } = body as Record<string, unknown>;
  for (const candidate of [
    message,
    (error as { message?: unknown } | null)?.message,
    error,
    detail,
  ]) {
    if (typeof candidate === "string" && candidate.trim() !== "") return candidate;
  }
  return undefined;
}

/** `'loc': ('body', 'env', 'X'), 'msg': '…'` of each complaint; what was sent (`'input'`) stays behind. */
function validationComplaints(text: string): string[] {
  if (!/validation errors?:/.test(text)) return [];
  const pattern = /'loc': \(([^)]*)\), 'msg': (?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g;
  return [...text.matchAll(pattern)].map(([, place = "", single, double]) => {
    const field = place
      .split(",")
      .map((part) => part.trim().replace(/^'|'$/g, ""))
      .filter((part) => part !== "" && part !== "body")
      .join(".");
    const reason = oneLine((single ?? double ?? "").replace(/^Value error, /, ""));
    return field === "" ? reason : `${field}: ${reason}`;
  });
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > MAX_MESSAGE_LENGTH ? `${line.slice(0, MAX_MESSAGE_LENGTH)}…` : line;
}

const MAX_MESSAGE_LENGTH = 500;

/** `1` and `true` are values of variables, and replacing them would make nonsense of a text. */
const MIN_SECRET_LENGTH = 6;
