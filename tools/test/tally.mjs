import { SKIP_MARK } from "./skip.mjs";

/** @typedef {{layer: string, file: string, title: string, ms: number, error?: string}} Outcome */

/** What has been seen of all layers so far. */
export class Tally {
  constructor() {
    this.passed = 0;
    /** @type {Outcome[]} */
    this.failures = [];
    /** @type {Outcome[]} */
    this.skips = [];
  }

  /**
   * @param {import("./reporter.mjs").State} state
   * @param {Outcome} outcome
   * @param {{isSkipForbidden: boolean}} rules
   * @returns {import("./reporter.mjs").State} what it counts as
   */
  add(state, outcome, { isSkipForbidden }) {
    if (state === "passed") {
      this.passed += 1;
      return state;
    }
    const complaint =
      state === "skipped" ? complaintAboutSkip(outcome.title, isSkipForbidden) : outcome.error;
    if (complaint === undefined) {
      this.skips.push(outcome);
      return "skipped";
    }
    this.failures.push({ ...outcome, error: complaint });
    return "failed";
  }

  /**
   * Something that is no test.
   * @param {string} layer
   * @param {string} title
   * @param {string} error
   * @param {string} [file]
   */
  fail(layer, title, error, file = "") {
    this.failures.push({ layer, file, title, ms: 0, error });
  }

  closingLine() {
    return `${this.passed} passed, ${this.failures.length} failed, ${this.skips.length} skipped`;
  }

  /** Skips by their reasons, then failures in full. */
  details() {
    const reasons = new Set(this.skips.map(({ title }) => reasonOf(title)));
    const lines = [...reasons].map((reason) => {
      const skips = this.skips.filter(({ title }) => reasonOf(title) === reason);
      const names = skips.map(({ layer, title }) => `    ${layer}: ${nameOf(title)}`);
      return [`skipped: ${reason}`, ...names].join("\n");
    });
    for (const { layer, file, title, error } of this.failures) {
      const where = file === "" ? "" : ` (${file})`;
      lines.push(`FAILED  ${layer}: ${title}${where}\n${indent(error ?? "")}`);
    }
    return lines.join("\n");
  }

  isGreen() {
    return this.failures.length === 0 && this.passed + this.skips.length > 0;
  }
}

/** @param {string} title @param {boolean} isForbidden */
function complaintAboutSkip(title, isForbidden) {
  if (isForbidden) return "was skipped, but in CI nothing of this layer may be skipped";
  if (title.includes(SKIP_MARK)) return undefined;
  return "was skipped without reason and remedy: use skip() of tools/test/skip.mjs";
}

/** @param {string} title of a skipped test */
function reasonOf(title) {
  return title.split(SKIP_MARK)[1] ?? "";
}

/** @param {string} title of a skipped test */
function nameOf(title) {
  return title.split(SKIP_MARK)[0] ?? "";
}

/** @param {string} text */
function indent(text) {
  return text
    .split("\n")
    .slice(0, MAX_ERROR_LINES)
    .map((line) => `    ${line}`)
    .join("\n");
}

const MAX_ERROR_LINES = 60;
