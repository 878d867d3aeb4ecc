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

function outputs() {
  const { model, curl } = deployed;
  if (deployed instanceof GpustackCluster) return { model, curl, instances: deployed.instances };
  const { endpoint, nodes, measured } = deployed;
  return { endpoint, model, nodes, measured, curl };
}

// One object, because the engine warns at every run of a named export that is undefined.
export default outputs();
