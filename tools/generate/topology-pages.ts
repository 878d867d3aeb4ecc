import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { planCluster } from "../../core/plan/plan-cluster.js";
import { clusterCommands, type NodeCommands } from "../../core/render/commands.js";
import { shellQuote } from "../../core/render/quote.js";
import { parseClusterSpec } from "../../core/spec/parse.js";
import { repoDir } from "../setup/paths.mjs";
import {
  generatedSettings,
  isSameValue,
  type ManualNode,
  manualSettings,
  type TopologyPage,
} from "./manual-commands.js";
import { COMMON_REASONS, TOPOLOGY_PAGES } from "./topology-texts.js";

/** docs/topologies/<topology>.md: what a document tells to type beside what the plan runs, every difference explained. */
export function topologyPages(): readonly { readonly path: string; readonly text: string }[] {
  return TOPOLOGY_PAGES.map((page) => ({
    path: `docs/topologies/${page.topology}.md`,
    text: renderPage(page, stackCommands(page.stack)),
  }));
}

/** @throws Error when a difference has no reason, or a reason no difference */
function renderPage(page: TopologyPage, commands: readonly NodeCommands[]): string {
  const nodes = commands.map((generated) => {
    const manual = page.manual.find(({ node }) => node === generated.node);
    if (manual === undefined) throw new Error(`${page.topology}: no manual of ${generated.node}`);
    return { manual, generated };
  });
  return [
    `# ${page.title}`,
    "<!-- Made by `npm run generate` from tools/generate/topology-texts.ts and the stack; a test keeps it current. -->",
    page.intro,
    `## By hand and generated\n\nBy hand: ${page.source}, with the addresses, the interface and the model directory of the stack\n[\`${page.stack}\`](../../stacks/Pulumi.${page.stack}.yaml). Generated: \`vllm-cluster render --stack ${page.stack}\`, which also prints the\ncontainer. Each process gets its environment by itself; the exports show it.`,
    ...nodes.map(renderNode),
    `### Differences\n\n${renderDifferences(page, nodes)}`,
    page.notes,
    "",
  ].join("\n\n");
}

interface NodePair {
  readonly manual: ManualNode;
  readonly generated: NodeCommands;
}

function renderNode({ manual, generated }: NodePair): string {
  const { env, ray, serve } = generated;
  return [
    `### ${generated.node} (${generated.role})`,
    "By hand:",
    shellBlock(manual.env, [manual.ray, manual.serve]),
    "Generated:",
    shellBlock(env, [quoted(ray), quoted(serve)]),
  ].join("\n\n");
}

function shellBlock(
  env: Readonly<Record<string, string>>,
  commands: readonly (readonly string[] | undefined)[],
): string {
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${shellQuote(value)}`);
  const lines = [
    ...exports,
    ...commands.flatMap((words) => (words === undefined ? [] : [words.join(" \\\n  ")])),
  ];
  return `\`\`\`sh\n${lines.join("\n") || "# nothing"}\n\`\`\``;
}

/** The words before the first flag as one line, then one word a line. */
function quoted(argv: readonly string[] | null): readonly string[] | undefined {
  if (argv === null) return undefined;
  const first = argv.findIndex((word) => word.startsWith("-"));
  return [argv.slice(0, first).map(shellQuote).join(" "), ...argv.slice(first).map(shellQuote)];
}

function renderDifferences(page: TopologyPage, nodes: readonly NodePair[]): string {
  const sides = nodes.map(({ manual, generated }) => ({
    manual: manualSettings(manual),
    generated: generatedSettings(generated),
  }));
  const names = [
    ...new Set(sides.flatMap(({ manual, generated }) => [...manual.keys(), ...generated.keys()])),
  ];
  const different = names.filter((name) =>
    sides.some(({ manual, generated }) => !isSameValue(manual.get(name), generated.get(name))),
  );
  const reasons = { ...COMMON_REASONS, ...page.reasons };
  const unexplained = different.filter((name) => reasons[name] === undefined);
  const idle = Object.keys(page.reasons).filter((name) => !different.includes(name));
  if (unexplained.length + idle.length > 0) {
    throw new Error(
      `${page.topology}: differences without a reason: ${unexplained.join(", ") || "none"}; reasons without a difference: ${idle.join(", ") || "none"}`,
    );
  }
  const cell = (values: readonly (string | true | undefined)[]) => {
    const texts = [...new Set(values.map(valueText))];
    return texts.length === 1 ? texts[0]! : values.map(valueText).join(" / ");
  };
  const rows = different.map((name) => {
    const manual = cell(sides.map((side) => side.manual.get(name)));
    const generated = cell(sides.map((side) => side.generated.get(name)));
    const shown = name.replace(/^(env|serve) /, "");
    return `| \`${shown}\` | ${manual} | ${generated} | ${reasons[name]} |`;
  });
  return [
    `Where the nodes differ: ${nodes.map(({ generated }) => generated.node).join(" / ")}.\n`,
    "| | by hand | generated | why |",
    "|---|---|---|---|",
    ...rows,
  ].join("\n");
}

function valueText(value: string | true | undefined): string {
  if (value === undefined) return "–";
  return value === true ? "set" : `\`${value.replaceAll("|", "\\|")}\``;
}

function stackCommands(stack: string): readonly NodeCommands[] {
  const text = readFileSync(join(repoDir, "stacks", `Pulumi.${stack}.yaml`), "utf8");
  const { config } = parse(text) as { config: Record<string, unknown> };
  const spec = parseClusterSpec(config["vllm-ascend:cluster"]);
  const owner = `organization/vllm-ascend/${stack}`;
  return clusterCommands(planCluster(spec, { owner, hasApiKey: false }));
}
