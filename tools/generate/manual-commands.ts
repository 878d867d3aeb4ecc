/** What a document tells a person to type on one node. Addresses, interface and model path are those of our stack. */
export interface ManualNode {
  readonly node: string;
  readonly env: Readonly<Record<string, string>>;
  /** Words as the document spells them: `--flag value`, `--flag=value` or `--flag`. */
  readonly ray?: readonly string[];
  readonly serve?: readonly string[];
}

export interface TopologyPage {
  readonly topology: string;
  readonly stack: string;
  readonly title: string;
  readonly intro: string;
  /** What the commands by hand are taken from. */
  readonly source: string;
  readonly manual: readonly ManualNode[];
  /** Why the plan differs, by `env NAME`, `ray --flag` or `serve --flag`; a flag's section may be left out where it holds for all. */
  readonly reasons: Readonly<Record<string, string>>;
  readonly notes: string;
}

/** What the commands of one node contain, by `env NAME`, `ray --flag`, `serve --flag`; `true` is a bare flag. */
export type Settings = ReadonlyMap<string, string | true>;

export function manualSettings({ env, ray = [], serve = [] }: ManualNode): Settings {
  return new Map<string, string | true>([
    ...Object.entries(env).map(([name, value]) => [`env ${name}`, value] as const),
    ...ray.slice(1).map((word) => setting("ray", word)),
    ...serve.slice(1).map((word) => setting("serve", word)),
  ]);
}

export function generatedSettings(commands: {
  readonly env: Readonly<Record<string, string>>;
  readonly ray: readonly string[] | null;
  readonly serve: readonly string[] | null;
}): Settings {
  return manualSettings({
    node: "",
    env: commands.env,
    ray: ["", ...(commands.ray ?? []).filter((word) => word.startsWith("--"))],
    serve: ["", ...(commands.serve ?? []).filter((word) => word.startsWith("--"))],
  });
}

/** Whether two spellings are one value: `0.90` and `0.9`, JSON with other blanks or another order. */
export function isSameValue(a: string | true | undefined, b: string | true | undefined): boolean {
  return canonical(a) === canonical(b);
}

function setting(section: string, word: string): readonly [string, string | true] {
  const [, name = word, value] = /^(--[^\s=]+)(?:[\s=]+(.*))?$/s.exec(word) ?? [];
  const unquoted = value?.replace(/^'(.*)'$/s, "$1");
  return [`${section} ${name.replaceAll("_", "-")}`, unquoted ?? true];
}

function canonical(value: string | true | undefined): string {
  if (value === undefined) return "undefined";
  if (value === true) return "true";
  try {
    const parsed: unknown = JSON.parse(value);
    return JSON.stringify(
      parsed,
      parsed instanceof Object ? Object.keys(parsed).sort() : undefined,
    );
  } catch {
    return value;
  }
}
