// Which updates of a commit stop what runs. Does not prove that the engine asks before it commits: test/lab/lifecycle.test.ts does.
import assert from "node:assert/strict";
import { stopsGroup } from "../../../core/changes/manifest.js";

describe("an update of a commit", () => {
  const manifest = {
    release: "a",
    containers: { node0: "c0" },
    secrets: { node0: "s0" },
    deadlineSec: 300,
  };
  const before = JSON.stringify(manifest);
  const cases: readonly [title: string, after: string | undefined, stops: boolean][] = [
    ["the same manifest", before, false],
    ["another deadline", JSON.stringify({ ...manifest, deadlineSec: 600 }), false],
    ["another release", JSON.stringify({ ...manifest, release: "b" }), true],
    ["another container", JSON.stringify({ ...manifest, containers: { node0: "c1" } }), true],
    ["another secret", JSON.stringify({ ...manifest, secrets: { node0: "s1" } }), true],
    ["a manifest that is not known yet", "04da6b54-80e4-46f7-96ec-b56ff0331ba9", true],
    ["no manifest", undefined, true],
  ];
  for (const [title, after, stops] of cases) {
    it(`${stops ? "stops" : "does not stop"} what runs with ${title}`, () => {
      assert.equal(stopsGroup(before, after), stops);
    });
  }
});
