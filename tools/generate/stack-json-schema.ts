import { z } from "zod";
import { gpustackSchema } from "../../core/gpustack/cluster.js";
import { clusterSpecSchema } from "../../core/spec/cluster-spec.js";

/** The part of JSON Schema that the generators read. */
export interface SchemaNode {
  readonly type?: string;
  readonly description?: string;
  readonly unit?: string;
  readonly upstream?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly propertyNames?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
}

/** The schema of `vllm-ascend:cluster` with what its fields' `meta` says. */
export function clusterJsonSchema(): SchemaNode {
  return z.toJSONSchema(clusterSpecSchema, { io: "input", target: "draft-07" }) as SchemaNode;
}

/** The same of `vllm-ascend:gpustack`. */
export function gpustackJsonSchema(): SchemaNode {
  return z.toJSONSchema(gpustackSchema, { io: "input", target: "draft-07" }) as SchemaNode;
}

/**
 * JSON Schema of a whole stack file, for editors: completion, hover texts and a first check while typing. Draft 7, because
 * that is what yaml-language-server implements in full.
 */
export function stackJsonSchema(): object {
  // References begin at the top of the document.
  const { $schema, definitions, ...cluster } = forEditors(clusterJsonSchema()) as Record<
    string,
    unknown
  >;
  const { $schema: _, ...gpustack } = forEditors(gpustackJsonSchema()) as Record<string, unknown>;
  return {
    $schema,
    definitions,
    title: "Stack file of pulumi-vllm-ascend",
    type: "object",
    properties: {
      config: {
        type: "object",
        properties: {
          "vllm-ascend:cluster": { description: "The cluster.", ...cluster },
          "vllm-ascend:gpustack": {
            description:
              "With this key the cluster is deployed through GPUStack: docs/gpustack.md.",
            ...gpustack,
          },
          "vllm-ascend:apiKey": {
            description:
              "Key that guards the API. Written by `pulumi config set --secret apiKey`; never in clear.",
            type: "object",
            properties: { secure: { type: "string" } },
            required: ["secure"],
            additionalProperties: false,
          },
          "vllm-ascend:allowDowntimeFor": {
            description:
              "Consent to stop the group while it serves: the plan hash that `vllm-cluster summary` prints. Holds for that plan only.",
            type: ["string", "integer"],
          },
        },
      },
    },
  };
}

/** Unit and upstream name become part of the hover text: editors show nothing else. */
function forEditors(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(forEditors);
  if (node === null || typeof node !== "object") return node;
  const { unit, upstream, ...rest } = node as Record<string, unknown>;
  const description = [
    rest["description"],
    ...(typeof unit === "string" ? [`Unit: ${unit}.`] : []),
    ...(typeof upstream === "string" ? [`Upstream: ${upstream}`] : []),
  ].join(" ");
  const below = Object.entries(rest).map(([key, value]) => [key, forEditors(value)]);
  return {
    ...Object.fromEntries(below),
    ...(typeof rest["description"] === "string" ? { description } : {}),
  };
}
