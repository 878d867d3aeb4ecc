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

/** Breaks a text at blanks so that it fits into the width; the lines after the first are indented. */
export function wrapText(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  for (const given of text.split("\n")) {
    let line: string | undefined;
    for (const word of given.split(" ")) {
      // A word that is too long (a path, a digest) stays whole, so that it can be copied.
      if (line !== undefined && line.length + 1 + word.length <= width) {
        line = `${line} ${word}`;
      } else {
        if (line !== undefined) lines.push(line);
        line = lines.length === 0 ? word : `${indent}${word}`;
      }
    }
    lines.push(line ?? "");
  }
  return lines.join("\n");
}
