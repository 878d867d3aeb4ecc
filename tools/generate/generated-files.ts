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
  ];
}
