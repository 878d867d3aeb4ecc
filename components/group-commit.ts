import type * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterPlan, CommitPlan, NodePlan } from "../core/plan/cluster-plan.js";
import { shellQuote } from "../core/render/quote.js";
import { stableJson } from "../core/render/stable-json.js";
import { hostCommand } from "./host-command.js";

export interface GroupCommitArgs {
  readonly plan: ClusterPlan;
  readonly kind: "ray" | "serve";
  readonly commit: CommitPlan;
  /**
   * Ids that only the engine knows, by node name. They stand in the manifest so that a replaced container or secret
   * commits again, in place: a property dependency through `stdin` does not cascade a replacement.
   */
  readonly upstream: Readonly<Record<string, Readonly<Record<string, pulumi.Input<string>>>>>;
  readonly dependsOn: readonly pulumi.Resource[];
  /** Asked before what runs is stopped. */
  readonly consent: pulumi.ResourceHook;
}

/**
 * Makes a staged release the one that the group runs. Only ever updated in place: a failed update keeps the old
 * inputs in the state, so reverting the program is no change, and running it again is the same change.
 */
export function groupCommit(
  name: string,
  args: GroupCommitArgs,
  opts: pulumi.CustomResourceOptions,
): command.remote.Command {
  const { plan, kind, commit } = args;
  const script = shellQuote(`${plan.baseDir}/bin/commit.sh`);
  const manifest = pulumi
    .output(args.upstream)
    .apply((upstream) => stableJson({ ...commit.manifest, ...upstream }, 1));
  return hostCommand(
    name,
    {
      connection: headOf(plan).connection,
      // The supervisor knows the real deadlines; these only end what hangs.
      create: `timeout -k 30 90000 bash ${script} commit`,
      delete: `timeout -k 30 90000 bash -c ${shellQuote(`[ ! -e ${script} ] || bash ${script} forget ${kind}`)}`,
      stdin: manifest,
      progress: true,
    },
    pulumi.mergeOptions(opts, {
      dependsOn: [...args.dependsOn],
      hooks: { beforeUpdate: [args.consent] },
    }),
  );
}

/** The head is the first node of a plan. */
export function headOf(plan: ClusterPlan): NodePlan {
  const head = plan.nodes[0];
  if (head === undefined) throw new Error("a plan has at least one node");
  return head;
}
