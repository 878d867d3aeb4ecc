import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterPlan, ConnectionPlan, NodePlan } from "../core/plan/cluster-plan.js";
import { API_KEY_FILE } from "../core/plan/releases.js";
import { imageRequest, modelRequest } from "../core/render/arrival-requests.js";
import { shellQuote } from "../core/render/quote.js";
import { pinnedSshOptions } from "../core/render/ssh-options.js";
import {
  type NodeScripts,
  renderStageScript,
  renderUnstageCommand,
} from "../core/render/stage-script.js";
import { hostCommand } from "./host-command.js";

export interface AscendNodeArgs {
  readonly plan: ClusterPlan;
  readonly node: NodePlan;
  readonly scripts: NodeScripts;
  /** The first touch of the host waits for it. */
  readonly preflight: pulumi.Resource;
  /** Secret of the group protocol; the head makes it, all others get it from there. */
  readonly groupToken?: pulumi.Output<string>;
  /** Key that guards the API; only the head gets it. */
  readonly apiKey?: pulumi.Output<string>;
}

/**
 * One server, staged: files, secrets, image and model are there, and nothing that runs was disturbed. What may take long or
 * fail for a reason of one host happens here, on all nodes, before anything stops.
 */
export class AscendNode extends pulumi.ComponentResource {
  static readonly token = "vllm-ascend:index:AscendNode";
  /** Resources after which everything is in place. */
  readonly staged: readonly pulumi.Resource[];
  readonly groupToken: pulumi.Output<string>;
  /** The docker daemon of this node, reached over SSH. */
  readonly docker: docker.Provider;
  readonly imageId: pulumi.Output<string>;
  /** New at every rotation: named by the serve manifest, so that its readers restart. */
  readonly secretsId: pulumi.Output<string>;

  constructor(name: string, args: AscendNodeArgs, opts?: pulumi.ComponentResourceOptions) {
    super(AscendNode.token, name, {}, opts);
    const { plan, node } = args;
    const { connection } = node;
    const bin = (script: string) => `bash ${shellQuote(`${plan.baseDir}/bin/${script}`)}`;

    const files = hostCommand(
      node.names.files,
      {
        connection,
        create: "timeout -k 10 300 bash -s",
        delete: `timeout -k 10 300 bash -c ${shellQuote(renderUnstageCommand(plan))}`,
        stdin: renderStageScript(plan, node, args.scripts),
      },
      { parent: this, dependsOn: [args.preflight] },
    );
    const groupToken =
      args.groupToken ??
      hostCommand(
        node.names.groupToken,
        { connection, create: `timeout -k 10 60 ${bin("token.sh")}`, secretOutput: true },
        { parent: this, dependsOn: [files] },
      ).stdout;
    const secrets = hostCommand(
      node.names.secrets,
      {
        connection,
        create: `timeout -k 10 60 ${bin("secrets.sh")}`,
        stdin: secretLines({ "group-token": groupToken, [API_KEY_FILE]: args.apiKey }),
        secretOutput: true,
      },
      { parent: this, dependsOn: [files], replaceOnChanges: ["stdin"] },
    );

    this.docker = new docker.Provider(
      node.names.docker,
      {
        host: dockerHost(connection),
        sshOpts: [...pinnedSshOptions(node.name, connection)],
      },
      { parent: this },
    );
    const loaded =
      node.container.image.archive === undefined
        ? files
        : hostCommand(
            node.names.imageLoad,
            {
              connection,
              create: `timeout -k 30 5400 ${bin("image.sh")}`,
              stdin: imageRequest(node.container.image),
              progress: true,
            },
            { parent: this, dependsOn: [files] },
          );
    const image = new docker.RemoteImage(
      node.names.image,
      // Images outlive a cluster: destroy leaves them, and the next `up` pulls nothing.
      { name: node.container.image.pull, keepLocally: true },
      // 25 GB over a slow registry: the provider's own default is 20 minutes.
      {
        parent: this,
        provider: this.docker,
        dependsOn: [loaded],
        customTimeouts: { create: "90m" },
      },
    );
    const { hub } = plan.model;
    const model =
      hub === undefined
        ? []
        : [
            hostCommand(
              node.names.model,
              {
                connection,
                // The real deadline is in the request; this one only ends what the script could not.
                create: `timeout -k 30 90000 ${bin("model.sh")}`,
                stdin: image.imageId.apply((id) => modelRequest(plan.model, hub, id)),
                progress: true,
              },
              { parent: this, dependsOn: [files] },
            ),
          ];

    this.staged = [files, secrets, image, ...model];
    this.imageId = image.imageId;
    this.groupToken = groupToken;
    this.secretsId = secrets.id;
    this.registerOutputs();
  }
}

function dockerHost({ user, address, port }: ConnectionPlan): string {
  return `ssh://${user}@${address}:${port}`;
}

function secretLines(
  secrets: Readonly<Record<string, pulumi.Output<string> | undefined>>,
): pulumi.Output<string> {
  const lines = Object.entries(secrets).flatMap(([file, value]) =>
    value === undefined
      ? []
      : [value.apply((text) => `${file} ${Buffer.from(text, "utf8").toString("base64")}\n`)],
  );
  return pulumi.secret(pulumi.all(lines).apply((all) => all.join("")));
}
