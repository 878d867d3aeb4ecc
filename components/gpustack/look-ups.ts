import * as pulumi from "@pulumi/pulumi";
import { type GpustackConnection, withSecretConnection } from "./connection.js";

/** A server that runs deployments. */
export interface Worker {
  /** Name, the first part of its NPUs' ids. */
  readonly name: string;
  /** Address by which the server and other workers reach it. */
  readonly ip: string;
  /** Interface that owns `ip`; empty when the worker does not say. */
  readonly ifname: string;
  /** `ready` when deployments can run on it. */
  readonly state: string;
  /** Why it is not ready. */
  readonly stateMessage: string;
  /** Cluster of GPUStack that it belongs to. */
  readonly clusterId: number;
}

/** An accelerator of a worker. */
export interface Npu {
  /** As in `gpuIds`: `<worker>:cann:<index>`. */
  readonly id: string;
  /** Name of its worker. */
  readonly worker: string;
  /** GPUStack's type of Ascend NPUs is `cann`. */
  readonly type: string;
  /** Index on its worker. */
  readonly index: number;
  /** E.g. `910B3`. */
  readonly name: string;
  /** High-bandwidth memory. */
  readonly memoryBytes: number;
  /** What GPUStack has given to deployments. */
  readonly allocatedBytes: number;
  /** Names of the deployments with an instance on it. */
  readonly heldBy: readonly string[];
}

/** The workers of a server, in previews too: a program that calls it needs the server for every command. */
export function getWorkers(
  args: GpustackConnection = {},
  opts?: pulumi.InvokeOptions,
): pulumi.Output<{ readonly workers: readonly Worker[] }> {
  return pulumi.runtime.invokeOutput("gpustack:index:getWorkers", withSecretConnection(args), opts);
}

/** The NPUs of a server, or of one worker. */
export function getNpus(
  args: GpustackConnection & { readonly worker?: pulumi.Input<string> | undefined } = {},
  opts?: pulumi.InvokeOptions,
): pulumi.Output<{ readonly npus: readonly Npu[] }> {
  return pulumi.runtime.invokeOutput("gpustack:index:getNpus", withSecretConnection(args), opts);
}
