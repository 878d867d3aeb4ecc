import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterPlan, NodePlan } from "../core/plan/cluster-plan.js";
import { renderBootUnit } from "../core/render/boot-unit.js";
import { shellQuote } from "../core/render/quote.js";
import type { AscendNode } from "./ascend-node.js";
import { hostCommand } from "./host-command.js";

export interface ContainerRuntimeArgs {
  readonly plan: ClusterPlan;
  readonly node: NodePlan;
  /** The same node, staged. */
  readonly staged: AscendNode;
  /**
   * What must be done on *all* nodes before any container changes: else the first node stops while the second still
   * pulls 25 GB.
   */
  readonly barrier: readonly pulumi.Resource[];
}

/** The container of one node, and the unit that starts it at boot. */
export class ContainerRuntime extends pulumi.ComponentResource {
  static readonly token = "vllm-ascend:index:ContainerRuntime";
  readonly containerId: pulumi.Output<string>;
  readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: ContainerRuntimeArgs, opts?: pulumi.ComponentResourceOptions) {
    super(ContainerRuntime.token, name, {}, opts);
    const { plan, node } = args;
    const { container: spec } = node;

    const container = new docker.Container(
      node.names.container,
      {
        name: plan.containerName,
        image: args.staged.imageId,
        command: [...spec.command],
        networkMode: "host",
        devices: spec.devices.map((device) => ({
          hostPath: device,
          containerPath: device,
          permissions: "rwm",
        })),
        mounts: spec.mounts.map(({ source, target, readOnly }) => ({
          type: "bind",
          source,
          target,
          readOnly,
        })),
        shmSize: spec.shmSizeMib,
        ulimits: spec.ulimits.map(({ name, limit }) => ({ name, soft: limit, hard: limit })),
        runtime: spec.runtime,
        securityOpts: [...spec.securityOptions],
        // The boot unit is the only one that starts it: docker does not retry a missing device.
        restart: "no",
        mustRun: true,
        destroyGraceSeconds: spec.stopGraceSec,
        logDriver: "json-file",
        logOpts: { ...spec.logOptions },
        labels: Object.entries(spec.labels).map(([label, value]) => ({ label, value })),
      },
      {
        parent: this,
        provider: args.staged.docker,
        dependsOn: [...args.barrier],
        deleteBeforeReplace: true,
        customTimeouts: { create: "30m", delete: "30m" },
      },
    );
    const boot = hostCommand(
      node.names.boot,
      {
        connection: node.connection,
        create: `timeout -k 10 120 bash ${shellQuote(`${plan.baseDir}/bin/boot.sh`)} install ${plan.unitName}`,
        delete: removeUnit(plan),
        stdin: renderBootUnit(plan, node),
      },
      { parent: this, dependsOn: [container] },
    );

    this.containerId = container.id;
    this.ready = [container, boot];
    this.registerOutputs();
  }
}

/** Self-contained, because it runs from old state; the container itself is docker's to remove. */
function removeUnit(plan: ClusterPlan): string {
  const unit = shellQuote(plan.unitName);
  const file = shellQuote(`/etc/systemd/system/${plan.unitName}`);
  return `timeout -k 10 900 bash -c ${shellQuote(
    `[ -e ${file} ] || exit 0; systemctl --quiet disable --now ${unit}; rm -f ${file}; systemctl daemon-reload; systemctl reset-failed ${unit} 2>/dev/null || true`,
  )}`;
}
