import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repoDir } from "../setup/paths.mjs";
import { generatedFiles } from "./generated-files.js";

/** `npm run generate`: writes every committed file that is made from the code; a test says when one is out of date. */
for (const { path, text } of generatedFiles()) {
  const file = join(repoDir, path);
  const isCurrent = readOrEmpty(file) === text;
  if (!isCurrent) writeFileSync(file, text);
  process.stdout.write(`${isCurrent ? "unchanged" : "written  "}  ${path}\n`);
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
