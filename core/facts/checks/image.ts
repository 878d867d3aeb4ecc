import type { Check, CheckContext, Finding } from "../check.js";
import { unknownFact } from "../check.js";

/** Whether the image is on the host, or the registry has it. */
export const imageCheck: Check = { name: "image", needs: ["root", "docker"], judge: judgeImage };

function judgeImage({ node, facts }: CheckContext): readonly Finding[] {
  const { image } = node;
  const fact = facts.images.get(image.pull);
  if (fact === undefined) return [unknownFact(`image ${image.reference}`, undefined)];
  switch (fact.state) {
    case "present":
    case "pullable":
      return [];
    case "absent":
      return [
        {
          code: "IMAGE_MISSING",
          result: "fail",
          detail: `no image with id ${image.pull} (${image.reference})`,
          fix: `docker save ${image.reference} | ssh <this host> docker load, from a host that has it; or set image.digest to pull it`,
        },
      ];
    case "unknown-to-registry":
      return [
        {
          code: "IMAGE_MISSING",
          result: "fail",
          detail: `neither the host nor the registry has ${image.pull}: ${fact.text}`,
          fix: `correct image.digest: docker buildx imagetools inspect ${image.reference}`,
        },
      ];
    case "registry-error":
      return [
        {
          code: "IMAGE_UNKNOWN",
          result: "unknown",
          detail: `not on the host, and the registry gave no verdict on ${image.pull}: ${fact.text}`,
          fix: `if the pull fails, try it on the host (docker pull ${image.pull}) or load the image and set image.id`,
        },
      ];
    case "error":
      return [unknownFact(`image ${image.reference}`, fact.text)];
    default:
      return fact.state satisfies never;
  }
}
