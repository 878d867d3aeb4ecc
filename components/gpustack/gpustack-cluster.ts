import * as pulumi from "@pulumi/pulumi";
import {
  type GpustackInput,
  type GpustackPlan,
  planGpustack,
} from "../../core/gpustack/cluster.js";
import { gpustackGate } from "../../core/gpustack/gate.js";
import { shellQuote } from "../../core/render/quote.js";
import type { ClusterSpecInput } from "../../core/spec/cluster-spec.js";
import { ClusterSpecError } from "../../core/spec/spec-issue.js";
import { createPreflight } from "../preflight.js";
import { BackendVersion } from "./backend-version.js";
import type { GpustackConnection } from "./connection.js";
import { DeploymentGroup, type GroupInstance } from "./deployment-group.js";

/** Inputs of a `GpustackCluster`. */
export interface GpustackClusterArgs extends GpustackConnection {
  /** The cluster as in `vllm-ascend:cluster`, topology `data-parallel` or `multiprocessing`. The image digest may be missing; so may all host keys, then the NPU network is not checked. */
  readonly cluster: ClusterSpecInput;
  /** Key of scope `inference`: with it a start is done when a completion was answered. @default GPUSTACK_INFERENCE_KEY */
  readonly inferenceKey?: pulumi.Input<string> | undefined;
  /** Values of the variables of `gpustack.secretEnv`, by name. */
  readonly secretEnv?: pulumi.Input<Readonly<Record<string, string>>> | undefined;
  /** What only GPUStack needs, as in `vllm-ascend:gpustack`. @default {} */
  readonly gpustack?: GpustackInput | undefined;
}

/**
 * The cluster of a stack file, deployed through GPUStack instead of directly: one version of the backend vLLM, and one deployment per
 * node with the flags and the environment that the node would have.
 */
export class GpustackCluster extends pulumi.ComponentResource {
  /** Type token of the component. */
  static readonly token = "vllm-ascend:index:GpustackCluster";
  /** Name of the model in the API; known when the group serves. */
  readonly model: pulumi.Output<string>;
  /** Where each deployment runs. */
  readonly instances: pulumi.Output<readonly GroupInstance[]>;
  /** A request to paste into a shell that has GPUSTACK_URL and GPUSTACK_INFERENCE_KEY. */
  readonly curl: pulumi.Output<string>;

  constructor(args: GpustackClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    const plan = planFromArgs(args);
    super(GpustackCluster.token, plan.cluster, {}, opts);
    const connection = { url: args.url, apiKey: args.apiKey };
    const version = new BackendVersion(
      plan.names.version,
      { ...connection, ...plan.version },
      { parent: this },
    );
    const owner = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
    const gate = gpustackGate(args.cluster, plan, owner);
    const preflight =
      gate === undefined ? undefined : createPreflight(plan.names.preflight, gate, this);
    const group = new DeploymentGroup(
      plan.names.group,
      {
        ...connection,
        inferenceKey: args.inferenceKey,
        ...plan.group,
        members: plan.group.members.map((member) => ({
          ...member,
          env: { ...member.env, ...secretEnv(plan, args.secretEnv) },
        })),
        backendVersionHash: version.contentHash,
      },
      // The server refuses to remove a version that a running group uses.
      { parent: this, dependsOn: [version, ...(preflight === undefined ? [] : [preflight])] },
    );
    if (preflight === undefined && plan.nodes.length > 1) {
      void pulumi.log.info(
        "NPU network not checked: GPUStack gives no way to the NPUs' own links. Give the nodes' hostKey, and the preflight checks them over SSH; or run hccn_tool -ping between the servers before the first start",
        this,
      );
    }
    this.model = group.route;
    this.instances = group.instances;
    this.curl = pulumi.output(curlOf(plan));
    this.registerOutputs({ model: this.model, instances: this.instances, curl: this.curl });
  }
}

function planFromArgs(args: GpustackClusterArgs): GpustackPlan {
  try {
    return planGpustack(args.cluster, args.gpustack ?? {});
  } catch (error) {
    if (!(error instanceof ClusterSpecError)) throw error;
    throw new pulumi.RunError(error.message);
  }
}

/** Value by value, so that a preview still shows everything else of an environment. */
function secretEnv(
  { secretEnv: names }: GpustackPlan,
  values: GpustackClusterArgs["secretEnv"],
): Readonly<Record<string, pulumi.Output<string>>> {
  const known = pulumi.output(values ?? {});
  return Object.fromEntries(
    names.map((name) => [
      name,
      pulumi.secret(
        known.apply((given) => {
          const value = given[name];
          if (value !== undefined) return value;
          throw new pulumi.RunError(
            `gpustack.secretEnv: ${name} has no value: pulumi config set --secret --path 'gpustackSecretEnv.${name}'`,
          );
        }),
      ),
    ]),
  );
}

/** `chat_template_kwargs` stands at the top: `extra_body` is a notion of the OpenAI client, which a server ignores. */
function curlOf(plan: GpustackPlan): string {
  const body = {
    model: plan.model,
    messages: [{ role: "user", content: "Hello" }],
    chat_template_kwargs: { enable_thinking: false },
  };
  return [
    'curl "$GPUSTACK_URL/v1/chat/completions"',
    "-H 'Content-Type: application/json'",
    '-H "Authorization: Bearer $GPUSTACK_INFERENCE_KEY"',
    `-d ${shellQuote(JSON.stringify(body))}`,
  ].join(" ");
}
