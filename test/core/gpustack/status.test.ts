import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { renderGpustackStatus } from "../../../cli/status-report.js";
import type { InstanceRow, ModelRow, WorkerRow } from "../../../core/gpustack/api.js";
import { planGpustack } from "../../../core/gpustack/cluster.js";
import { gpustackStatus } from "../../../core/gpustack/status.js";

/** What a server's rows mean for a stack. Does not prove that a server answers so; test/lab/gpustack.test.ts asks a real one. */

const { config } = parse(
  readFileSync(
    join(import.meta.dirname, "../../../stacks/Pulumi.qwen3.5-397b-w8a8-gpustack.yaml"),
    "utf8",
  ),
);
const plan = planGpustack(config["vllm-ascend:cluster"], config["vllm-ascend:gpustack"]);

describe("the status of a stack through GPUStack", () => {
  const cases: readonly [
    what: string,
    change: (rows: Rows) => void,
    state: string,
    text: RegExp,
  ][] = [
    ["a running head with a member that starts for ever", () => undefined, "serving", /^serves/],
    [
      "a head that starts",
      ({ instances }) => Object.assign(instances[0]!, { state: "starting" }),
      "starting",
      /does not serve yet: qwen3\.5-397b=starting/,
    ],
    [
      "a head that was restarted too often",
      ({ instances }) =>
        Object.assign(instances[0]!, { state: "error", restart_count: 3, state_message: "ret 7" }),
      "down",
      /=error \(3 restarts\): ret 7/,
    ],
    [
      "the member's worker gone",
      ({ workers }) => Object.assign(workers[1]!, { state: "not_ready" }),
      "starting",
      /worker ascend-2 is not_ready/,
    ],
    [
      "replicas 0",
      ({ models }) => Object.assign(models[1]!, { replicas: 0 }),
      "stopped",
      /qwen3\.5-397b-2 has 0 replicas/,
    ],
    ["no member", ({ models }) => models.pop(), "absent", /no deployment qwen3\.5-397b-2/],
  ];
  for (const [what, change, state, text] of cases) {
    it(`with ${what} is ${state}`, () => {
      const rows = running();
      change(rows);
      const { verdict } = gpustackStatus(plan, rows);
      assert.equal(verdict.state, state);
      assert.match(verdict.text, text);
    });
  }

  it("is a table with the verdict below", () => {
    const { deployments, verdict } = gpustackStatus(plan, running());
    assert.equal(
      renderGpustackStatus(deployments, verdict),
      [
        "deployment      role    worker          replicas  instance  restarts",
        "qwen3.5-397b    head    ascend-1 ready  1         running   0",
        "qwen3.5-397b-2  member  ascend-2 ready  1         starting  0",
        "",
        "serves qwen3.5-397b",
        "",
      ].join("\n"),
    );
  });
});

type Rows = ReturnType<typeof running>;

function running() {
  const names = plan.group.members.map(({ name }) => name);
  return {
    models: names.map((name, index) => ({ id: index + 1, name, replicas: 1 }) as ModelRow),
    instances: names.map(
      (name, index): InstanceRow => ({
        id: index + 10,
        name: `${name}-x`,
        model_id: index + 1,
        state: index === 0 ? "running" : "starting",
        worker_name: `ascend-${index + 1}`,
        restart_count: 0,
      }),
    ),
    workers: ["ascend-1", "ascend-2"].map(
      (name, index): WorkerRow => ({ id: index, name, ip: "192.0.2.1", state: "ready" }),
    ),
  };
}
