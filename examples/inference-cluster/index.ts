import * as pulumi from "@pulumi/pulumi";
import { type ClusterSpecInput, InferenceCluster } from "pulumi-vllm-ascend";

const config = new pulumi.Config();
const cluster = new InferenceCluster({
  cluster: config.requireObject<ClusterSpecInput>("cluster"),
  apiKey: config.requireSecret("apiKey"),
});
// What uses this output waits until the cluster has answered a completion.
export const endpoint = cluster.endpoint;
