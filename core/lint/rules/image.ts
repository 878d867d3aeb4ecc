import { isOlder, vllmVersion } from "../../spec/image-version.js";
import { KNOWN_VLLM_VERSIONS, knownFlags } from "../../vllm-flags/known-flags.js";
import { hitIf, type LintRule } from "../lint-rule.js";

export const IMAGE_RULES: readonly LintRule[] = [
  {
    code: "IMAGE_VULNERABLE",
    level: "error",
    title: "the image holds a vLLM with known remote code execution",
    reason:
      "whoever reaches its ports between the nodes runs code there (ZMQ with pickle, sockets on all interfaces)",
    wayOut: "use an image with vLLM 0.9.0 or later",
    sources: ["CVE-2025-30165", "CVE-2025-30202", "CVE-2025-32444", "CVE-2025-47277"],
    check: ({ image }) => {
      const version = vllmVersion(image);
      return hitIf(
        version !== undefined && isOlder(version, "0.9.0"),
        "image.reference",
        `vLLM ${version}`,
      );
    },
  },
  {
    code: "IMAGE_SERIES",
    level: "error",
    title: "the image is built for other chips than the servers have",
    reason: "operators of another chip are not found: `socversion … does not match`",
    wayOut: "use the tag of the series: `<version>` for A2, `<version>-a3` for A3",
    sources: ["vllm-ascend#6676", "vllm-ascend docs `installation.md`"],
    check: ({ image, series }) => {
      const chip = /-(a2|a3|310p|950dt)\b/.exec(tagOf(image.reference))?.[1] ?? "a2";
      const isVllmAscend = /(^|\/)vllm-ascend:/.test(image.reference);
      return hitIf(
        isVllmAscend && chip !== series.toLowerCase(),
        "image.reference",
        `tag ${tagOf(image.reference)} for series ${series}`,
      );
    },
  },
  {
    code: "IMAGE_VLLM_VERSION",
    level: "warning",
    title: "the flags of the image's vLLM are not known",
    reason:
      "`serve.extraArgs` cannot be checked; a misspelt flag fails at the start, on the servers",
    wayOut: `set image.vllmVersion; known are ${KNOWN_VLLM_VERSIONS.join(" and ")}`,
    sources: ["tools/vllm-flags"],
    check: ({ image, serve }) => {
      const version = vllmVersion(image);
      return hitIf(
        knownFlags(version) === undefined && Object.keys(serve.extraArgs).length > 0,
        image.vllmVersion === undefined ? "image.reference" : "image.vllmVersion",
        version === undefined ? `tag ${tagOf(image.reference)}` : `vLLM ${version}`,
      );
    },
  },
];

function tagOf(reference: string): string {
  return reference.slice(reference.lastIndexOf(":") + 1);
}
