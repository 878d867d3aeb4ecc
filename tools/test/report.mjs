import { appendFileSync } from "node:fs";
import { duration } from "../setup/progress.mjs";

/**
 * @typedef {import("./reporter.mjs").State} State
 * @typedef {{file: string, title: string, ms: number}} Told
 */

/**
 * A log file, and the terminal beside it.
 * @param {string} path
 * @param {string} [firstLine]
 */
export function openLog(path, firstLine) {
  const write = (/** @type {string} */ line) => appendFileSync(path, `${line}\n`);
  if (firstLine !== undefined) write(firstLine);
  return {
    path,
    write,
    print(/** @type {string} */ line) {
      process.stdout.write(`${line}\n`);
      write(line);
    },
  };
}

/** Tells of one file at a time, once it is done: files that run side by side shall not be mixed up. */
export class FileReport {
  /** @param {{showTests: boolean, showTime: boolean, print: (text: string) => void}} options */
  constructor(options) {
    this.options = options;
    this.begin = Date.now();
    /** @type {(Told & {state: State})[]} */
    this.tests = [];
  }

  /** @param {State} state @param {Told} told */
  add(state, { file, title, ms }) {
    if (file !== this.tests[0]?.file) this.finish();
    this.tests.push({ state, file, title, ms });
  }

  finish() {
    const [first] = this.tests;
    if (first === undefined) return;
    const { showTests, showTime, print } = this.options;
    const counts = new Map();
    for (const { state } of this.tests) counts.set(state, (counts.get(state) ?? 0) + 1);
    const text = [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
    const time = showTime ? ` (${duration((Date.now() - this.begin) / 1000)})` : "";
    const tests = this.tests.map(
      ({ state, title, ms }) => `    ${word(state)}  ${title} (${duration(ms / 1000)})`,
    );
    const head = `  ${counts.has("failed") ? "failed" : "ok"}  ${first.file}: ${text}${time}`;
    print([head, ...(showTests ? tests : [])].join("\n"));
    this.tests = [];
  }
}

/** @param {State} state */
function word(state) {
  return state === "passed" ? "ok" : state;
}
