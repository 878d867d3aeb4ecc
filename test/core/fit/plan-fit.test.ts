// What a preview can say of the memory by the name of the model alone. Does not prove what lies on the hosts: the preflight
// looks there.
import assert from "node:assert/strict";
import { fitOfPlan } from "../../../core/fit/plan-fit.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { aClusterSpec, PLAN_OPTIONS } from "../../support/specs.js";

function fitOf(change?: (raw: ClusterSpecInput) => void, nodes = 2) {
  return fitOfPlan(planCluster(aClusterSpec(change, { nodes }), PLAN_OPTIONS));
}

describe("fitOfPlan", () => {
  it("judges a model whose name it knows, with what the cache will hold", () => {
    const { verdict, text } = fitOf();
    assert.equal(verdict, "fits");
    assert.match(text, /^memory fit: fits: 23\.5 GiB .* 1049001 tokens = 128\.1 sequences of 8192/);
    assert.match(text, /taken for Qwen3-235B-A22B in bf16 by its name$/);
  });

  it("names the largest lever of one that does not fit", () => {
    const { verdict, text } = fitOf(undefined, 1);
    assert.equal(verdict, "no");
    assert.match(text, /largest lever: pipelineParallelSize 1 -> 2 \(16 NPUs in place of 8\)/);
  });

  it("says no to a layout that vLLM refuses", () => {
    const { verdict, text } = fitOf((raw) => {
      raw.model.path = "/data/Qwen3.5-397B-A17B";
      raw.serve.tensorParallelSize = 32;
      raw.serve.pipelineParallelSize = 1;
    }, 4);
    assert.equal(verdict, "no");
    assert.match(text, /vLLM refuses this layout .* must divide the 16 key heads/);
  });

  it("leaves a model that it does not know to the preflight", () => {
    const { verdict, text } = fitOf((raw) => {
      raw.model.path = "/srv/models/own";
    });
    assert.equal(verdict, "unknown");
    assert.match(text, /the preflight reads its config on the hosts/);
  });
});
