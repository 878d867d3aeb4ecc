import { imageSource } from "../spec/arrival-rules.js";
import type { ClusterSpec, ImageSpec } from "../spec/cluster-spec.js";
import type { ImagePlan, ModelPlan } from "./cluster-plan.js";

/** The image of the container by its identity, and how a node gets it. */
export function imagePlan(image: ImageSpec): ImagePlan {
  const { reference, digest, id, archive } = image;
  const source = imageSource(image);
  if (source === "registry") {
    if (digest === undefined) throw new Error("a checked spec has an image digest");
    const repository = reference.slice(0, reference.lastIndexOf(":"));
    return { reference, pull: `${repository}@${digest}`, source };
  }
  if (id === undefined) throw new Error("a checked spec has an image id");
  return { reference, pull: id, source, ...(archive === undefined ? {} : { archive }) };
}

/** The weights, and how a node gets them. */
export function modelPlan({ model, timeouts }: ClusterSpec): ModelPlan {
  const { path, source, repository, revision } = model;
  const common = { path, timeoutSec: timeouts.modelSec };
  if (source === "path") return common;
  if (repository === undefined || revision === undefined) {
    throw new Error("a checked spec has repository and revision of a hub");
  }
  const endpoint = (model.endpoint ?? HUB_ENDPOINTS[source]).replace(/\/+$/, "");
  return { ...common, hub: { source, repository, revision, endpoint } };
}

const HUB_ENDPOINTS = {
  modelscope: "https://modelscope.cn",
  huggingface: "https://huggingface.co",
} as const;
