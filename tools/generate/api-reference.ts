import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";
import { repoDir } from "../setup/paths.mjs";

/**
 * docs/api.md: what the package exports, from the docstrings. Reads syntax only: no types are resolved, so what is shown is what
 * stands in the source.
 *
 * @throws Error for a public name or member without a docstring.
 */
export function apiReference(): string {
  const sections = [
    INTRODUCTION,
    ...rendered("index.ts"),
    GPUSTACK,
    ...rendered("gpustack/index.ts"),
  ];
  return `${sections.join("\n\n")}\n`;
}

function rendered(index: string): readonly string[] {
  const entries = publicEntries(join(repoDir, "components", index));
  const silent = entries.flatMap(silentNames);
  if (silent.length > 0) throw new Error(`public, but without a docstring: ${silent.join(", ")}`);
  const isClass = ({ node }: Entry) => ts.isClassDeclaration(node);
  return [...entries.filter(isClass), ...entries.filter((entry) => !isClass(entry))].map(
    renderEntry,
  );
}

type Declaration =
  | ts.ClassDeclaration
  | ts.InterfaceDeclaration
  | ts.TypeAliasDeclaration
  | ts.FunctionDeclaration;
type Property = ts.PropertyDeclaration | ts.PropertySignature | ts.ParameterDeclaration;

interface Entry {
  readonly name: string;
  readonly node: Declaration;
  readonly source: ts.SourceFile;
}

/** In the order of an index, which only re-exports by name. */
function publicEntries(index: string): readonly Entry[] {
  return parse(index).statements.flatMap((statement) => {
    if (
      !ts.isExportDeclaration(statement) ||
      statement.exportClause === undefined ||
      !ts.isNamedExports(statement.exportClause) ||
      statement.moduleSpecifier === undefined
    ) {
      throw new Error(`${index}: only \`export { … } from\` makes a public name`);
    }
    const { text: module } = statement.moduleSpecifier as ts.StringLiteral;
    const source = parse(join(dirname(index), module.replace(/\.js$/, ".ts")));
    return statement.exportClause.elements.map(({ name: { text: name } }) => {
      const node = source.statements.filter(isDeclaration).find((item) => item.name?.text === name);
      if (node === undefined) throw new Error(`${source.fileName}: no ${name}`);
      return { name, node, source };
    });
  });
}

function parse(file: string): ts.SourceFile {
  return ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.ES2024, true);
}

function isDeclaration(node: ts.Node): node is Declaration {
  return (
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isFunctionDeclaration(node)
  );
}

function silentNames({ name, node }: Entry): readonly string[] {
  const members = publicProperties(node).filter((member) => docOf(member) === "");
  return [
    ...(docOf(node) === "" ? [name] : []),
    ...members.map((member) => `${name}.${member.name.getText()}`),
  ];
}

function renderEntry({ name, node, source }: Entry): string {
  const file = relative(repoDir, source.fileName);
  const properties = publicProperties(node);
  return [
    `## ${name}`,
    `${KINDS[node.kind]}, [${file}](../${file})`,
    docOf(node),
    ...signatures(name, node).map((line) => `\`\`\`ts\n${line}\n\`\`\``),
    ...(properties.length === 0 ? [] : [propertyTable(properties)]),
  ].join("\n\n");
}

/** Public properties of its own; constructors and functions have signatures instead. */
function publicProperties(node: Declaration): readonly Property[] {
  if (ts.isInterfaceDeclaration(node)) return node.members.filter(ts.isPropertySignature);
  if (!ts.isClassDeclaration(node)) return [];
  const parameters = node.members.find(ts.isConstructorDeclaration)?.parameters ?? [];
  // `constructor(readonly issues: …)` declares a property.
  const declared = parameters.filter((parameter) => parameter.modifiers !== undefined);
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected | ts.ModifierFlags.Override;
  return [...declared, ...node.members.filter(ts.isPropertyDeclaration)].filter(
    (member) => (ts.getCombinedModifierFlags(member) & hidden) === 0,
  );
}

