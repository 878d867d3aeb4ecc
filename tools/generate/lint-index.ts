import { UNKNOWN_ACCEPTANCE } from "../../core/lint/lint-cluster.js";
import type { LintLevel, LintRule } from "../../core/lint/lint-rule.js";
import { LINT_RULES } from "../../core/lint/lint-rules.js";

type Row = Omit<LintRule, "check">;

/** docs/lint.md: every rule, errors first. */
export function lintIndex(): string {
  const rows: readonly Row[] = [...LINT_RULES, UNKNOWN_ACCEPTANCE];
  const sections = LEVELS.map(([level, meaning]) =>
    [
      `## ${level}`,
      "",
      meaning,
      "",
      "| code | what the stack has | what happens | way out | source |",
      "| --- | --- | --- | --- | --- |",
      ...rows.filter((rule) => rule.level === level).map(renderRow),
      "",
    ].join("\n"),
  );
  return `${INTRODUCTION}\n${sections.join("\n")}`;
}

function renderRow({ code, title, reason, wayOut, sources }: Row): string {
  const cells = [`\`${code}\``, title, reason, wayOut, sources.map(sourceLink).join(", ")];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

/** `vllm#1` as a link to the thread. */
function sourceLink(source: string): string {
  const [, project, number] = /^([a-z-]+)#(\d+)$/.exec(source) ?? [];
  if (project !== undefined && number !== undefined) {
    return `[${source}](https://github.com/${OWNERS[project] ?? "vllm-project"}/${project}/issues/${number})`;
  }
  return /^CVE-/.test(source) ? `[${source}](https://www.cve.org/CVERecord?id=${source})` : source;
}

const OWNERS: Readonly<Record<string, string>> = { gpustack: "gpustack" };

const LEVELS: readonly (readonly [LintLevel, string])[] = [
  [
    "error",
    "Refused by `pulumi preview` and `pulumi up`, unless the stack accepts the code with a reason.",
  ],
  ["warning", "Shown by `pulumi preview` and `pulumi up`; blocks nothing."],
  ["info", "Shown by `vllm-cluster lint` only."],
];

const INTRODUCTION = `# Lint

<!-- Made by \`npm run generate\` from core/lint; a test keeps it current. -->

What a valid stack file should not have, or what one should know about it. \`vllm-cluster lint --stack <name> [--json]\`
shows all of it; \`pulumi preview\` and \`pulumi up\` show errors and warnings with their codes. What can never work is no
lint: it is refused when the file is read.

A stack accepts a code with a reason; then Pulumi shows an error as a warning, and a warning no more:

\`\`\`yaml
lint:
  accept:
    - code: TRUST_REMOTE_CODE
      reason: weights and code are our own
\`\`\`
`;
