import * as pulumi from "@pulumi/pulumi";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks.js";

/** A resource as the engine would have seen it. */
export interface RegisteredResource {
  readonly type: string;
  readonly name: string;
  readonly urn: string;
  readonly inputs: Record<string, unknown>;
  readonly parent: string;
  readonly dependencies: readonly string[];
  readonly deleteBeforeReplace: boolean;
  readonly replaceOnChanges: readonly string[];
  readonly hideDiffs: readonly string[];
  readonly additionalSecretOutputs: readonly string[];
  readonly beforeUpdateHooks: readonly string[];
}

interface RegisterRequest {
  getType(): string;
  getName(): string;
  getParent(): string;
  getDependenciesList(): string[];
  getDeletebeforereplace(): boolean;
  getReplaceonchangesList(): string[];
  getHidediffsList(): string[];
  getAdditionalsecretoutputsList(): string[];
  getHooks(): { getBeforeUpdateList(): string[] } | undefined;
}

type Register = (
  request: RegisterRequest,
  callback: (error: unknown, response: unknown) => void,
) => Promise<void>;

/**
 * Runs a program against Pulumi's mocks and returns what it registered, options included. What it warns of goes to
 * `onWarning`.
 *
 * Mocks prove inputs, options and graph; not diffs, order at run time or anything on a host.
 */
export async function runWithMocks(
  program: () => Promise<unknown>,
  settings: { project: string; stack: string; organization: string },
  onWarning: (text: string) => void = () => undefined,
): Promise<RegisteredResource[]> {
  const options = new Map<string, RegisterRequest>();
  const inputs: { type: string; name: string; inputs: Record<string, unknown> }[] = [];
  const monitor = MockMonitor.prototype as unknown as { registerResource: Register };
  const original = monitor.registerResource;
  // A resource with hooks waits for an answer that the mocks of this SDK never give.
  (MockMonitor.prototype as unknown as { registerResourceHook: Register }).registerResourceHook =
    async (_request, callback) => callback(null, {});
  monitor.registerResource = function registerResource(request, callback) {
    options.set(`${request.getType()}::${request.getName()}`, request);
    return original.call(this, request, callback);
  };
  const { warn } = console;
  console.warn = onWarning;
  try {
    await pulumi.runtime.setMocks(
      {
        newResource: (args) => {
          inputs.push({ type: args.type, name: args.name, inputs: args.inputs });
          return {
            id: `${args.name}-id`,
            state: { ...args.inputs, stdout: `${args.name}-stdout`, imageId: `${args.name}-image` },
          };
        },
        call: () => ({}),
      },
      settings.project,
      settings.stack,
      false,
      settings.organization,
    );
    await pulumi.runtime.runInPulumiStack(program);
    await pulumi.runtime.disconnect();
  } finally {
    monitor.registerResource = original;
    console.warn = warn;
  }
  return [...options].map(([key, request]) => ({
    type: request.getType(),
    name: request.getName(),
    urn: key,
    inputs: inputs.find((input) => `${input.type}::${input.name}` === key)?.inputs ?? {},
    parent: shortUrn(request.getParent()),
    dependencies: request.getDependenciesList().map(shortUrn),
    deleteBeforeReplace: request.getDeletebeforereplace(),
    replaceOnChanges: request.getReplaceonchangesList(),
    hideDiffs: request.getHidediffsList(),
    additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
    beforeUpdateHooks: request.getHooks()?.getBeforeUpdateList() ?? [],
  }));
}

/** `type::name` of a URN. */
function shortUrn(urn: string): string {
  const [type = "", name = ""] = urn.split("::").slice(2);
  return urn === "" ? "" : `${type.split("$").at(-1)}::${name}`;
}

/** The plain text behind a secret as the mocks show it. */
export function revealed(value: unknown): unknown {
  return isSecretValue(value) ? value.value : value;
}

/** Whether the program marked a value as secret. */
export function isSecretValue(value: unknown): value is { value: unknown } {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.values(value).includes("1b47061264138c4ac30d75fd1eb44270")
  );
}
