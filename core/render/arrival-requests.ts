import type { HubPlan, ImagePlan, ModelPlan } from "../plan/cluster-plan.js";

/** What `node/image.sh` reads; only an image of source `archive` is loaded. */
export function imageRequest(image: ImagePlan): string {
  if (image.archive === undefined) throw new Error("only an archive is loaded");
  return renderLines([
    ["id", image.pull],
    ["archive", image.archive],
  ]);
}

/** What `node/model.sh` reads. The model is downloaded in a container of `imageId`, which has Python. */
export function modelRequest(
  { path, timeoutSec }: ModelPlan,
  hub: HubPlan,
  imageId: string,
): string {
  return renderLines([
    ["path", path],
    ["timeoutSec", String(timeoutSec)],
    ...Object.entries(hub),
    ["image", imageId],
  ]);
}

function renderLines(lines: readonly (readonly string[])[]): string {
  return lines.map((fields) => `${fields.join("\t")}\n`).join("");
}
