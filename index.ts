import * as pulumi from "@pulumi/pulumi";
import { type ClusterSpecInput, InferenceCluster } from "./components/index.js";

const config = new pulumi.Config();
const cluster = new InferenceCluster({
  cluster: config.requireObject<ClusterSpecInput>("cluster"),
  apiKey: config.getSecret("apiKey"),
});

export const { endpoint, model, nodes, curl } = cluster;
