import * as pulumi from "@pulumi/pulumi";
import { type GpustackConnection, withSecretConnection } from "./connection.js";

/** One deployment of a group. */
export interface GroupMemberArgs {
  /** Name of the deployment. The head's is the model's name in the API. */
  readonly name: pulumi.Input<string>;
  /** NPUs as `<worker>:cann:<index>`. */
  readonly gpuIds: pulumi.Input<pulumi.Input<string>[]>;
  /** Arguments of `vllm serve`, quoted as in a shell. @default [] */
  readonly backendParameters?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Stored by GPUStack in clear. @default {} */
  readonly env?: pulumi.Input<Record<string, pulumi.Input<string>>> | undefined;
}

/** Inputs of a `DeploymentGroup`. */
export interface DeploymentGroupArgs extends GpustackConnection {
  /** Key of scope `inference`: with it a start is done when a completion was answered. @default GPUSTACK_INFERENCE_KEY */
  readonly inferenceKey?: pulumi.Input<string> | undefined;
  /** The deployments, the head first. */
  readonly members: pulumi.Input<pulumi.Input<GroupMemberArgs>[]>;
  /** Model of ModelScope; exactly one of this, `huggingfaceRepoId` and `localPath`. */
  readonly modelScopeModelId?: pulumi.Input<string> | undefined;
  /** Model of Hugging Face. */
  readonly huggingfaceRepoId?: pulumi.Input<string> | undefined;
  /** Directory of the weights on every worker. */
  readonly localPath?: pulumi.Input<string> | undefined;
  /** Id of the cluster of GPUStack. @default the cluster of the members' workers */
  readonly clusterId?: pulumi.Input<number> | undefined;
  /** Inference backend. @default "vLLM" */
  readonly backend?: pulumi.Input<string> | undefined;
  /** Name of the version; `version` of a `BackendVersion`. */
  readonly backendVersion: pulumi.Input<string>;
  /** `contentHash` of the `BackendVersion`: without it a changed image restarts nothing. */
  readonly backendVersionHash?: pulumi.Input<string> | undefined;
  /** 0 stops the group and keeps its deployments. @default 1 */
  readonly replicas?: pulumi.Input<0 | 1> | undefined;
  /** Text for people; changed in place. */
  readonly description?: pulumi.Input<string> | undefined;
  /** Kinds of model, as GPUStack shows them; changed in place. @default ["llm"] */
  readonly categories?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Whether GPUStack starts a failed instance again by itself. @default true */
  readonly restartOnError?: pulumi.Input<boolean> | undefined;
  /** From replicas 1 to a serving group, the download included. @default 3600 */
  readonly readyTimeoutSec?: pulumi.Input<number> | undefined;
  /** Restarts of any member after which a start has failed. @default 3 */
  readonly maxRestarts?: pulumi.Input<number> | undefined;
}

/** A running replica of a member. */
export interface GroupInstance {
  /** Name of the member. */
  readonly member: string;
  /** Name of the instance in GPUStack. */
  readonly name: string;
  /** Name of its worker; empty before it is scheduled. */
  readonly worker: string;
  /** How often GPUStack has started it again. */
  readonly restartCount: number;
}

/**
 * Deployments of GPUStack that run as one model: with data parallelism one per worker, the head first. They start, stop, and
 * are ready or failed together; every change but `description` and `categories` restarts all of them, once.
 *
 * Id: the names of the deployments, the head first, with commas between; the resource option `import` takes over a group
 * that exists.
 */
export class DeploymentGroup extends pulumi.CustomResource {
  /** Type token of the resource. */
  static readonly token = "gpustack:index:DeploymentGroup";
  /** Name of the model in the API, once the group serves. */
  declare readonly route: pulumi.Output<string>;
  /** Ids of the deployments by name. */
  declare readonly modelIds: pulumi.Output<Readonly<Record<string, number>>>;
  /** As of the end of the last `up` or refresh. */
  declare readonly instances: pulumi.Output<readonly GroupInstance[]>;
  /** What is wrong with the group, as of the last look; empty when nothing is. */
  declare readonly problem: pulumi.Output<string>;

  constructor(name: string, args: DeploymentGroupArgs, opts?: pulumi.CustomResourceOptions) {
    const outputs = {
      route: undefined,
      modelIds: undefined,
      instances: undefined,
      problem: undefined,
      cluster: undefined,
      appliedHash: undefined,
    };
    super(DeploymentGroup.token, name, { ...withSecretConnection(args), ...outputs }, opts);
  }
}
