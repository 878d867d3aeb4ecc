// Each rule fires on what it is about, at the right field, and not on the stack without it. Does not prove that upstream
// still behaves as the sources say.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  KNOWN_VULNERABILITIES,
  vulnerabilitiesOf,
} from "../../../core/lint/known-vulnerabilities.js";
import { blockingFindings, lintCluster, renderFinding } from "../../../core/lint/lint-cluster.js";
import { LINT_RULES } from "../../../core/lint/lint-rules.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { aClusterSpec, rawCluster } from "../../support/specs.js";

type Change = (raw: ClusterSpecInput) => void;

/** A stack in which no rule finds anything. */
const CLEAN: Change = (raw) => {
  raw.topology = "multiprocessing";
  raw.serve.trustRemoteCode = false;
};

function codesOf(change: Change, hasApiKey = true): string[] {
  const spec = aClusterSpec((raw) => {
    CLEAN(raw);
    change(raw);
  });
  return lintCluster(spec, { hasApiKey }).map(({ code, path }) => `${code} ${path}`);
}

const rows: readonly (readonly [finding: string, change: Change, hasApiKey?: false])[] = [
  [
    "RAY_PIPELINE_EXPERT_PARALLEL serve.enableExpertParallel",
    (raw) => {
      raw.topology = "ray";
    },
  ],
  [
    "RAY_PIPELINE_OLD_IMAGE image",
    (raw) => {
      raw.topology = "ray";
      raw.image.reference = "quay.io/ascend/vllm-ascend:v0.19.1";
    },
  ],
  [
    "PIPELINE_ON_0_18 serve.pipelineParallelSize",
    (raw) => {
      raw.image.reference = "quay.io/ascend/vllm-ascend:v0.18.0rc1";
    },
  ],
  [
    "DATA_PARALLEL_WITHOUT_EXPERT_PARALLEL serve.enableExpertParallel",
    (raw) => {
      raw.topology = "data-parallel";
      Object.assign(raw.serve, { pipelineParallelSize: 1, dataParallelSize: 2 });
      raw.serve.enableExpertParallel = false;
    },
  ],
  [
    "TENSOR_PARALLEL_OVER_NODES serve.tensorParallelSize",
    (raw) => {
      Object.assign(raw.serve, { tensorParallelSize: 16, pipelineParallelSize: 1 });
    },
  ],
  [
    "RAY_WITHOUT_AUTHENTICATION image.rayVersion",
    (raw) => {
      raw.topology = "ray";
    },
  ],
  [
    "RAY_OBJECT_STORE ray.objectStoreMemoryGib",
    (raw) => {
      raw.topology = "ray";
      raw.ray = { objectStoreMemoryGib: 1 };
    },
  ],
  [
    "IMAGE_VULNERABLE image.reference",
    (raw) => {
      raw.image.reference = "quay.io/ascend/vllm-ascend:v0.8.5rc1";
    },
  ],
  [
    "IMAGE_SERIES image.reference",
    (raw) => {
      raw.image.reference = "quay.io/ascend/vllm-ascend:v0.23.0-310p-openeuler";
    },
  ],
  [
    "IMAGE_VLLM_VERSION image.reference",
    (raw) => {
      raw.image.reference = "quay.io/ascend/vllm-ascend:main";
      raw.serve.extraArgs = { "some-new-flag": true };
    },
  ],
  [
    "QUANTIZATION_MISSING serve.quantization",
    (raw) => {
      raw.model.path = "/data/models/Qwen3-235B-A22B-W8A8/";
    },
  ],
  [
    "ASYNC_SCHEDULING serve.extraArgs.async-scheduling",
    (raw) => {
      raw.serve.extraArgs = { "async-scheduling": true };
    },
  ],
  [
    "ASYNC_SCHEDULING_RAY serve.extraArgs.async-scheduling",
    (raw) => {
      raw.topology = "ray";
      raw.image.reference = "quay.io/ascend/vllm-ascend:v0.18.0";
      raw.serve.extraArgs = { "async-scheduling": true };
    },
  ],
  [
    "STATISTICS_OFF serve.extraArgs.disable-log-stats",
    (raw) => {
      Object.assign(raw, rawCluster({ topology: "data-parallel" }));
      raw.serve.extraArgs = { "disable-log-stats": true };
    },
  ],
  [
    "SPECULATIVE_METHOD serve.extraArgs.speculative-config",
    (raw) => {
      raw.serve.extraArgs = {
        "speculative-config": { method: "qwen3_5_mtp", num_speculative_tokens: 3 },
      };
    },
  ],
  [
    "SPECULATIVE_EAGER serve.extraArgs.speculative-config",
    (raw) => {
      raw.serve.extraArgs = { "speculative-config": '{"method":"mtp","enforce_eager":true}' };
    },
  ],
  [
    "EAGER_AND_GRAPHS serve.extraArgs.enforce-eager",
    (raw) => {
      raw.serve.extraArgs = {
        "enforce-eager": true,
        "compilation-config": { cudagraph_mode: "FULL_DECODE_ONLY" },
      };
    },
  ],
  [
    "MEMORY_UTILIZATION serve.gpuMemoryUtilization",
    (raw) => {
      raw.serve.gpuMemoryUtilization = 0.98;
    },
  ],
  [
    "SERVE_BY_TLS_OR_GRPC serve.extraArgs.ssl-keyfile",
    (raw) => {
      raw.serve.extraArgs = { "ssl-keyfile": "/etc/key.pem" };
    },
  ],
  [
    "PROXY_ENVIRONMENT nodes[1].env.https_proxy",
    (raw) => {
      raw.nodes[1]!.env = { https_proxy: "http://10.0.0.1:3128" };
    },
  ],
  [
    "HCCL_BUFFSIZE_MEMORY env.HCCL_BUFFSIZE",
    (raw) => {
      raw.env = { HCCL_BUFFSIZE: "1024" };
    },
  ],
  [
    "HCCL_NUMBER env.HCCL_CONNECT_TIMEOUT",
    (raw) => {
      raw.env = { HCCL_CONNECT_TIMEOUT: "10000" };
    },
  ],
  [
    "ENGINE_READY_TIMEOUT env.VLLM_ENGINE_READY_TIMEOUT_S",
    (raw) => {
      raw.env = { VLLM_ENGINE_READY_TIMEOUT_S: "600" };
    },
  ],
  [
    "HUB_ENVIRONMENT env.VLLM_USE_MODELSCOPE",
    (raw) => {
      raw.env = { VLLM_USE_MODELSCOPE: "True" };
    },
  ],
  [
    "IGNORED_ENVIRONMENT env.VLLM_USE_V1",
    (raw) => {
      raw.env = { VLLM_USE_V1: "1" };
    },
  ],
  [
    "DEVELOPMENT_SERVER env.VLLM_SERVER_DEV_MODE",
    (raw) => {
      raw.env = { VLLM_SERVER_DEV_MODE: "1" };
    },
  ],
  ["API_KEY_MISSING vllm-ascend:apiKey", () => undefined, false],
  [
    "TRUST_REMOTE_CODE serve.trustRemoteCode",
    (raw) => {
      raw.serve.trustRemoteCode = true;
      Object.assign(raw.model, {
        source: "modelscope",
        repository: "Qwen/Qwen3-235B-A22B",
        revision: "ab".repeat(20),
      });
    },
  ],
  [
    "TRUST_REMOTE_CODE_UNPINNED serve.trustRemoteCode",
    (raw) => {
      raw.serve.trustRemoteCode = true;
    },
  ],
  [
    "PORT_EPHEMERAL serve.port",
    (raw) => {
      raw.serve.port = 40_000;
    },
  ],
  [
    "PORT_OF_HCCL supervisor.port",
    (raw) => {
      raw.supervisor = { port: 60_010 };
    },
  ],
];

