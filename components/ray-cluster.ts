import * as pulumi from "@pulumi/pulumi";
import type { ClusterPlan } from "../core/plan/cluster-plan.js";
import { groupCommit } from "./group-commit.js";

export interface RayClusterArgs {
  readonly plan: ClusterPlan;
  /** Container ids by node name. */
  readonly containers: Readonly<Record<string, pulumi.Input<string>>>;
  readonly dependsOn: readonly pulumi.Resource[];
  readonly consent: pulumi.ResourceHook;
}

/** Ray over all nodes: ready when every planned node is alive with its own address and its NPUs. */
export class RayCluster extends pulumi.ComponentResource {
  static readonly token = "vllm-ascend:index:RayCluster";
  readonly commit: pulumi.Resource;
  /** What the commit has printed; see `core/changes/measured.ts`. */
  readonly printed: pulumi.Output<string>;

  constructor(name: string, args: RayClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super(RayCluster.token, name, {}, opts);
    const { plan } = args;
    if (plan.ray === null) throw new Error(`topology ${plan.topology} has no Ray`);
    const commit = groupCommit(
      plan.names.rayCommit,
      {
        plan,
        kind: "ray",
        commit: plan.ray,
        upstream: { containers: args.containers },
        dependsOn: args.dependsOn,
        consent: args.consent,
      },
      { parent: this },
    );
    this.commit = commit;
    this.printed = commit.stdout;
    this.registerOutputs();
  }
}
