import { renderRestartTable } from "../../core/changes/restart.js";
import { apiReference } from "./api-reference.js";
import { configurationReference } from "./configuration-reference.js";
import { lintIndex } from "./lint-index.js";
import { preflightIndex } from "./preflight-index.js";
import { stackJsonSchema } from "./stack-json-schema.js";
import { topologyPages } from "./topology-pages.js";

/** A committed file that is made from the code. */
export interface GeneratedFile {
  /** From the top of the repository. */
  readonly path: string;
  readonly text: string;
}

export function generatedFiles(): readonly GeneratedFile[] {
  return [
    {
      path: "stacks/stack.schema.json",
      text: `${JSON.stringify(stackJsonSchema(), undefined, 2)}\n`,
    },
    { path: "docs/configuration.md", text: configurationReference() },
    { path: "docs/lint.md", text: lintIndex() },
    { path: "docs/preflight.md", text: preflightIndex() },
    { path: "docs/api.md", text: apiReference() },
    ...topologyPages(),
    { path: "docs/restarts.md", text: restartsPage() },
  ];
}

function restartsPage(): string {
  return `# What a change restarts

Made by \`npm run generate\` from \`core/changes/restart.ts\`; a test compares it with the plan for every field. Fields are those of
\`vllm-ascend:cluster\`. A replaced container takes Ray and vLLM with it, a restart of Ray takes vLLM; a restart is always one of the
whole group. [How to review a change](reviewing-changes.md) tells how a preview says it.

${renderRestartTable()}
A new \`vllm-ascend:apiKey\` restarts vLLM. \`name\`, \`topology\` and the names of nodes make another cluster or another node.
`;
}
