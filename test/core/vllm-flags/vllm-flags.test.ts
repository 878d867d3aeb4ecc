// The tables of vLLM's flags against the plan, and what extraArgs may say. Does not prove that the tables are vLLM's: they are
// read off its parser by tools/vllm-flags, and the lab's stand-in has a table that was read off the same program.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { vllmVersion } from "../../../core/spec/image-version.js";
import { MANAGED_FLAGS } from "../../../core/spec/managed.js";
import { ClusterSpecError } from "../../../core/spec/spec-issue.js";
import { flagValueProblem } from "../../../core/vllm-flags/flag-value.js";
import { KNOWN_VLLM_VERSIONS, knownFlags } from "../../../core/vllm-flags/known-flags.js";
import { repoDir } from "../../../tools/setup/paths.mjs";
import { vllmVersions } from "../../../tools/vllm-flags/versions.mjs";
import { aClusterSpec } from "../../support/specs.js";

function issuesWith(
  extraArgs: NonNullable<ClusterSpecInput["serve"]["extraArgs"]>,
  tag = "v0.23.0",
): string[] {
  try {
    aClusterSpec((raw) => {
      raw.image.reference = `quay.io/ascend/vllm-ascend:${tag}`;
      raw.serve.extraArgs = extraArgs;
    });
  } catch (error) {
    assert.ok(error instanceof ClusterSpecError, String(error));
    return error.issues.map(({ path, reason }) => `${path}: ${reason}`);
  }
  return [];
}

describe("the flags of vllm serve", () => {
  it("are known for every version that the tool reads, with its wheel named in the file", () => {
    assert.deepEqual(
      KNOWN_VLLM_VERSIONS,
      vllmVersions.map(({ version }) => version),
    );
    for (const { version, wheelSha256 } of vllmVersions) {
      const text = readFileSync(join(repoDir, `core/vllm-flags/flags-${version}.ts`), "utf8");
      assert.ok(text.includes(wheelSha256), version);
    }
  });

  it("have every flag that the plan sets, in both versions", () => {
    // Two only exist later than 0.18.
    const newer = ["data-parallel-multi-port-external-lb", "data-parallel-supervisor-port"];
    for (const version of KNOWN_VLLM_VERSIONS) {
      const missing = Object.keys(MANAGED_FLAGS).filter(
        (flag) => knownFlags(version)![flag] === undefined,
      );
      assert.deepEqual(missing, version === "0.18.0" ? newer : [], version);
    }
  });

  it("are those of the lab's real vLLM 0.23", () => {
    const file = join(repoDir, "tools/lab/images/standin/vllm_standin/vllm-flags.json");
    const lab = (JSON.parse(readFileSync(file, "utf8")) as { flags: string[] }[])
      .flatMap(({ flags }) => flags)
      .filter((flag) => flag.startsWith("--"))
      .map((flag) => flag.slice(2));
    assert.deepEqual(Object.keys(knownFlags("0.23.0")!).toSorted(), lab.toSorted());
  });

  const tags: readonly (readonly [tag: string, version: string | undefined])[] = [
    ["v0.18.0rc1", "0.18.0"],
    ["v0.23.0", "0.23.0"],
    ["0.23.0.post1", "0.23.0"],
    ["v0.18.0-a3-openeuler", "0.18.0"],
    ["main", undefined],
    ["nightly-2026-08-22", undefined],
    ["latest", undefined],
  ];
  for (const [tag, version] of tags) {
    it(`of an image ${tag} are those of ${version ?? "no known version"}`, () => {
      assert.equal(vllmVersion({ reference: `quay.io/ascend/vllm-ascend:${tag}` }), version);
    });
  }

  it("of an image are those of image.vllmVersion, whatever the tag says", () => {
    const image = { reference: "lab/ray:2.48.0", vllmVersion: "0.23.0" };
    assert.equal(vllmVersion(image), "0.23.0");
  });

  const refused: readonly (readonly [
    title: string,
    extraArgs: NonNullable<ClusterSpecInput["serve"]["extraArgs"]>,
    issue: RegExp,
    tag?: string,
  ])[] = [
    [
      "a misspelt flag, with the nearest one",
      { "enforce-eagre": true },
      /^serve\.extraArgs\.enforce-eagre: is no flag of `vllm serve` 0\.23\.0; did you mean "enforce-eager"\?$/,
    ],
    [
      "a flag that is newer than the image",
      { "mamba-backend": "x" },
      /is no flag of `vllm serve` 0\.18\.0/,
      "v0.18.0rc1",
    ],
    [
      "a flag that the plan sets, by the field that decides it",
      { "tensor-parallel-size": 4 },
      /^serve\.extraArgs\.tensor-parallel-size: is a flag that the plan sets from serve\.tensorParallelSize/,
    ],
    ["a file of flags", { config: "/etc/vllm.yaml" }, /set.* from the stack file/],
    [
      "underscores",
      { enforce_eager: true },
      /^serve\.extraArgs\.enforce_eager: the key must be a long flag name with hyphens/,
    ],
    [
      "a value for a flag without one",
      { "enforce-eager": "yes" },
      /takes no value; write true, or false to leave it out, got "yes"/,
    ],
    ["no value for a flag with one", { "block-size": true }, /takes a value; write a whole number/],
    ["a word for a number", { "block-size": "big" }, /must be a whole number, got "big"/],
    [
      "broken JSON",
      { "compilation-config": "{cudagraph_mode: FULL}" },
      /must be a map, or JSON as text/,
    ],
    [
      "a number that YAML has rounded",
      { "additional-config": { bytes: 2 ** 60 } },
      /must not have whole numbers beyond 9007199254740991/,
    ],
  ];
  for (const [title, extraArgs, issue, tag] of refused) {
    it(`refuse ${title}`, () => {
      const issues = issuesWith(extraArgs, tag);
      assert.equal(issues.length, 1, issues.join("\n"));
      assert.match(issues[0]!, issue);
    });
  }

  it("take what vLLM takes", () => {
    const issues = issuesWith({
      "no-enable-prefix-caching": true,
      "enforce-eager": false,
      "block-size": 128,
      "cpu-offload-gb": "1.5",
      "kv-cache-memory-bytes": "8G",
      "compilation-config": { cudagraph_mode: "FULL_DECODE_ONLY" },
      "speculative-config": '{"method":"mtp","num_speculative_tokens":3}',
      "additional-config": { enable_cpu_binding: true },
      "disable-access-log-for-endpoints": "/health,/metrics,/ping",
    });
    assert.deepEqual(issues, []);
  });

  it("are not checked where nobody knows them", () => {
    assert.deepEqual(issuesWith({ "flag-of-tomorrow": "x" }, "v9.9.9"), []);
  });

  it("may be left out by false, whatever they take", () => {
    for (const kind of ["bare", "text", "integer", "float", "json", "size"] as const) {
      assert.equal(flagValueProblem(kind, false), undefined);
    }
  });
});
