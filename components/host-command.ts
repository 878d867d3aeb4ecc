import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { BastionPlan, ConnectionPlan } from "../core/plan/cluster-plan.js";

/** What a step on a host does; everything else about remote commands is decided here, once. */
export interface HostCommandArgs {
  readonly connection: ConnectionPlan;
  /** Constant text: runs on create and on every change of `stdin`. */
  readonly create: string;
  /** Self-contained text: runs from old state, gets no standard input worth reading. */
  readonly delete?: string;
  readonly stdin?: pulumi.Input<string>;
  /** Whether output could carry a secret. */
  readonly secretOutput?: boolean;
  /** Shows lines of stderr while the step runs. */
  readonly progress?: boolean;
}

function proxyOf({ address, user, port, hostKey }: BastionPlan) {
  return { host: address, user, port, hostKey, dialErrorLimit: 3, perDialTimeout: 10 };
}

/**
 * The one way in which this library runs something on a host.
 *
 * - the host key is pinned and the key comes from the agent (a private key would enter the state);
 * - few dial attempts: failed authentication is retried too and can lock an account;
 * - `addPreviousOutputInEnv` off: sshd refuses such variables and output could be large;
 * - a replacement deletes first: create-then-delete would stop what was just started.
 */
export function hostCommand(
  name: string,
  args: HostCommandArgs,
  opts: pulumi.CustomResourceOptions,
): command.remote.Command {
  const { connection } = args;
  const asRoot = (text: string) => (connection.become === "sudo" ? `sudo -n ${text}` : text);
  return new command.remote.Command(
    name,
    {
      connection: {
        host: connection.address,
        port: connection.port,
        user: connection.user,
        hostKey: connection.hostKey,
        dialErrorLimit: 3,
        perDialTimeout: 10,
        ...(connection.bastion === undefined ? {} : { proxy: proxyOf(connection.bastion) }),
      },
      create: asRoot(args.create),
      ...(args.delete === undefined ? {} : { delete: asRoot(args.delete) }),
      ...(args.stdin === undefined ? {} : { stdin: args.stdin }),
      addPreviousOutputInEnv: false,
      logging: args.progress === true ? "stderr" : "none",
    },
    pulumi.mergeOptions(opts, {
      deleteBeforeReplace: true,
      // Hides the noise of a nested object; address and host key are shown by the commit manifests.
      hideDiffs: ["connection"],
      ...(args.secretOutput === true ? { additionalSecretOutputs: ["stdout", "stderr"] } : {}),
    }),
  );
}
