import * as pulumi from "@pulumi/pulumi";
import { backendVersionHash } from "../../core/gpustack/deployment.js";
import { backendVersionInputs } from "../../core/gpustack/inputs.js";
import { type GpustackConnection, withSecretConnection } from "./connection.js";

/** Inputs of a `BackendVersion`. */
export interface BackendVersionArgs extends GpustackConnection {
  /** Backend that gets the version, by its name on the server. @default "vLLM" */
  readonly backend?: pulumi.Input<string> | undefined;
  /** Name of the version; on a built-in backend it ends in `-custom`. */
  readonly version: pulumi.Input<string>;
  /** Image that the workers pull. */
  readonly imageName: pulumi.Input<string>;
  /** Command of the container. @default "vllm serve" */
  readonly entrypoint?: pulumi.Input<string> | undefined;
  /** Arguments after the entrypoint. @default GPUStack's template for vLLM */
  readonly runCommand?: pulumi.Input<string> | undefined;
  /** Environment of all deployments that use the version. @default {} */
  readonly env?: pulumi.Input<Record<string, pulumi.Input<string>>> | undefined;
}

/**
 * One version of an inference backend of GPUStack: an image with its command. Other versions of the backend are left alone.
 *
 * Id: `<backend>/<version>`, e.g. `vLLM/0.18.0rc1-custom`; the resource option `import` takes over an existing one.
 */
export class BackendVersion extends pulumi.CustomResource {
  /** Type token of the resource. */
  static readonly token = "gpustack:index:BackendVersion";
  /** Backend that has the version. */
  declare readonly backend: pulumi.Output<string>;
  /** Name of the version: `backendVersion` of the groups that use it. */
  declare readonly version: pulumi.Output<string>;
  /** Identity of what the version runs; `backendVersionHash` of the groups that use it. */
  readonly contentHash: pulumi.Output<string>;

  constructor(name: string, args: BackendVersionArgs, opts?: pulumi.CustomResourceOptions) {
    super(BackendVersion.token, name, withSecretConnection(args), opts);
    // Made by the program: the provider's own output is not known in the preview of a change.
    const { url, apiKey, ...content } = args;
    this.contentHash = pulumi
      .output(content)
      .apply((known) => backendVersionHash(backendVersionInputs.parse(known)));
  }
}
