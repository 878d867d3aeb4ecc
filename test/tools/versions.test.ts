import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MIN_GO } from "../../tools/setup/go.mjs";
import { engineSourceDir } from "../../tools/setup/paths.mjs";
import {
  isAtLeast,
  isSuitableEngine,
  parseVersion,
  pinnedVersions,
} from "../../tools/setup/versions.mjs";

describe("versions", () => {
  it("reads what the tools print", () => {
    for (const [text, expected] of [
      ["v3.259.0", { major: 3, minor: 259, patch: 0 }],
      ["3.260.1-alpha.1\n", { major: 3, minor: 260, patch: 1 }],
      ["go1.26.8", { major: 1, minor: 26, patch: 8 }],
      ["go1.26", { major: 1, minor: 26, patch: 0 }],
      ["^3.259.0", undefined],
      ["", undefined],
    ] as const) {
      assert.deepEqual(parseVersion(text), expected, text);
    }
  });

  it("takes an engine of the pinned major version that is not older than the pin", () => {
    for (const [found, expected] of [
      ["3.259.0", true],
      ["v3.259.1", true],
      ["3.300.0", true],
      ["3.258.9", false],
      ["4.0.0", false],
      ["2.900.0", false],
      ["unknown", false],
    ] as const) {
      assert.equal(isSuitableEngine(found, "3.259.0"), expected, found);
    }
  });

  it("compares numbers, not text", () => {
    assert.equal(isAtLeast("1.26.10", "1.26.9"), true);
    assert.equal(isAtLeast("go1.9", "1.26.0"), false);
    assert.equal(isAtLeast("20.19.0", "22.12.0"), false);
  });

  it("pins the same engine in package.json and in the Go modules", () => {
    const pulumi = `v${pinnedVersions().pulumi}`;
    assert.equal(requiredIn("cli", "github.com/pulumi/pulumi/pkg/v3"), pulumi);
    assert.equal(requiredIn("language-nodejs", "github.com/pulumi/pulumi/sdk/v3"), pulumi);
  });

  it("asks for the Go version that every module names", () => {
    for (const module of ["cli", "command", "docker", "language-nodejs"]) {
      assert.equal(`${/^go (\S+)$/m.exec(goMod(module))?.[1]}.0`, MIN_GO, module);
    }
  });
});

function requiredIn(module: string, path: string): string | undefined {
  return goMod(module)
    .split("\n")
    .map((line) => line.trim().split(" "))
    .find(([name]) => name === path)?.[1];
}

function goMod(module: string): string {
  return readFileSync(join(engineSourceDir, module, "go.mod"), "utf8");
}
