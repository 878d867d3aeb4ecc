// What is read of the lines that commits print. That commits print them: test/node/test_live.py.
import assert from "node:assert/strict";
import { clusterChanges } from "../../../core/changes/cluster-change.js";
import { measuredTimes } from "../../../core/changes/measured.js";
import { parsePreview } from "../../../core/changes/preview.js";
import { renderText } from "../../../core/changes/render-summary.js";
import { type RecordedChange, readRecordedPreview } from "../../support/recorded-preview.js";

const SERVE = {
  kind: "serve",
  release: "77c0",
  epoch: 8,
  readyAfterSec: 61.5,
  outages: {
    serve: { sec: 70.2, at: 1_763_800_000 },
    containers: { sec: 244, at: 1_763_700_000 },
  },
};

describe("measuredTimes", () => {
  it("reads starts of both commits and the outages of the later one", () => {
    const ray = JSON.stringify({ readyAfterSec: 12.5, outages: {} });
    assert.deepEqual(measuredTimes(ray, JSON.stringify(SERVE)), {
      rayStartSec: 12.5,
      serveStartSec: 61.5,
      outages: {
        serve: { sec: 70.2, at: "2025-11-22T08:26:40.000Z" },
        containers: { sec: 244, at: "2025-11-21T04:40:00.000Z" },
      },
    });
  });

  it("knows nothing from what is no such line", () => {
    for (const text of [undefined, "", "ready\n", "[]", '{"readyAfterSec":null,"outages":3}']) {
      assert.deepEqual(measuredTimes(text, text), { outages: {} });
    }
  });
});

describe("the outage that a summary tells", () => {
  const told = (name: RecordedChange) => {
    const raw = JSON.parse(readRecordedPreview(name)) as {
      steps: { urn: string; oldState?: { outputs: Record<string, unknown> } }[];
    };
    for (const { urn, oldState } of raw.steps) {
      if (urn.endsWith("-serve-commit")) oldState!.outputs["stdout"] = JSON.stringify(SERVE);
    }
    const preview = parsePreview(JSON.stringify(raw));
    return renderText({ stack: "lab", clusters: clusterChanges(preview), warnings: [] });
  };

  it("is the last one of such a change, with stopping and new containers in it", () => {
    assert.match(
      told("serve-flag"),
      /is out for about 70 s \(the last measured outage of such a change of 2025-11-22\): requests/,
    );
    assert.match(
      told("image"),
      /is out for about 4 min \(the last measured outage of such a change of 2025-11-21\): requests/,
    );
  });

  it("is put together from the measured starts where no such change was measured", () => {
    assert.match(told("ray-env"), /\(the last measured start of [\d-]+\), plus up to 20 s to stop/);
  });
});
