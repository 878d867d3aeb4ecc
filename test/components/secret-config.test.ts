// What is taken for a secret of a stack's configuration. Does not prove that the engine tells which keys are secret:
// test/engine/preview.test.ts does.
import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { secretConfig, secretConfigObject } from "../../components/index.js";

describe("secretConfig", () => {
  const read = (value: string, secretKeys: string[]) => {
    pulumi.runtime.setAllConfig({ "proj:apiKey": value }, secretKeys);
    return secretConfig(new pulumi.Config("proj"), "apiKey");
  };
  after(() => pulumi.runtime.setAllConfig({}));

  it("is a secret output", async () => {
    const secret = read("canary", ["proj:apiKey"]);
    assert.ok(secret !== undefined);
    assert.equal(await pulumi.isSecret(secret), true);
  });

  it("is nothing when the key is unset", () => {
    pulumi.runtime.setAllConfig({});
    assert.equal(secretConfig(new pulumi.Config("proj"), "apiKey"), undefined);
  });

  it("refuses a value in clear without repeating it", () => {
    assert.throws(
      () => read("canary", []),
      (error: Error) =>
        error instanceof pulumi.RunError &&
        error.message.includes("proj:apiKey stands in clear") &&
        !error.message.includes("canary"),
    );
  });

  it("refuses a map in clear, and reads a secret one", async () => {
    const readMap = (secretKeys: string[]) => {
      pulumi.runtime.setAllConfig({ "proj:env": '{"A":"canary"}' }, secretKeys);
      return secretConfigObject<Record<string, string>>(new pulumi.Config("proj"), "env");
    };
    assert.throws(() => readMap([]), /proj:env stands in clear/);
    assert.equal(await pulumi.isSecret(readMap(["proj:env"])!), true);
  });

  for (const value of ["", " ", "two words", "line\n", "schlüssel"]) {
    it(`refuses ${JSON.stringify(value)}, which would guard nothing or could not be sent`, () => {
      assert.throws(() => read(value, ["proj:apiKey"]), /must be one word of visible ASCII/);
    });
  }
});
