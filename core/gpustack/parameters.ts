import { splitWords } from "./words.js";

/** Long options of an argument vector by name with hyphens; `true` for a bare one. */
export type Parameters = ReadonlyMap<string, string | true>;

/**
 * The options of a member's `backendParameters` when they are nothing else: long options, each once.
 *
 * @returns the word that is anything else, as the reason why not.
 */
export function readParameters(
  entries: readonly string[],
): { readonly options: Parameters } | { readonly unreadable: string } {
  const options = new Map<string, string | true>();
  let open: string | undefined;
  for (const entry of entries) {
    const words = splitWords(entry);
    if (words === undefined) return { unreadable: entry };
    for (const word of words) {
      const match = /^--([A-Za-z0-9][\w.-]*)(?:=(.*))?$/s.exec(word);
      if (match !== null) {
        const name = match[1]!.replaceAll("_", "-");
        if (options.has(name)) return { unreadable: word };
        options.set(name, match[2] ?? true);
        open = match[2] === undefined ? name : undefined;
      } else {
        // vLLM's parser takes one more word as the value; what follows that one belongs to no option.
        if (open === undefined) return { unreadable: word };
        options.set(open, word);
        open = undefined;
      }
    }
  }
  return { options };
}

/**
 * What entries ask for, whatever their order, quoting and spelling: `--a_b 1.0` is `--a-b=1`. What is not plain long options
 * stays as it is written.
 */
export function meaningOfParameters(entries: readonly string[]): unknown {
  const read = readParameters(entries);
  if ("unreadable" in read) return entries;
  return Object.fromEntries(
    [...read.options].map(([name, value]) => [name, value === true ? true : meaning(value)]),
  );
}

/** Maps without regard to the order of their keys, fractions without trailing zeros. */
function meaning(value: string): unknown {
  if (/^\d+\.\d+$/.test(value)) return String(Number(value));
  return parsedMap(value) ?? value;
}

/** A JSON object; undefined for any other text. */
export function parsedMap(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}
