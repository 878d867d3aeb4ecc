/** Prints pieces of output as whole lines, each with a prefix, so that nodes do not mix inside a line. */
export function linePrinter(prefix: string): {
  readonly write: (piece: string) => void;
  readonly end: () => void;
} {
  let rest = "";
  const print = (lines: readonly string[]) => {
    if (lines.length > 0) process.stdout.write(lines.map((line) => `${prefix}${line}\n`).join(""));
  };
  return {
    write: (piece) => {
      const lines = `${rest}${piece}`.split("\n");
      rest = lines.pop() ?? "";
      print(lines);
    },
    end: () => {
      if (rest !== "") print([rest]);
      rest = "";
    },
  };
}
