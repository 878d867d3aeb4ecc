import { vllmVersion } from "../../spec/image-version.js";
import { KNOWN_VLLM_VERSIONS, knownFlags } from "../../vllm-flags/known-flags.js";
import { KNOWN_VULNERABILITIES, vulnerabilitiesOf } from "../known-vulnerabilities.js";
import { hitIf, type LintRule } from "../lint-rule.js";

export const IMAGE_RULES: readonly LintRule[] = [
  {
    code: "IMAGE_VULNERABLE",
    level: "error",
    title: "the image holds a vLLM or a Ray with known remote code execution",
    reason:
      "others run code on the servers: through a port, a request or a model, as docs/security.md lists",
    wayOut: "use an image with vLLM 0.18.0 or later (and Ray 2.8.1 or later)",
    sources: KNOWN_VULNERABILITIES.map(({ id }) => id),
    check: ({ image }) =>
      [
        { product: "vLLM", version: vllmVersion(image), path: "image.reference" } as const,
        { product: "Ray", version: image.rayVersion, path: "image.rayVersion" } as const,
      ].flatMap(({ product, version, path }) => {
        const found = vulnerabilitiesOf(product, version).map(({ id }) => id);
        return hitIf(found.length > 0, path, `${product} ${version}: ${found.join(", ")}`);
      }),
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
