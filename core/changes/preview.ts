import { z } from "zod";

/**
 * What a summary reads of `pulumi preview --json`.
 *
 * @see Pulumi 3.259 `pkg/display/json.go`, type `PreviewDigest`; secrets are blinded there already.
 */
export interface Preview {
  readonly steps: readonly PreviewStep[];
  /** Configuration of the stack as the program saw it; objects are JSON texts. */
  readonly config: Readonly<Record<string, string>>;
  /** What the program warned of. */
  readonly warnings: readonly string[];
  /** Why the preview failed. */
  readonly errors: readonly string[];
}

export interface PreviewStep {
  readonly op: string;
  readonly urn: string;
  /** The last part of the URN. */
  readonly name: string;
  /** Type without the types of its parents. */
  readonly type: string;
  readonly parent: string | undefined;
  readonly oldInputs: Inputs;
  readonly newInputs: Inputs;
  readonly oldOutputs: Inputs;
  /** When the resource was last created or updated, ISO 8601. */
  readonly oldModified: string | undefined;
  /** Top-level inputs that differ. */
  readonly diffReasons: readonly string[];
}

export type Inputs = Readonly<Record<string, unknown>>;

/** The text is not what `pulumi preview --json` prints; the message says what is wrong with it. */
export class PreviewFormatError extends Error {}

/** @throws PreviewFormatError */
export function parsePreview(text: string): Preview {
  let raw: unknown;
  try {
    // Lines of the plugins may come first.
    raw = JSON.parse(text.slice(Math.max(0, text.indexOf("{"))));
  } catch (error) {
    throw new PreviewFormatError(`no JSON: ${error instanceof Error ? error.message : "?"}`);
  }
  const parsed = digestSchema.safeParse(raw);
  if (!parsed.success) throw new PreviewFormatError(z.prettifyError(parsed.error));
  const { steps, config, diagnostics } = parsed.data;
  const said = (level: string) =>
    diagnostics.filter(({ severity }) => severity === level).map(({ message }) => message.trim());
  return { steps: steps.map(toStep), config, warnings: said("warning"), errors: said("error") };
}

/** A value that is known only after something else was created. */
export function isUnknown(value: unknown): boolean {
  return value === UNKNOWN;
}

/** @see Pulumi SDK `rpc.ts`, `unknownValue` */
const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

const stateSchema = z.object({
  inputs: z.record(z.string(), z.unknown()).default({}),
  outputs: z.record(z.string(), z.unknown()).default({}),
  parent: z.string().optional(),
  modified: z.string().optional(),
});

const digestSchema = z.object({
  config: z.record(z.string(), z.string()).default({}),
  steps: z
    .array(
      z.object({
        op: z.string(),
        urn: z.string(),
        oldState: stateSchema.optional(),
        newState: stateSchema.optional(),
        diffReasons: z.array(z.string()).nullish(),
      }),
    )
    .default([]),
  diagnostics: z
    .array(z.object({ severity: z.string().default(""), message: z.string().default("") }))
    .default([]),
});

function toStep(step: z.output<typeof digestSchema>["steps"][number]): PreviewStep {
  const [, , types = "", name = ""] = step.urn.split("::");
  return {
    op: step.op,
    urn: step.urn,
    name,
    type: types.split("$").at(-1)!,
    parent: (step.newState ?? step.oldState)?.parent,
    oldInputs: step.oldState?.inputs ?? {},
    newInputs: step.newState?.inputs ?? {},
    oldOutputs: step.oldState?.outputs ?? {},
    oldModified: step.oldState?.modified,
    diffReasons: step.diffReasons ?? [],
  };
}
