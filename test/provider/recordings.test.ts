import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  backendRow,
  chatCompletion,
  deviceRow,
  instanceRow,
  modelRow,
  page,
  serverVersion,
  usableBackend,
  workerRow,
} from "../../core/gpustack/api.js";
import { serverMessage, wayOut } from "../../core/gpustack/server-error.js";

/**
 * The contract with GPUStack 2.3.0, as recorded from a real server (recordings/). Does not prove that the server still
 * answers so: test/gpustack/ does.
 */

interface Recording {
  readonly name: string;
  readonly request: { readonly method: string; readonly path: string; readonly body?: unknown };
  readonly response: { readonly status: number; readonly body: unknown };
}

const DIR = join(import.meta.dirname, "recordings");
const recordings = readdirSync(DIR)
  .filter((name) => name.endsWith(".json"))
  .map((name) => JSON.parse(readFileSync(join(DIR, name), "utf8")) as Recording);

/** Recorded with some fields only. */
const CUT_SHORT = ["model-get-error"];

const SCHEMAS = [
  [/^GET \/version$/, serverVersion],
  [/^GET \/v2\/workers/, page(workerRow)],
  [/^GET \/v2\/gpu-devices/, page(deviceRow)],
  [/^GET \/v2\/models\/\d+\/instances/, page(instanceRow)],
  [/^(GET|PUT) \/v2\/models\/\d+$|^POST \/v2\/models$/, modelRow],
  [/^GET \/v2\/inference-backends\/list/, page(usableBackend)],
  [/^(GET \/v2\/inference-backends\/backend_name|PUT \/v2\/inference-backends)\//, backendRow],
  [/^POST \/v1\/chat\/completions/, chatCompletion],
] as const;

describe("recorded answers of GPUStack 2.3.0", () => {
  it("are what the client takes them for", () => {
    const used = new Set<string>();
    for (const { name, request, response } of recordings) {
      if (response.status >= 300 || CUT_SHORT.includes(name)) continue;
      const entry = SCHEMAS.find(([route]) => route.test(`${request.method} ${request.path}`));
      if (entry === undefined) continue;
      used.add(String(entry[0]));
      const parsed = entry[1].safeParse(response.body);
      assert.ok(parsed.success, `${name}: ${parsed.error?.message}`);
    }
    assert.equal(used.size, SCHEMAS.length);
  });

  it("tell every refusal in one line that repeats nothing of what was sent in the environment", () => {
    const refusals = recordings.filter(({ response }) => response.status >= 400);
    assert.ok(refusals.length > 30);
    for (const { name, request, response } of refusals) {
      const text = serverMessage(response.status, response.body);
      assert.doesNotMatch(text, /\n|'input'|no explanation/, name);
      for (const value of envValues(request.body))
        assert.ok(!text.includes(value), `${name}: ${text}`);
    }
  });

  it("name the field of an invalid request", () => {
    const told = (name: string) => {
      const { response } = recordings.find((recording) => recording.name === name)!;
      return serverMessage(response.status, response.body);
    };
    assert.equal(
      told("model-create-bad-env-int"),
      "env.OMP_NUM_THREADS: Input should be a valid string",
    );
    assert.equal(
      told("model-create-bad-missing-model-id"),
      "model_scope_model_id must be provided when source is 'model_scope'",
    );
    assert.equal(told("model-create-bad-missing-source"), "source: Field required");
    assert.equal(
      told("model-create-duplicate"),
      "Model with name 'qwen3.5-397b-1' already exists.",
    );
    assert.equal(told("model-patch-405"), "Method Not Allowed");
  });
});

describe("a refusal of an unknown form", () => {
  it("of a validation is left out, because it repeats the request", () => {
    const text = serverMessage(422, { message: "bad: {'env': {'HF_TOKEN': 'hf_secret'}}" });
    assert.doesNotMatch(text, /hf_secret/);
  });

  it("tells the way out for keys and scopes", () => {
    assert.match(wayOut(401, "/v2/models")!, /GPUSTACK_API_KEY/);
    assert.match(wayOut(403, "/v2/models")!, /scope management/);
    assert.match(wayOut(403, "/v1/chat/completions")!, /GPUSTACK_INFERENCE_KEY/);
  });
});

function envValues(body: unknown): string[] {
  const env = (body as { env?: Record<string, unknown> } | undefined)?.env ?? {};
  return Object.values(env).filter(
    (value) => typeof value === "string" && value.length > 3,
  ) as string[];
}
