import type { ClusterSpec, ImageSpec } from "./cluster-spec.js";
import type { SpecIssue } from "./spec-issue.js";

/** How image and model come to the nodes: each source needs fields of its own and none of another's. */
export function checkArrival({ image, model }: ClusterSpec): readonly SpecIssue[] {
  return [
    ...fieldsOfSource("image", { ...image, source: imageSource(image) }, IMAGE_FIELDS),
    ...fieldsOfSource("model", model, MODEL_FIELDS),
  ];
}

/** The source of an image that names none follows from its identity. */
export function imageSource({ source, id }: ImageSpec): NonNullable<ImageSpec["source"]> {
  return source ?? (id === undefined ? "registry" : "present");
}

type Fields = Readonly<Record<string, Readonly<Record<string, "needed" | "allowed">>>>;

const IMAGE_FIELDS = {
  registry: { digest: "needed" },
  archive: { id: "needed", archive: "needed" },
  present: { id: "needed" },
} satisfies Fields;

const HUB_FIELDS = { repository: "needed", revision: "needed", endpoint: "allowed" } as const;
const MODEL_FIELDS = { path: {}, modelscope: HUB_FIELDS, huggingface: HUB_FIELDS } satisfies Fields;

function fieldsOfSource<S extends string>(
  path: string,
  spec: { readonly source: S } & Readonly<Record<string, unknown>>,
  bySource: Readonly<Record<S, Fields[string]>>,
): readonly SpecIssue[] {
  const own = bySource[spec.source];
  const all = new Set(
    Object.values<Fields[string]>(bySource).flatMap((fields) => Object.keys(fields)),
  );
  return [...all].flatMap((field) => {
    const isSet = spec[field] !== undefined;
    const at = `${path}.${field}`;
    if (isSet && own[field] === undefined) {
      const owners = Object.keys(bySource).filter((source) => bySource[source as S][field]);
      return [
        {
          path: at,
          reason: `must not be set with ${path}.source: ${spec.source}; remove it, or set source: ${owners.join(" or ")}`,
        },
      ];
    }
    if (isSet || own[field] !== "needed") return [];
    return [{ path: at, reason: `must be set with ${path}.source: ${spec.source}; ${HINTS[at]}` }];
  });
}

/** Where a user finds the value. */
const HINTS: Readonly<Record<string, string>> = {
  "image.digest":
    "docker buildx imagetools inspect <reference> prints it (a tag alone can differ from node to node); for an image without a registry set source: archive or present",
  "image.id": "docker image inspect --format {{.Id}} <reference> prints it where the image is",
  "image.archive": "the file of `docker save` on the nodes",
  "model.repository": "<owner>/<name> on the hub",
  "model.revision": "the commit id from the hub's page of the repository's files",
};
