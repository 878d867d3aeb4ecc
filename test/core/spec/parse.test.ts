// Checks what a stack file may say. Does not prove that vLLM or Ray accept the values.
import assert from "node:assert/strict";
import fc from "fast-check";
import type { ClusterSpecInput, Topology } from "../../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../../core/spec/parse.js";
import { ClusterSpecError } from "../../../core/spec/spec-issue.js";
import { HOST_KEY, rawCluster } from "../../support/specs.js";

type Raw = Record<string, unknown>;

function issuesOf(raw: unknown): string[] {
  try {
    parseClusterSpec(raw);
  } catch (error) {
    assert.ok(error instanceof ClusterSpecError, String(error));
    return error.issues.map(({ path, reason }) => `${path}: ${reason}`);
  }
  return [];
}

function issuesAfter(change: (raw: ClusterSpecInput) => void): string[] {
  const raw = rawCluster();
  change(raw);
  return issuesOf(raw);
}

describe("parseClusterSpec", () => {
  it("accepts the smallest stack and fills in every default", () => {
    const spec = parseClusterSpec(rawCluster());
    assert.equal(spec.ssh.user, "root");
    assert.ok(spec.topology === "ray");
    assert.equal(spec.ray.port, 6379);
    assert.equal(spec.timeouts.rayStartSec, 300);
    assert.equal(spec.container.shmSizeGib, 16);
    assert.equal(spec.timeouts.serveStartSec, 3600);
    assert.deepEqual(spec.env, {});
  });

  it("fills in the ports of the topology, and nothing of another one", () => {
    const dataParallel = parseClusterSpec(rawCluster({ topology: "data-parallel" }));
    assert.ok(dataParallel.topology === "data-parallel");
    assert.equal(dataParallel.serve.dataParallelRpcPort, 13389);
    const multiprocessing = parseClusterSpec(rawCluster({ topology: "multiprocessing" }));
    assert.ok(multiprocessing.topology === "multiprocessing");
    assert.equal(multiprocessing.serve.masterPort, 29501);
    for (const spec of [dataParallel, multiprocessing]) {
      assert.ok(!("ray" in spec) && !("rayStartSec" in spec.timeouts));
    }
    assert.ok(!("masterPort" in dataParallel.serve));
  });

  it("reports every wrong field at once, with path, requirement and what was got", () => {
    const issues = issuesAfter((raw) => {
      raw.name = "Qwen_3";
      raw.serve.maxModelLen = -1;
      raw.nodes[1]!.address = "node-1.example";
    });
    assert.equal(issues.length, 3);
    assert.match(issues[0]!, /^name: must be lower-case .*, got "Qwen_3"$/);
    assert.match(
      issues[1]!,
      /^nodes\[1\]\.address: must be an IPv4 address .*, got "node-1.example"$/,
    );
    assert.match(issues[2]!, /^serve\.maxModelLen: .*>=1, got -1$/);
  });

  const unknownKeys: [name: string, change: (raw: ClusterSpecInput) => void, issue: string][] = [
    [
      "a key of another spelling",
      (raw) => {
        (raw.serve as Raw)["max_model_len"] = 1;
      },
      'serve.max_model_len: unknown key; did you mean "maxModelLen"?',
    ],
    [
      "a misspelt key of a node",
      (raw) => {
        (raw.nodes[0] as unknown as Raw)["adress"] = "10.0.0.1";
      },
      'nodes[0].adress: unknown key; did you mean "address"?',
    ],
    [
      "a key like no other",
      (raw) => {
        (raw.image as Raw)["zzzzzzzz"] = 1;
      },
      "image.zzzzzzzz: unknown key; known here: reference, source, digest, id, archive, vllmVersion, rayVersion",
    ],
  ];
  for (const [name, change, issue] of unknownKeys) {
    it(`names the nearest known key for ${name}`, () => {
      assert.deepEqual(issuesAfter(change), [issue]);
    });
  }

  it("says that a missing field is required", () => {
    const issues = issuesAfter((raw) => {
      delete (raw as unknown as Raw)["model"];
    });
    assert.equal(issues.length, 1);
    assert.match(issues[0]!, /^model: .*required/);
  });

  const rules: [name: string, change: (raw: ClusterSpecInput) => void, issue: RegExp][] = [
    [
      "two nodes of one name",
      (raw) => {
        raw.nodes[1]!.name = "node0";
      },
      /^nodes\[1\]\.name: must be unique, got "node0" again/,
    ],
    [
      "two nodes of one address",
      (raw) => {
        raw.nodes[1]!.address = "10.0.0.11";
      },
      /^nodes\[1\]\.address: must be unique/,
    ],
    [
      "parallel sizes that leave NPUs over",
      (raw) => {
        raw.serve.pipelineParallelSize = 1;
      },
      /^serve\.tensorParallelSize: .*got 8 x 1 = 8 for 16 NPUs \(8 \+ 8\)/,
    ],
    [
      "an NPU that the series does not have",
      (raw) => {
        raw.nodes[0]!.visibleDevices = [0, 1, 2, 3, 4, 5, 6, 8];
      },
      /^nodes\[0\]\.visibleDevices: must be within 0-7 for series "A2", got 8/,
    ],
    [
      "an NPU listed twice",
      (raw) => {
        raw.nodes[0]!.visibleDevices = [0, 1, 2, 3, 4, 5, 6, 6];
      },
      /^nodes\[0\]\.visibleDevices: must not repeat/,
    ],
    [
      "an image without identity",
      (raw) => {
        delete raw.image.digest;
      },
      /^image\.digest: must be set with image\.source: registry; docker buildx imagetools inspect/,
    ],
    [
      "an image with two identities",
      (raw) => {
        raw.image.id = `sha256:${"00".repeat(32)}`;
      },
      /^image\.digest: must not be set with image\.source: present; remove it, or set source: registry/,
    ],
    [
      "an archive without a file",
      (raw) => {
        raw.image = { ...raw.image, source: "archive", id: `sha256:${"00".repeat(32)}` };
        delete raw.image.digest;
      },
      /^image\.archive: must be set with image\.source: archive; the file of `docker save` on the nodes/,
    ],
    [
      "a model of a hub without a commit",
      (raw) => {
        raw.model = { ...raw.model, source: "modelscope", repository: "Qwen/Qwen3-235B-A22B" };
      },
      /^model\.revision: must be set with model\.source: modelscope; the commit id/,
    ],
    [
      "a hub's field for a model that is there",
      (raw) => {
        raw.model.endpoint = "https://hf-mirror.com";
      },
      /^model\.endpoint: must not be set with model\.source: path; remove it, or set source: modelscope or huggingface/,
    ],
    [
      "two services on one port",
      (raw) => {
        raw.serve.port = 6379;
      },
      /^ray\.port: must not collide with serve\.port, got 6379/,
    ],
    [
      "a port inside Ray's worker range",
      (raw) => {
        raw.serve.port = 10_500;
      },
      /^ray\.minWorkerPort: must not collide with serve\.port/,
    ],
    [
      "an object store larger than shared memory",
      (raw) => {
        raw.ray = { objectStoreMemoryGib: 16 };
      },
      /^ray\.objectStoreMemoryGib: must be below container\.shmSizeGib, got 16 >= 16/,
    ],
    [
      "a plain user without sudo",
      (raw) => {
        raw.ssh = { user: "ops" };
      },
      /^ssh\.become: must be "sudo"/,
    ],
    [
      "a variable that the plan sets",
      (raw) => {
        raw.env = { HCCL_IF_IP: "10.0.0.1" };
      },
      /^env\.HCCL_IF_IP: is set from nodes\[\]\.address; remove it here/,
    ],
    [
      "a flag that the plan sets, in its negative form too",
      (raw) => {
        raw.serve.extraArgs = { "no-enable-expert-parallel": true };
      },
      /^serve\.extraArgs\.no-enable-expert-parallel: is a flag that the plan sets from serve\.enableExpertParallel/,
    ],
  ];
  for (const [name, change, issue] of rules) {
    it(`refuses ${name}`, () => {
      const issues = issuesAfter(change);
      assert.equal(issues.length, 1, issues.join("\n"));
      assert.match(issues[0]!, issue);
    });
  }

  const topologyRules: [
    name: string,
    topology: Topology,
    change: (raw: ClusterSpecInput) => void,
    issue: RegExp,
  ][] = [
    [
      "fields of Ray",
      "data-parallel",
      (raw) => {
        raw.ray = {};
      },
      /^ray: belongs to topology "ray", got topology "data-parallel"; remove it, or set topology: ray$/,
    ],
    [
      "the deadline of Ray",
      "multiprocessing",
      (raw) => {
        raw.timeouts = { rayStartSec: 60 };
      },
      /^timeouts\.rayStartSec: belongs to topology "ray"/,
    ],
    [
      "an API server count",
      "ray",
      (raw) => {
        raw.serve.apiServerCount = 2;
      },
      /^serve\.apiServerCount: belongs to topology "data-parallel", got topology "ray"/,
    ],
    [
      "the port of engines",
      "multiprocessing",
      (raw) => {
        raw.serve.dataParallelRpcPort = 13389;
      },
      /^serve\.dataParallelRpcPort: belongs to topology "data-parallel"/,
    ],
    [
      "several engines",
      "ray",
      (raw) => {
        raw.serve.dataParallelSize = 2;
      },
      /^serve\.dataParallelSize: belongs to topology "data-parallel", .*let the other sizes cover all NPUs/,
    ],
    [
      "the meeting point of ranks",
      "data-parallel",
      (raw) => {
        raw.serve.masterPort = 29501;
      },
      /^serve\.masterPort: belongs to topology "multiprocessing"/,
    ],
    [
      "data parallelism with one engine",
      "data-parallel",
      (raw) => {
        delete raw.serve.dataParallelSize;
      },
      /^serve\.dataParallelSize: must be at least 2 .*got 1; .*topology: multiprocessing/,
    ],
    [
      "engines that leave NPUs over",
      "data-parallel",
      (raw) => {
        raw.serve.tensorParallelSize = 4;
      },
      /^serve\.tensorParallelSize: .*dataParallelSize must equal .*got 4 x 1 x 2 = 8 for 16 NPUs \(8 \+ 8\)/,
    ],
    [
      "an engine over two nodes",
      "data-parallel",
      (raw) => {
        raw.nodes[0]!.visibleDevices = [0, 1, 2, 3];
        raw.nodes[1]!.visibleDevices = [0, 1];
        raw.serve.tensorParallelSize = 3;
      },
      /^serve\.tensorParallelSize: an engine of 3 x 1 = 3 NPUs must lie within one node, got nodes with 4 \+ 2 NPUs/,
    ],
    [
      "nodes that give different numbers of NPUs",
      "multiprocessing",
      (raw) => {
        raw.nodes[0]!.visibleDevices = [0, 1, 2, 3];
        raw.nodes[1]!.visibleDevices = [0, 1];
        raw.serve.tensorParallelSize = 2;
        raw.serve.pipelineParallelSize = 3;
      },
      /^serve\.tensorParallelSize: topology "multiprocessing" needs the same number of NPUs on every node, got 4 \+ 2/,
    ],
    [
      "the API on the port of engines",
      "data-parallel",
      (raw) => {
        raw.serve.port = 13389;
      },
      /^serve\.dataParallelRpcPort: must not collide with serve\.port, got 13389/,
    ],
    [
      "a mode of load balancing as a flag",
      "data-parallel",
      (raw) => {
        raw.serve.extraArgs = { "data-parallel-hybrid-lb": true };
      },
      /^serve\.extraArgs\.data-parallel-hybrid-lb: is a flag that the plan sets from topology/,
    ],
    [
      "an environment of other engines",
      "data-parallel",
      (raw) => {
        raw.env = { VLLM_DP_RANK: "1" };
      },
      /^env\.VLLM_DP_RANK: is set from topology/,
    ],
  ];
  for (const [name, topology, change, issue] of topologyRules) {
    it(`refuses ${name} with topology ${topology}`, () => {
      const raw = rawCluster({ topology });
      change(raw);
      const issues = issuesOf(raw);
      assert.equal(issues.length, 1, issues.join("\n"));
      assert.match(issues[0]!, issue);
    });
  }

  it("refuses an RSA host key, because it would be offered with SHA-1", () => {
    const issues = issuesAfter((raw) => {
      raw.nodes[0]!.hostKey = HOST_KEY.replace("ssh-ed25519", "ssh-rsa");
    });
    assert.match(issues.join(), /^nodes\[0\]\.hostKey: must be one line .*vllm-cluster hostkeys/);
  });

  it("reports exactly the path of one broken leaf, whichever it is", () => {
    const leaves = leafPaths(rawCluster());
    fc.assert(
      fc.property(
        fc.constantFrom(...leaves),
        fc.constantFrom(null, {}, [], Number.NaN),
        (path, junk) => {
          const raw = structuredClone(rawCluster()) as unknown;
          setAt(raw, path, junk);
          const issues = issuesOf(raw);
          assert.ok(issues.length >= 1);
          const dotted = path
            .map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`))
            .join("")
            .slice(1);
          for (const issue of issues)
            assert.ok(issue.startsWith(`${dotted}: `), `${issue} for ${dotted}`);
        },
      ),
      { numRuns: 300 },
    );
  });
});

type Path = (string | number)[];

function leafPaths(value: unknown, path: Path = []): Path[] {
  if (Array.isArray(value))
    return value.flatMap((item, index) => leafPaths(item, [...path, index]));
  if (value !== null && typeof value === "object") {
    return Object.entries(value).flatMap(([key, item]) => leafPaths(item, [...path, key]));
  }
  return [path];
}

function setAt(root: unknown, path: Path, value: unknown): void {
  let at = root as Record<string | number, unknown>;
  for (const step of path.slice(0, -1)) at = at[step] as Record<string | number, unknown>;
  at[path.at(-1)!] = value;
}
