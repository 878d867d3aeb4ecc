import * as pulumi from "@pulumi/pulumi";
import { GpustackCluster, type GpustackInput } from "./components/gpustack/index.js";
import {
  type ClusterSpecInput,
  InferenceCluster,
  secretConfig,
  secretConfigObject,
} from "./components/index.js";

const config = new pulumi.Config();
const cluster = config.requireObject<ClusterSpecInput>("cluster");
const gpustack = config.getObject<GpustackInput>("gpustack");
const deployed =
  gpustack === undefined
    ? new InferenceCluster({
        cluster,
        apiKey: secretConfig(config, "apiKey"),
        allowDowntimeFor: config.get("allowDowntimeFor"),
      })
    : new GpustackCluster({
        cluster,
        gpustack,
        url: config.getSecret("gpustackUrl"),
        apiKey: secretConfig(config, "gpustackApiKey"),
        inferenceKey: secretConfig(config, "gpustackInferenceKey"),
        secretEnv: secretConfigObject(config, "gpustackSecretEnv"),
      });

export const { model, curl } = deployed;
export const endpoint = deployed instanceof InferenceCluster ? deployed.endpoint : undefined;
export const nodes = deployed instanceof InferenceCluster ? deployed.nodes : undefined;
export const measured = deployed instanceof InferenceCluster ? deployed.measured : undefined;
export const instances = deployed instanceof GpustackCluster ? deployed.instances : undefined;
