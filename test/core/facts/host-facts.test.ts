import assert from "node:assert/strict";
import { fileText, parseHostFacts } from "../../../core/facts/host-facts.js";
import { aGatePlan, goodAnswer } from "./answers.js";

describe("parseHostFacts", () => {
  it("reads every fact of a whole answer", () => {
    const plan = aGatePlan();
    const facts = parseHostFacts(goodAnswer(plan, plan.nodes[0]!));
    assert.equal(facts.isComplete, true);
    assert.deepEqual(facts.login, { user: "root", uid: 0 });
    assert.deepEqual(facts.docker, { isOk: true, text: "20.10.24" });
    assert.equal(facts.tools.get("flock"), "/usr/bin/flock");
    assert.deepEqual(facts.paths.get("/dev/davinci0"), {
      state: "found",
      type: "character special file",
    });
    assert.equal(fileText(facts.files.get(`${plan.baseDir}/owner`)), plan.owner);
    assert.equal(facts.addresses.length, 2);
    assert.equal(facts.listeners.length, 2);
  });

  it("leaves out what a login script prints before, and carriage returns", () => {
    const facts = parseHostFacts("Welcome!\nroot\tno\tnot me\r\nfacts\t1\r\nroot\tyes\r\nend\r\n");
    assert.deepEqual(facts.root, { isOk: true, text: "" });
    assert.equal(facts.isComplete, true);
  });

  it("leaves out facts that it does not know", () => {
    const facts = parseHostFacts("facts\t1\nnpu-health\t0\tOK\nclock\t1700000000\nend\n");
    assert.equal(facts.isComplete, true);
    assert.equal(facts.clockSec, 1_700_000_000);
  });

  for (const [title, answer] of [
    ["no answer", ""],
    ["another version", "facts\t2\nroot\tyes\nend\n"],
    ["an answer that was cut short", "facts\t1\nroot\tyes\n"],
    ["an answer that was cut inside a line", "facts\t1\nroot\tyes\nen"],
  ] as const) {
    it(`takes ${title} for incomplete`, () => {
      assert.equal(parseHostFacts(answer).isComplete, false);
    });
  }

  it("tells root that was never had from root's part that broke off", () => {
    const never = parseHostFacts("facts\t1\nroot\tno\tsudo: a password is required\nend\n");
    assert.deepEqual([never.isComplete, never.root?.isOk], [true, false]);
    const broken = parseHostFacts("facts\t1\nroot\tyes\nroot\tno\texit code 124\nend\n");
    assert.deepEqual([broken.isComplete, broken.rootEnd], [false, "exit code 124"]);
  });
});

describe("fileText", () => {
  it("gives the content of a file that was found, without its last newline", () => {
    assert.equal(fileText({ state: "found", content: "a\nb\n" }), "a\nb");
    assert.equal(fileText({ state: "missing" }), undefined);
    assert.equal(fileText(undefined), undefined);
  });
});
