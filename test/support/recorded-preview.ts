import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "..", "core", "changes", "recorded");

/** Changes of which the real engine's preview is recorded, by test/lab/lifecycle.test.ts. */
export const RECORDED_CHANGES = [
  "first-start",
  "nothing",
  "serve-flag",
  "ray-env",
  "image",
  "host-key",
  "api-key",
  "one-node-less",
] as const;
export type RecordedChange = (typeof RECORDED_CHANGES)[number];

export function readRecordedPreview(name: RecordedChange): string {
  return readFileSync(join(FOLDER, `${name}.json`), "utf8");
}

/**
 * With `UPDATE_GOLDEN=1`, keeps of a preview what core/changes reads: scripts alone would be a megabyte each. Changes
 * that are not of RECORDED_CHANGES are left alone.
 */
export function recordPreview(name: string, text: string): void {
  if (process.env["UPDATE_GOLDEN"] !== "1") return;
  if (!(RECORDED_CHANGES as readonly string[]).includes(name)) return;
  const digest = JSON.parse(text.slice(text.indexOf("{"))) as Digest;
  const kept = {
    config: { "vllm-ascend:cluster": digest.config["vllm-ascend:cluster"] },
    steps: digest.steps.map(({ op, urn, oldState, newState, diffReasons }) => {
      const resource = urn.split("::").at(-1) ?? "";
      return {
        op,
        urn,
        oldState: slim(oldState, resource),
        newState: slim(newState, resource),
        diffReasons,
      };
    }),
  };
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(kept, undefined, 1)}\n`);
}

interface State {
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly outputs?: Readonly<Record<string, unknown>>;
  readonly parent?: string;
  readonly modified?: string;
}

interface Digest {
  readonly config: Readonly<Record<string, string>>;
  readonly steps: readonly {
    readonly op: string;
    readonly urn: string;
    readonly oldState?: State;
    readonly newState?: State;
    readonly diffReasons?: readonly string[];
  }[];
}

function slim(state: State | undefined, resource: string): State | undefined {
  if (state === undefined) return undefined;
  const { inputs = {}, outputs = {}, parent, modified } = state;
  const isPlan = /-(commit|preflight)$/.test(resource);
  const keys = isPlan ? ["stdin"] : ["image", "shmSize", "devices"];
  return {
    inputs: pick(inputs, keys),
    outputs: isPlan ? pick(outputs, ["stdout"]) : {},
    ...(parent === undefined ? {} : { parent }),
    ...(modified === undefined ? {} : { modified }),
  };
}

function pick(values: Readonly<Record<string, unknown>>, keys: readonly string[]) {
  return Object.fromEntries(Object.entries(values).filter(([key]) => keys.includes(key)));
}
