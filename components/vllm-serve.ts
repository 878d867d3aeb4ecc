import * as pulumi from "@pulumi/pulumi";
import type { ClusterPlan } from "../core/plan/cluster-plan.js";
import { groupCommit } from "./group-commit.js";

export interface VllmServeArgs {
  readonly plan: ClusterPlan;
  /** Container ids by node name. */
  readonly containers: Readonly<Record<string, pulumi.Input<string>>>;
  /** Versions of the secret files by node name. */
  readonly secrets: Readonly<Record<string, pulumi.Input<string>>>;
  readonly dependsOn: readonly pulumi.Resource[];
  readonly consent: pulumi.ResourceHook;
}

/**
 * `vllm serve` of the group, on the head and, without Ray, headless on all others: ready when it has answered a completion, with
 * data parallelism one from each engine.
 */
export class VllmServe extends pulumi.ComponentResource {
  static readonly token = "vllm-ascend:index:VllmServe";
  /** Base URL of the OpenAI-compatible API; known to be answering once resolved. */
  readonly endpoint: pulumi.Output<string>;
  /** What the commit has printed; see `core/changes/measured.ts`. */
  readonly printed: pulumi.Output<string>;

  constructor(name: string, args: VllmServeArgs, opts?: pulumi.ComponentResourceOptions) {
    super(VllmServe.token, name, {}, opts);
    const { plan } = args;
    const commit = groupCommit(
      plan.names.serveCommit,
      {
        plan,
        kind: "serve",
        commit: plan.serve,
        upstream: { containers: args.containers, secrets: args.secrets },
        dependsOn: args.dependsOn,
        consent: args.consent,
      },
      { parent: this },
    );
    this.printed = commit.stdout;
    this.endpoint = commit.id.apply(() => plan.endpoint.url);
    this.registerOutputs({ endpoint: this.endpoint });
  }
}