describe("lintCluster", () => {
  it("finds nothing in a stack without any of it", () => {
    assert.deepEqual(
      codesOf(() => undefined),
      [],
    );
  });

  for (const [finding, change, hasApiKey] of rows) {
    it(`says ${finding}`, () => {
      const found = codesOf(change, hasApiKey);
      assert.ok(found.includes(finding), found.join("\n"));
    });
  }

  it("has a case above for every rule", () => {
    assert.deepEqual(
      rows.map(([finding]) => finding.split(" ")[0]!).toSorted(),
      LINT_RULES.map(({ code }) => code).toSorted(),
    );
  });

  it("names what is known of a version of vLLM or Ray, within the ranges of the advisories", () => {
    const idsOf = (...args: Parameters<typeof vulnerabilitiesOf>) =>
      vulnerabilitiesOf(...args).map(({ id }) => id);
    assert.deepEqual(idsOf("vLLM", "0.13.0"), [
      "CVE-2026-22807",
      "CVE-2026-22778",
      "CVE-2026-27893",
    ]);
    assert.deepEqual(idsOf("vLLM", "0.17.1"), ["CVE-2026-27893"]);
    assert.deepEqual(idsOf("vLLM", "0.18.0"), []);
    assert.deepEqual(idsOf("Ray", "2.8.0"), ["CVE-2023-6019"]);
    assert.deepEqual(idsOf("Ray", "2.8.1"), []);
    assert.deepEqual(idsOf("vLLM", undefined), []);
    const codes = codesOf((raw) => {
      raw.topology = "ray";
      raw.image.rayVersion = "2.7.2";
    });
    assert.ok(codes.includes("IMAGE_VULNERABLE image.rayVersion"), codes.join());
  });

  it("lists every known vulnerability with its range in docs/security.md", () => {
    const page = readFileSync("docs/security.md", "utf8");
    for (const { product, id, since, fixed, through } of KNOWN_VULNERABILITIES) {
      const range = since === null ? `before ${fixed}` : `${since} to before ${fixed}`;
      const row = page.split("\n").find((line) => line.includes(id)) ?? "";
      assert.ok(row.includes(`| ${product} ${range} | ${through} |`), `${id}: ${row}`);
    }
  });

  it("does not warn of Ray's missing authentication where the image's Ray has it", () => {
    const codes = (rayVersion: string) =>
      codesOf((raw) => {
        raw.topology = "ray";
        raw.image.rayVersion = rayVersion;
      });
    assert.ok(codes("2.51.9").includes("RAY_WITHOUT_AUTHENTICATION image.rayVersion"));
    assert.ok(!codes("2.52.0").some((code) => code.startsWith("RAY_WITHOUT")));
  });

  it("has one rule for each code, and words for each", () => {
    const codes = LINT_RULES.map(({ code }) => code);
    assert.equal(new Set(codes).size, codes.length);
    for (const { code, title, reason, wayOut, sources } of LINT_RULES) {
      assert.match(code, /^[A-Z][A-Z0-9_]+$/);
      for (const text of [title, reason, wayOut]) assert.ok(text.length > 0, code);
      assert.ok(sources.length > 0, code);
    }
  });

  it("puts errors first", () => {
    const spec = aClusterSpec((raw) => {
      raw.env = { HCCL_BUFFSIZE: "1024", VLLM_SERVER_DEV_MODE: "1" };
    });
    const levels = lintCluster(spec, { hasApiKey: true }).map(({ level }) => level);
    assert.deepEqual(levels.toSorted(byLevel), levels);
    assert.ok(new Set(levels).size === 3, levels.join());
  });

  it("blocks on an error until the stack accepts it with a reason", () => {
    const withAcceptance = (accept: { code: string; reason: string }[]) =>
      lintCluster(
        aClusterSpec((raw) => {
          CLEAN(raw);
          raw.env = { VLLM_SERVER_DEV_MODE: "1" };
          raw.lint = { accept };
        }),
        { hasApiKey: true },
      );
    assert.deepEqual(
      blockingFindings(withAcceptance([])).map(({ code }) => code),
      ["DEVELOPMENT_SERVER"],
    );
    const accepted = withAcceptance([{ code: "DEVELOPMENT_SERVER", reason: "a laboratory" }]);
    assert.deepEqual(blockingFindings(accepted), []);
    assert.match(
      renderFinding(accepted.find(({ code }) => code === "DEVELOPMENT_SERVER")!),
      /^DEVELOPMENT_SERVER env\.VLLM_SERVER_DEV_MODE: .*; accepted: a laboratory$/,
    );
  });

  it("blocks on an accepted code that does not exist, and names the nearest", () => {
    const findings = lintCluster(
      aClusterSpec((raw) => {
        CLEAN(raw);
        raw.lint = { accept: [{ code: "TRUST_REMOTE", reason: "our own code" }] };
      }),
      { hasApiKey: true },
    );
    const [finding] = blockingFindings(findings);
    assert.equal(
      renderFinding(finding!),
      'UNKNOWN_ACCEPTANCE lint.accept[0].code: an unknown code is accepted, got "TRUST_REMOTE"; it accepts nothing; did you mean "TRUST_REMOTE_CODE"?',
    );
  });
});

function byLevel(a: string, b: string): number {
  const order = ["error", "warning", "info"];
  return order.indexOf(a) - order.indexOf(b);
}
