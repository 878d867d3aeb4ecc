import type { LintRule } from "./lint-rule.js";
import { ENGINE_RULES } from "./rules/engine.js";
import { ENVIRONMENT_RULES } from "./rules/environment.js";
import { EXPOSURE_RULES } from "./rules/exposure.js";
import { IMAGE_RULES } from "./rules/image.js";
import { TOPOLOGY_RULES } from "./rules/topology.js";

/** Every rule; a new one is a new row. */
export const LINT_RULES: readonly LintRule[] = [
  ...TOPOLOGY_RULES,
  ...IMAGE_RULES,
  ...ENGINE_RULES,
  ...ENVIRONMENT_RULES,
  ...EXPOSURE_RULES,
];
