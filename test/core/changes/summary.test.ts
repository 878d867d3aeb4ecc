// What a preview of the real engine means: previews recorded from a lab (test/lab/lifecycle.test.ts), and what the summary
// makes of them. Does not prove that exactly that restarts: test/lab/lifecycle.test.ts does, by process identities.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { clusterChanges } from "../../../core/changes/cluster-change.js";
import { fieldChanges, nodeFieldChanges } from "../../../core/changes/field-changes.js";
import { PreviewFormatError, parsePreview } from "../../../core/changes/preview.js";
import { renderMarkdown, renderText, type Summary } from "../../../core/changes/render-summary.js";
import { assertGolden } from "../../support/golden.js";
import { RECORDED_CHANGES, readRecordedPreview } from "../../support/recorded-preview.js";

function summaryOf(text: string): Summary {
  const preview = parsePreview(text);
  return { stack: "lab", clusters: clusterChanges(preview), warnings: preview.warnings };
}

/** Addresses, keys, ids and times differ from one recording to the next. */
function steady(text: string): string {
  return text
    .replaceAll(/10\.77\.\d+\./g, "10.77.0.")
    .replaceAll(/AAAAC3[A-Za-z0-9+/=]+/g, "AAAAC3…")
    .replaceAll(/sha256:(?!0{64})[0-9a-f]{64}/g, "sha256:…")
    .replaceAll(/allowDowntimeFor: [0-9a-f]+/g, "allowDowntimeFor: <plan hash>")
    .replaceAll(
      /about \d+ s \(the last measured start of [\d-]+\)/g,
      "about N s (the last measured start of DATE)",
    );
}

/** What markdown, HTML or a terminal could take for its own. */
const HOSTILE = [
  "`",
  "``",
  "\n",
  "\r",
  "</details>",
  "<",
  "|",
  "[x](y)",
  "\\",
  "\0",
  "\u001b",
  "$",
  "é",
  "a",
];

describe("the summary of a preview", () => {
  for (const name of RECORDED_CHANGES) {
    it(`of ${name} reads as the golden files say`, () => {
      const summary = summaryOf(readRecordedPreview(name));
      assertGolden(`summary/${name}.md`, steady(renderMarkdown(summary)));
      assertGolden(`summary/${name}.txt`, steady(renderText(summary)));
    });
  }

  it("is one line when nothing changes", () => {
    assert.equal(renderText(summaryOf(readRecordedPreview("nothing"))), "lab: nothing changes.\n");
  });

  it("says that the outage is unknown when no start was measured", () => {
    const text = readRecordedPreview("serve-flag").replaceAll("readyAfterSec", "somethingElse");
    assert.match(
      renderText(summaryOf(text)),
      /out for an unknown time \(no start was measured yet\)/,
    );
  });

  it("shows flags that change together with the image, though the engine does not know the manifest yet", () => {
    const text = readRecordedPreview("image").replaceAll(
      '\\"maxNumSeqs\\":25',
      '\\"maxNumSeqs\\":27',
    );
    assert.match(renderText(summaryOf(text)), /args\.max-num-seqs: 25 -> 27/);
  });

  it("shows a changed host key outside of the collapsed details", () => {
    const markdown = renderMarkdown(summaryOf(readRecordedPreview("host-key")));
    assert.doesNotMatch(markdown, /<details>/);
    assert.match(markdown, /connection\.hostKey` \(node1\): `ssh-ed25519 /);
  });

  it("passes the program's warnings on, and only them", () => {
    const raw = JSON.parse(readRecordedPreview("nothing")) as Record<string, unknown>;
    const diagnostics = [
      { severity: "warning", message: "memory fit: tight\n" },
      { severity: "info", message: "chatter" },
    ];
    const text = renderText(summaryOf(JSON.stringify({ ...raw, diagnostics })));
    assert.equal(text, "warning: memory fit: tight\n");
  });

  it("stays below GitHub's limit and closes its HTML, however much changes", () => {
    const [change] = clusterChanges(parsePreview(readRecordedPreview("serve-flag")));
    const changes = Array.from({ length: 2000 }, (_, index) => ({
      path: `args.flag-${index}`,
      nodes: [],
      before: "x".repeat(500),
      after: undefined,
    }));
    const markdown = renderMarkdown({
      stack: "lab",
      clusters: [{ ...change!, fields: [{ title: "vLLM", changes }] }],
      warnings: [],
    });
    assert.ok(markdown.length <= 65_000, `${markdown.length} characters`);
    assert.equal(markdown.split("<details>").length, markdown.split("</details>").length);
    assert.match(markdown, /The rest is cut/);
  });

  it("keeps hostile values on their line, inside their code", () => {
    const [change] = clusterChanges(parsePreview(readRecordedPreview("serve-flag")));
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...HOSTILE), maxLength: 40 }), (after) => {
        const markdown = renderMarkdown({
          stack: "lab",
          clusters: [
            {
              ...change!,
              fields: [{ title: "vLLM", changes: [{ path: "p", nodes: [], before: "", after }] }],
            },
          ],
          warnings: [],
        });
        const [line = ""] = markdown.split("\n").filter((text) => text.startsWith("- `p`: "));
        const value = line.slice('- `p`: `""` → '.length);
        const fence = /^`+/.exec(value)?.[0] ?? "";
        const inner = value.slice(fence.length, -fence.length);
        assert.ok(fence !== "" && value.endsWith(fence), line);
        assert.ok(!inner.split(/[^`]+/).includes(fence), line);
      }),
    );
  });

  it("refuses what is not a preview", () => {
    for (const text of ["", "error: no stack selected", "[1]", '{"steps": 3}']) {
      assert.throws(() => parsePreview(text), PreviewFormatError, text);
    }
  });
});

describe("the page about reviewing a change", () => {
  it("shows the summaries that the golden files hold", () => {
    const page = readFileSync(
      new URL("../../../docs/reviewing-changes.md", import.meta.url),
      "utf8",
    );
    for (const name of ["serve-flag", "ray-env", "image", "one-node-less"]) {
      const golden = readFileSync(
        new URL(`../../golden/summary/${name}.txt`, import.meta.url),
        "utf8",
      );
      assert.ok(
        page.includes(`\`\`\`text\n${golden}\`\`\``),
        `${name}: copy test/golden/summary/${name}.txt`,
      );
    }
  });
});

describe("the fields in which two values differ", () => {
  it("are none for equal values, whatever the order of keys", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue()), (value) => {
        const turned = Object.fromEntries(Object.entries(value).reverse());
        assert.deepEqual(fieldChanges(value, turned), []);
      }),
    );
  });

  it("name the leaf with both values", () => {
    assert.deepEqual(fieldChanges({ a: { b: 1, c: "x" } }, { a: { b: 2, c: "x" }, d: true }), [
      { path: "a.b", nodes: [], before: "1", after: "2" },
      { path: "d", nodes: [], before: undefined, after: "true" },
    ]);
  });

  it("are one change when they are the same on several nodes, and leave out nodes that come or go", () => {
    const before = { node0: { image: "a" }, node1: { image: "a" }, node2: { image: "a" } };
    const after = { node0: { image: "b" }, node1: { image: "b" }, node3: { image: "b" } };
    assert.deepEqual(nodeFieldChanges(before, after), [
      { path: "image", nodes: ["node0", "node1"], before: "a", after: "b" },
    ]);
  });
});
