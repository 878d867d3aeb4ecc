/** Columns of text, two blanks apart, without blanks at the ends of lines. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Breaks a text at blanks so that it fits; the lines after the first are indented. */
export function wrapText(text: string, width: number, indent: string): string {
  return text
    .split("\n")
    .flatMap((line) => wrapLine(line, width - indent.length))
    .join(`\n${indent}`);
}

/** A word that is too long (a path, a digest) stays whole, so that it can be copied. */
function wrapLine(line: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of line.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}
