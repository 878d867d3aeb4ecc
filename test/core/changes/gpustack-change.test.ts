// What a preview of GPUStack's resources means. Does not prove that the provider restarts just that: test/engine/gpustack.test.ts
// reads previews of the real engine, test/lab/gpustack.test.ts restarts on a real server.
import assert from "node:assert/strict";
import { clusterChanges } from "../../../core/changes/cluster-change.js";
import { parsePreview } from "../../../core/changes/preview.js";
import { renderText } from "../../../core/changes/render-summary.js";

const PARENT = "urn:pulumi:s::p::vllm-ascend:index:GpustackCluster::qwen";
const GROUP =
  "urn:pulumi:s::p::vllm-ascend:index:GpustackCluster$gpustack:index:DeploymentGroup::qwen-group";
const inputs = {
  backendVersionHash: "a",
  members: [
    { name: "qwen", gpuIds: ["w1:cann:0", "w1:cann:1"], env: { HCCL_BUFFSIZE: "1" } },
    { name: "qwen-2", gpuIds: ["w2:cann:0"], env: {} },
  ],
};
const changed = {
  ...inputs,
  members: [{ ...inputs.members[0]!, env: { HCCL_BUFFSIZE: "2" } }, inputs.members[1]!],
};

describe("the summary of a change through GPUStack", () => {
  it("says that both deployments restart together, and shows the variable", () => {
    assert.equal(
      text([step("update", inputs, changed)]),
      [
        "qwen:",
        "  GPUStack stops all deployments of the group, and starts them together when none runs any more.",
        "  The API is out for an unknown time (no start was measured yet): requests that run are cut when the deployments stop, new ones are refused until the head runs again.",
        "  If it does not come up, `pulumi up` fails and nothing goes back by itself: revert the change and run `pulumi up` again.",
        "  1. qwen, qwen-2: the deployments restart together",
        "  GPUStack",
        "    members.qwen.env.HCCL_BUFFSIZE: 1 -> 2",
        "",
      ].join("\n"),
    );
  });

  const cases: readonly [what: string, steps: object[], says: RegExp][] = [
    [
      "a first start, with the workers",
      [step("create", undefined, inputs)],
      /started for the first time on w1, w2\.\n.*\n.*\n {2}1\. qwen, qwen-2: the deployments start together/,
    ],
    ["a removal", [step("delete", inputs, undefined)], /removed from w1, w2/],
    [
      "a description",
      [step("update", inputs, { ...inputs, description: "x" })],
      /nothing that runs/,
    ],
    [
      "another image behind the version",
      [step("update", inputs, { ...inputs, backendVersionHash: "b" })],
      /starts them together/,
    ],
    [
      "a repair, which differs in no field",
      [step("update", inputs, inputs, { problem: "there is no deployment qwen-2" })],
      /starts them together/,
    ],
    [
      "another worker",
      [
        step("update", inputs, {
          ...inputs,
          members: [inputs.members[0]!, { ...inputs.members[1]!, gpuIds: ["w3:cann:0"] }],
        }),
      ],
      /New: w3\. Leaves: w2\. GPUStack stops/,
    ],
    ["nothing", [], /nothing changes/],
  ];
  for (const [what, steps, says] of cases) {
    it(`tells ${what}`, () => assert.match(text(steps), says));
  }
});

function text(steps: readonly object[]): string {
  const preview = parsePreview(JSON.stringify({ steps }));
  return renderText({ stack: "s", clusters: clusterChanges(preview), warnings: [] });
}

function step(op: string, before?: object, after?: object, outputs: object = {}) {
  const state = (values: object | undefined) =>
    values === undefined ? {} : { inputs: values, outputs, parent: PARENT };
  return {
    op,
    urn: GROUP,
    ...(before === undefined ? {} : { oldState: state(before) }),
    ...(after === undefined ? {} : { newState: state(after) }),
  };
}
