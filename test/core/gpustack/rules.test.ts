import assert from "node:assert/strict";
import { type DeploymentGroupArgs, deploymentGroupInputs } from "../../../core/gpustack/inputs.js";
import { checkDeploymentGroup } from "../../../core/gpustack/rules.js";

/** Rules between the members of a group, which the server does not look at. Does not prove what vLLM does. */

const SHARED = [
  "--data-parallel-size=2 --tensor-parallel-size=8",
  "--data-parallel-address=10.0.0.1",
];

describe("a data-parallel group", () => {
  it("as in the document, with the skip variable, has no issue", () => {
    assert.deepEqual(issuesOf(), []);
  });

  it("of four nodes and two local ranks each has no issue", () => {
    assert.deepEqual(
      issuesOf((group) => {
        group.members = [0, 1, 2, 3].map((node) => ({
          name: `m${node}`,
          gpuIds: npus(`node-${node}`),
          backendParameters: [
            "--data-parallel-size=8 --data-parallel-size-local=2 --tensor-parallel-size=4",
            "--data-parallel-address=10.0.0.1 --data-parallel-rpc-port=13389",
            ...(node === 0 ? [] : [`--data-parallel-start-rank=${2 * node}`, "--headless"]),
          ],
          env: { GPUSTACK_SKIP_GPU_COUNT_CHECK: "1", HCCL_IF_IP: `10.0.0.${node + 1}` },
        }));
      }),
      [],
    );
  });

  const cases: [string, (group: DeploymentGroupArgs) => void, RegExp][] = [
    [
      "a clone that keeps --api-server-count",
      (g) => add(g, 1, "--api-server-count=2"),
      /members\[1\]\.backendParameters: a headless member has no API server: remove --api-server-count/,
    ],
    ["a secondary without --headless", (g) => remove(g, 1, /--headless/), /must have --headless/],
    ["a headless head", (g) => add(g, 0, "--headless"), /qwen-1 is the head .*put the head first/],
    [
      "a wrong start rank",
      (g) => add(g, 1, "--data-parallel-start-rank=2"),
      /must have --data-parallel-start-rank 1, got 2/,
    ],
    [
      "another rpc port",
      (g) => add(g, 1, "--data-parallel-rpc-port=1"),
      /--data-parallel-rpc-port must be the same on all members, got 1 here and 13389 on qwen-1/,
    ],
    ["another seed", (g) => add(g, 1, "--seed=7"), /--seed must be the same .*got 7 here and none/],
    [
      "a size that no members make",
      (g) => both(g, (m) => add(g, m, "--data-parallel-size=3")),
      /--data-parallel-size 3 must be the sum of .*1 \+ 1 = 2/,
    ],
    [
      "fewer NPUs than ranks",
      (g) => g.members[1]!.gpuIds.pop(),
      /members\[1\]\.gpuIds: must be 8 NPUs .*got 7/,
    ],
    [
      "no skip variable",
      (g) => delete g.members[1]!.env!["GPUSTACK_SKIP_GPU_COUNT_CHECK"],
      /members\[1\]\.env\.GPUSTACK_SKIP_GPU_COUNT_CHECK: must be "1"/,
    ],
    [
      "the head's address in the clone",
      (g) => Object.assign(g.members[1]!.env!, { HCCL_IF_IP: "10.0.0.1" }),
      /members\[1\]\.env\.HCCL_IF_IP: must be the address of this member's own worker/,
    ],
    [
      "an NPU twice",
      (g) => g.members[1]!.gpuIds.splice(0, 1, "node-a:cann:0"),
      /node-a:cann:0 is already held by qwen-1/,
    ],
    [
      "a name twice",
      (g) => Object.assign(g.members[1]!, { name: "qwen-1" }),
      /members\[1\]\.name: must be unique/,
    ],
    [
      "two sources of the model",
      (g) => Object.assign(g, { localPath: "/m" }),
      /exactly one of .*got modelScopeModelId and localPath/,
    ],
    ["a port of its own", (g) => add(g, 0, "--port 8000"), /must not set --port/],
    ["a comment of the document", (g) => add(g, 0, "--seed=1 # Random seed"), /has a # comment/],
    [
      "an open quote",
      (g) => add(g, 0, "--c '{"),
      /backendParameters\[4\]: has a quote that is not closed/,
    ],
  ];
  for (const [what, change, message] of cases) {
    it(`is told about ${what}`, () => {
      assert.match(issuesOf(change).join("\n"), message);
    });
  }

  it("is told everything at once", () => {
    const issues = issuesOf((group) => {
      remove(group, 1, /--headless/);
      group.members[0]!.env = {};
      group.members[1]!.env = {};
    });
    assert.equal(issues.length, 3);
  });
});

describe("one deployment across workers", () => {
  const native = (change: (group: DeploymentGroupArgs) => void = () => undefined) =>
    issuesOf((group) => {
      group.members = [
        {
          name: "qwen",
          gpuIds: [...npus("node-a"), ...npus("node-b")],
          backendParameters: ["--data-parallel-size=2 --tensor-parallel-size=8"],
          env: {},
        },
      ];
      change(group);
    });

  it("has no issue without what GPUStack fills in", () => {
    assert.deepEqual(native(), []);
  });

  const cases: [string, (group: DeploymentGroupArgs) => void, RegExp][] = [
    ["--headless", (g) => add(g, 0, "--headless"), /must not set --headless/],
    [
      "an address for all",
      (g) => Object.assign(g.members[0]!.env!, { HCCL_IF_IP: "10.0.0.1" }),
      /env\.HCCL_IF_IP: must not be set/,
    ],
    [
      "the skip variable",
      (g) => Object.assign(g.members[0]!.env!, { GPUSTACK_SKIP_GPU_COUNT_CHECK: "1" }),
      /GPUSTACK_SKIP_GPU_COUNT_CHECK: must not/,
    ],
    ["too few NPUs", (g) => g.members[0]!.gpuIds.pop(), /parallel size = 16, got 15/],
  ];
  for (const [what, change, message] of cases) {
    it(`is told about ${what}`, () => {
      assert.match(native(change).join("\n"), message);
    });
  }
});

function issuesOf(change: (group: DeploymentGroupArgs) => void = () => undefined): string[] {
  const group: DeploymentGroupArgs = {
    modelScopeModelId: "Eco-Tech/Qwen3.5-397B-A17B-w8a8-mtp",
    backendVersion: "0.18.0rc1-custom",
    members: ["node-a", "node-b"].map((worker, index) => ({
      name: `qwen-${index + 1}`,
      gpuIds: npus(worker),
      backendParameters: [
        ...SHARED,
        "--data-parallel-size-local=1",
        "--data-parallel-rpc-port=13389",
        ...(index === 0 ? [] : ["--data-parallel-start-rank=1", "--headless"]),
      ],
      env: { GPUSTACK_SKIP_GPU_COUNT_CHECK: "1", HCCL_IF_IP: `10.0.0.${index + 1}` },
    })),
  };
  change(group);
  const issues = checkDeploymentGroup(deploymentGroupInputs.parse(group));
  return issues.map(({ property, reason }) => `${property}: ${reason}`);
}

function npus(worker: string): string[] {
  return Array.from({ length: 8 }, (_, index) => `${worker}:cann:${index}`);
}

function add(group: DeploymentGroupArgs, member: number, entry: string): void {
  group.members[member]!.backendParameters!.push(entry);
}

function remove(group: DeploymentGroupArgs, member: number, entry: RegExp): void {
  const { backendParameters: entries = [] } = group.members[member]!;
  group.members[member]!.backendParameters = entries.filter((text) => !entry.test(text));
}

function both(_group: DeploymentGroupArgs, change: (member: number) => void): void {
  for (const member of [0, 1]) change(member);
}
