// The committed files that are made from the code are those that the code makes now. Does not prove that an editor shows
// them well.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generatedFiles } from "../../tools/generate/generated-files.js";
import { repoDir } from "../../tools/setup/paths.mjs";

describe("npm run generate", () => {
  for (const { path, text } of generatedFiles()) {
    it(`would write ${path} as it is committed`, () => {
      const committed = readFileSync(join(repoDir, path), "utf8");
      assert.equal(committed, text, `${path} is out of date: npm run generate`);
    });
  }

  it("is found by editors: every stack file names the schema in its first line", () => {
    const stacks = join(repoDir, "stacks");
    for (const file of readdirSync(stacks).filter((name) => name.endsWith(".yaml"))) {
      const [first] = readFileSync(join(stacks, file), "utf8").split("\n");
      assert.equal(first, "# yaml-language-server: $schema=./stack.schema.json", file);
    }
  });
});
