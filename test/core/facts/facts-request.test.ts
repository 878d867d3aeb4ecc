import assert from "node:assert/strict";
import { gateRequest } from "../../../core/facts/facts-request.js";
import { parseGatePlan } from "../../../core/facts/parse-gate-plan.js";
import { aGatePlan } from "./answers.js";

describe("gateRequest", () => {
  it("asks for what the node plans", () => {
    const plan = aGatePlan();
    const lines = gateRequest(plan, plan.nodes[1]!).split("\n");
    assert.deepEqual(lines.slice(-2), ["end", ""]);
    for (const line of [
      "path\t/dev/davinci7",
      "path\t/etc/hccn.conf",
      `path\t${plan.nodes[1]!.modelPath}/config.json`,
      `image\t${plan.nodes[1]!.image.pull}\tregistry`,
      `file\t${plan.baseDir}/owner`,
      `container\t${plan.containerName}`,
    ]) {
      assert.ok(lines.includes(line), line);
    }
    assert.ok(lines.some((line) => /^ports\t.*\t10002-10999\t60000-60031$/.test(line)));
  });

  it("refuses a field that would be two lines or two fields", () => {
    const plan = aGatePlan();
    for (const modelPath of ["/data\nend", "/data\tx", ""]) {
      assert.throws(() => gateRequest(plan, { ...plan.nodes[0]!, modelPath }), /must be one line/);
    }
  });
});

describe("parseGatePlan", () => {
  it("gives back what Pulumi sends", () => {
    const plan = aGatePlan();
    assert.deepEqual(parseGatePlan(JSON.parse(JSON.stringify(plan))), plan);
  });

  it("names the field that is not as expected", () => {
    const plan = aGatePlan();
    const broken = { ...plan, nodes: [{ ...plan.nodes[0]!, devices: "all" }] };
    assert.throws(
      () => parseGatePlan(broken),
      /not a plan of this version at nodes\[0\]\.devices: /,
    );
    assert.throws(() => parseGatePlan(null), /at the top: /);
    assert.throws(() => parseGatePlan({ ...plan, nodes: [] }), /at nodes: /);
  });
});
