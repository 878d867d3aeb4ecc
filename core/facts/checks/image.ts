import type { Check, CheckContext, Finding } from "../check.js";
import { deviation, unknownFact } from "../check.js";
import type { HostFacts, ImageFact } from "../host-facts.js";

/** Whether the image is on the host, or the registry has it. */
export const imageCheck: Check = { name: "image", needs: ["root", "docker"], judge: judgeImage };

function judgeImage(context: CheckContext): readonly Finding[] {
  const { node, facts } = context;
  const { image } = node;
  const fact = facts.images.get(image.pull);
  if (fact === undefined) return [unknownFact(`image ${image.reference}`, undefined)];
  switch (fact.state) {
    case "present":
      return judgePresent(context, fact);
    case "pullable":
      return [];
    case "absent":
      return image.archive === undefined
        ? [
            {
              code: "IMAGE_MISSING",
              result: "fail",
              detail: `no image with id ${image.pull} (${image.reference})`,
              fix: `docker save ${image.reference} | ssh <this host> docker load, from a host that has it; or set image.source to archive or registry`,
            },
          ]
        : judgeArchive(image.archive, facts);
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

function judgePresent(context: CheckContext, fact: ImageFact): readonly Finding[] {
  const { node, facts } = context;
  const { image } = node;
  const findings: Finding[] = [];
  const wanted = ARCHITECTURES[facts.machine ?? ""];
  if (fact.architecture !== undefined && wanted !== undefined && fact.architecture !== wanted) {
    findings.push({
      code: "IMAGE_ARCHITECTURE",
      result: "fail",
      detail: `${image.reference} is for ${fact.architecture}, the host is ${facts.machine}`,
      fix: `load the image for ${wanted}, and set its image.id or image.digest`,
    });
  }
  const other = deviation(context, (host) => {
    const found = host.facts.images.get(image.pull);
    return found?.state === "present" ? found.text : undefined;
  });
  if (other !== undefined) {
    findings.push({
      code: "IMAGE_DIFFERS",
      result: "fail",
      detail: `${image.reference} is ${other.own} here and ${other.others} on ${other.example}`,
      fix: "give all nodes one image: docker rmi the other one, then pull or load again",
    });
  }
  return findings;
}

/** Docker's names of what `uname -m` says. */
const ARCHITECTURES: Readonly<Record<string, string>> = { aarch64: "arm64", x86_64: "amd64" };

/** The file that the image will be loaded from. */
function judgeArchive(archive: string, facts: HostFacts): readonly Finding[] {
  const fact = facts.paths.get(archive);
  if (fact?.state === "found" && fact.type === "regular file") return [];
  if (fact === undefined || fact.state === "error") return [unknownFact(archive, fact?.reason)];
  const seen = fact.state === "found" ? `${archive} is a ${fact.type}` : `${archive} is not there`;
  return [
    {
      code: "IMAGE_MISSING",
      result: "fail",
      detail: `the image is not on the host, and ${seen}`,
      fix: "copy the file of `docker save` there, mount the file system that holds it, or correct image.archive",
    },
  ];
}
