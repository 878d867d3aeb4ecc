import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const GOLDEN_DIR = join(dirname(fileURLToPath(import.meta.url)), "..", "golden");

/** Compares a text with `test/golden/<path>`; `UPDATE_GOLDEN=1` rewrites the file. */
export function assertGolden(path: string, actual: string): void {
  const file = join(GOLDEN_DIR, path);
  if (process.env["UPDATE_GOLDEN"] === "1") {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
    return;
  }
  assert.ok(
    existsSync(file),
    `test/golden/${path} is missing: run UPDATE_GOLDEN=1 npm run test:unit, read the new file, commit it`,
  );
  assert.equal(
    actual,
    readFileSync(file, "utf8"),
    `differs from test/golden/${path}; if the change is meant, run UPDATE_GOLDEN=1 npm run test:unit`,
  );
}
