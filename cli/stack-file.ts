import { type Document, isMap, isScalar, isSeq, parseDocument } from "yaml";

/** Values of keys below `config:`; `undefined` removes the key. */
export type ConfigChanges = Readonly<Record<string, unknown>>;

/** The text of a stack file with other values; whatever stays keeps its comments, order and form. */
export function withConfig(text: string, changes: ConfigChanges): string {
  const document = parseDocument(text);
  for (const [key, value] of Object.entries(changes)) edit(document, ["config", key], value);
  // `0` keeps long values, such as image digests, on their line.
  return withOldPadding(document.toString({ lineWidth: 0 }), text);
}

/** The writer pads `[a]` like `{ a }`, or neither: lines that differ in nothing else stay as they were. */
function withOldPadding(text: string, old: string): string {
  const unpadded = (line: string) => line.replace(/([[{]) +/g, "$1").replace(/ +([\]}])/g, "$1");
  const oldLines = old.split("\n");
  const known = new Set(oldLines);
  const byContent = new Map(oldLines.map((line) => [unpadded(line), line]));
  return text
    .split("\n")
    .map((line) => (known.has(line) ? line : (byContent.get(unpadded(line)) ?? line)))
    .join("\n");
}

type Path = readonly (string | number)[];

/** Only the leaves that differ are written, so that a diff shows what changes. */
function edit(document: Document, path: Path, value: unknown): void {
  const there = document.getIn(path, true);
  if (value === undefined) {
    document.deleteIn(path);
  } else if (isMap(there) && isRecord(value)) {
    for (const key of Object.keys(there.toJSON() as object)) {
      if (!(key in value)) document.deleteIn([...path, key]);
    }
    for (const [key, inner] of Object.entries(value)) edit(document, [...path, key], inner);
  } else if (isSeq(there) && Array.isArray(value) && there.items.length === value.length) {
    for (const [index, inner] of value.entries()) edit(document, [...path, index], inner);
  } else if (JSON.stringify(plain(document, path)) !== JSON.stringify(value)) {
    // A value that stays a scalar keeps the comment behind it.
    if (isScalar(there) && (value === null || typeof value !== "object")) there.value = value;
    else document.setIn(path, document.createNode(value));
  }
}

function plain(document: Document, path: Path): unknown {
  const node = document.getIn(path) as { toJSON?: () => unknown } | undefined;
  return typeof node?.toJSON === "function" ? node.toJSON() : node;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
