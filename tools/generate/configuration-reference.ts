import { clusterJsonSchema, gpustackJsonSchema, type SchemaNode } from "./stack-json-schema.js";

/** docs/configuration.md: every key of a stack file, in the order of the schema, one table per map. */
export function configurationReference(): string {
  const gpustack = {
    ...gpustackJsonSchema(),
    description:
      "The key `vllm-ascend:gpustack` beside the cluster: with it the cluster is deployed through GPUStack, see [gpustack.md](gpustack.md).",
  };
  const sections = [...sectionsOf("", clusterJsonSchema()), ...sectionsOf("gpustack", gpustack)];
  return `${INTRODUCTION}\n${sections.map(renderSection).join("\n")}`;
}

interface Section {
  /** Where the map stands, e.g. `nodes[]`; empty for the cluster itself. */
  readonly path: string;
  readonly schema: SchemaNode;
}

function sectionsOf(path: string, schema: SchemaNode): readonly Section[] {
  const below = Object.entries(schema.properties ?? {}).flatMap(([key, field]) => {
    const keyPath = path === "" ? key : `${path}.${key}`;
    if (field.properties !== undefined) return sectionsOf(keyPath, field);
    if (field.items?.properties === undefined) return [];
    return sectionsOf(`${keyPath}[]`, { ...field.items, description: field.description ?? "" });
  });
  return [{ path, schema }, ...below];
}

function renderSection({ path, schema }: Section): string {
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties ?? {}).map(([key, field]) =>
    row([
      `\`${key}\``,
      typeText(field),
      field.unit ?? "",
      defaultText(field, required.has(key)),
      field.description ?? "",
      field.upstream === undefined ? "" : `\`${field.upstream}\``,
    ]),
  );
  return [
    path === "" ? "## The cluster" : `## ${path}`,
    "",
    ...(path === "" ? [] : [schema.description ?? "", ""]),
    row(["key", "type", "unit", "default", "meaning", "upstream"]),
    row(["---", "---", "---", "---", "---", "---"]),
    ...rows,
    "",
  ].join("\n");
}

/** What a value may be, in words. */
function typeText(field: SchemaNode): string {
  if (field.enum !== undefined) return field.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (field.type === "array") return `list of ${itemText(field.items ?? {})}`;
  if (field.type === "object" && field.properties === undefined) return mapText(field);
  if (field.type === "object") return "map, see below";
  return `${field.type ?? "string, number, truth value or map"}${rangeText(field)}`;
}

function itemText(items: SchemaNode): string {
  return items.properties === undefined ? typeText(items) : "maps, see below";
}

function mapText({ propertyNames, additionalProperties }: SchemaNode): string {
  const keys = propertyNames?.enum?.map((key) => `\`${String(key)}\``).join(", ") ?? "names";
  const value = typeof additionalProperties === "object" ? typeText(additionalProperties) : "any";
  return `map from ${keys} to ${value}`;
}

function rangeText({ type, minimum, maximum, exclusiveMinimum }: SchemaNode): string {
  const isBounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (type !== "integer" && type !== "number") return "";
  if (exclusiveMinimum !== undefined && isBounded) return ` > ${exclusiveMinimum}, ≤ ${maximum}`;
  if (minimum === undefined) return isBounded ? ` ≤ ${maximum}` : "";
  return isBounded ? `, ${minimum}-${maximum}` : ` ≥ ${minimum}`;
}

function defaultText(field: SchemaNode, isRequired: boolean): string {
  if (isRequired) return "**required**";
  if (field.properties !== undefined) return "of its keys";
  return field.default === undefined ? "unset" : `\`${JSON.stringify(field.default)}\``;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

const INTRODUCTION = `# Configuration reference

<!-- Made by \`npm run generate\` from core/spec/cluster-spec.ts; a test keeps it current. -->

Every key below \`vllm-ascend:cluster\` of a stack file \`stacks/Pulumi.<stack>.yaml\`. An unknown key is refused with
the nearest known one, and all problems of a file are told at once, each with its path. The API key is a key of its
own: \`pulumi config set --secret apiKey\` writes \`vllm-ascend:apiKey\`. [Pulumi.example.yaml](../stacks/Pulumi.example.yaml)
shows every key in place.

For completion and hover texts in an editor with yaml-language-server (VS Code: the extension "YAML" by Red Hat), the
first line of a stack file beside \`stack.schema.json\` is

\`\`\`yaml
# yaml-language-server: $schema=./stack.schema.json
\`\`\`

"Upstream" names the flag or variable that gets the value.
`;
