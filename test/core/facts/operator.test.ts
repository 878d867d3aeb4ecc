// Judges what programs of the operator's machine print. Does not prove that a machine passes which passes here: `pulumi up` does.
import assert from "node:assert/strict";
import { judgeOperator, type OperatorFacts } from "../../../core/facts/operator.js";

const GOOD: OperatorFacts = {
  node: "22.20.0",
  pulumi: "v3.259.0\n",
  ssh: "OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15 3 Sep 2024\n",
  agent: "ready",
  agentKeys: 5,
};

describe("judgeOperator", () => {
  it("passes a machine that has everything", () => {
    assert.deepEqual(
      judgeOperator(GOOD).map(({ name, result, detail }) => [name, result, detail]),
      [
        ["node", "pass", "22.20.0"],
        ["pulumi", "pass", "3.259.0"],
        ["ssh", "pass", "OpenSSH_9.2p1 Debian-2+deb12u3"],
        ["ssh-agent", "pass", "5 keys"],
      ],
    );
  });

  for (const [title, change, name, result, says] of [
    ["an old node", { node: "18.20.4" }, "node", "fail", /18\.20\.4 is older than 20\.0/],
    ["no pulumi", { pulumi: undefined }, "pulumi", "fail", /not there/],
    [
      "a pulumi that tells no version",
      { pulumi: "oops" },
      "pulumi",
      "unknown",
      /no version in "oops"/,
    ],
    [
      "an old ssh",
      { ssh: "OpenSSH_8.4p1, OpenSSL 1.1.1" },
      "ssh",
      "fail",
      /8\.4p1 is older than 8\.5/,
    ],
    ["no agent", { agent: "missing", agentKeys: 0 }, "ssh-agent", "fail", /SSH_AUTH_SOCK/],
    ["an agent without keys", { agent: "empty", agentKeys: 0 }, "ssh-agent", "fail", /no key/],
    ["an agent with many keys", { agentKeys: 6 }, "ssh-agent", "warn", /6 keys: .*MaxAuthTries/],
  ] as const) {
    it(`finds ${title}`, () => {
      const checks = judgeOperator({ ...GOOD, ...change });
      const found = checks.filter((check) => check.result !== "pass");
      assert.deepEqual(
        found.map((check) => [check.name, check.result]),
        [[name, result]],
      );
      assert.match(found[0]!.detail, says);
      assert.notEqual(found[0]!.fix ?? "", "");
    });
  }
});