function signatures(name: string, node: Declaration): readonly string[] {
  if (ts.isClassDeclaration(node)) {
    return node.members
      .filter(ts.isConstructorDeclaration)
      .map(({ parameters }) => `new ${name}(${parameterList(parameters)})`);
  }
  if (ts.isFunctionDeclaration(node)) {
    return [`${name}(${parameterList(node.parameters)}): ${node.type?.getText() ?? "void"}`];
  }
  return ts.isTypeAliasDeclaration(node) ? [`type ${name} = ${node.type.getText()}`] : [];
}

function parameterList(parameters: readonly ts.ParameterDeclaration[]): string {
  return parameters
    .map(({ name, questionToken, type }) => {
      const mark = questionToken === undefined ? "" : "?";
      return `${name.getText()}${mark}: ${type?.getText() ?? "unknown"}`;
    })
    .join(", ");
}

function propertyTable(properties: readonly Property[]): string {
  const rows = properties.map((property) => {
    const isStatic =
      (ts.getCombinedModifierFlags(property) & ts.ModifierFlags.Static) !== 0 ? "static " : "";
    const mark = property.questionToken === undefined ? "" : "?";
    const type =
      property.type ?? (ts.isPropertySignature(property) ? undefined : property.initializer);
    return `| \`${isStatic}${property.name.getText()}${mark}\` | \`${cell(type?.getText() ?? "")}\` | ${cell(docOf(property))} |`;
  });
  return ["| member | type | meaning |", "|---|---|---|", ...rows].join("\n");
}

function cell(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|");
}

/** A docstring as Markdown: its text, then its tags as sentences; empty where there is none. */
function docOf(node: ts.Node): string {
  const doc = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc).at(-1);
  if (doc === undefined) return "";
  const text = unwrap(ts.getTextOfJSDocComment(doc.comment) ?? "");
  return [text, ...(doc.tags ?? []).map(tagText)].filter((part) => part !== "").join("\n\n");
}

function tagText(tag: ts.JSDocTag): string {
  // The parser takes the first word after `@see` for a name.
  const name = ts.isJSDocSeeTag(tag) ? (tag.name?.getText() ?? "") : "";
  const text = `${name} ${ts.getTextOfJSDocComment(tag.comment) ?? ""}`
    .replaceAll(/\s+/g, " ")
    .trim();
  const label = TAG_LABELS[tag.tagName.text];
  if (label === undefined) throw new Error(`no way to show @${tag.tagName.text}: ${text}`);
  return `${label}: ${text}`;
}

/** Joins the lines of a paragraph; code blocks and lists stay as they are. */
function unwrap(text: string): string {
  return text
    .split(/(```[\s\S]*?```)/)
    .map((part) => (part.startsWith("```") ? part : part.replaceAll(/(?<!\n)\n(?!\n|- )/g, " ")))
    .join("")
    .trim();
}

const KINDS: Readonly<Record<number, string>> = {
  [ts.SyntaxKind.ClassDeclaration]: "Class",
  [ts.SyntaxKind.InterfaceDeclaration]: "Interface",
  [ts.SyntaxKind.TypeAliasDeclaration]: "Type",
  [ts.SyntaxKind.FunctionDeclaration]: "Function",
};

const TAG_LABELS: Readonly<Record<string, string>> = {
  default: "Default",
  returns: "Returns",
  see: "Source",
  throws: "Throws",
};

const INTRODUCTION = `# API reference

<!-- Made by \`npm run generate\` from the docstrings of components/index.ts and components/gpustack/index.ts; a test keeps it current. -->

What the package \`pulumi-vllm-ascend\` exports, and nothing else of it can be imported. How to use it from a program of your own:
[library.md](library.md). The fields of a cluster: [configuration.md](configuration.md).`;

const GPUSTACK = `# pulumi-vllm-ascend/gpustack

Resources and functions of the provider \`gpustack\`: [gpustack.md](gpustack.md).`;
