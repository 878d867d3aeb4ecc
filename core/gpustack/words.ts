/**
 * `backend_parameters` as GPUStack reads them: each entry is split into words like a shell does, without a shell.
 *
 * @returns the words, or undefined when a quote stays open: the server answers 500 then, or starts something else.
 */
export function splitWords(entry: string): readonly string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < entry.length; i += 1) {
    const char = entry[i]!;
    if (quote === "'") {
      if (char === "'") quote = undefined;
      else word += char;
    } else if (quote === '"') {
      if (char === '"') quote = undefined;
      else if (char === "\\" && /["\\]/.test(entry[i + 1] ?? "")) word += entry[++i]!;
      else word += char;
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= "";
    } else if (char === "\\") {
      if (i + 1 === entry.length) return undefined;
      word = (word ?? "") + entry[++i]!;
    } else {
      word = (word ?? "") + char;
    }
  }
  if (quote !== undefined) return undefined;
  return word === undefined ? words : [...words, word];
}

/** A word that no splitting changes. */
export function quoteWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

/** Options of an argument vector by long name; `true` for a bare one, the last of several wins. */
export function optionsOf(words: readonly string[]): ReadonlyMap<string, string | true> {
  const options = new Map<string, string | true>();
  words.forEach((word, index) => {
    const match = /^--([A-Za-z0-9][\w.-]*)(?:=(.*))?$/s.exec(word);
    if (match === null) return;
    const name = match[1]!.replaceAll("_", "-");
    const next = words[index + 1];
    const value = match[2] ?? (next === undefined || next.startsWith("--") ? true : next);
    options.set(name, value);
  });
  return options;
}
