import { readFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { repoDir } from "./setup/paths.mjs";
import { duration, say } from "./setup/progress.mjs";
import { capture, messageOf } from "./setup/run.mjs";
import { ensureShellcheck } from "./setup/shellcheck.mjs";
import { ensureToolchain } from "./setup/toolchain.mjs";

/**
 * `npm run verify`: everything that can be told without the engine and the lab. One line per step when
 * it is green, the tool's own output when it is not; a red step does not hide the ones after it.
 * `npm run fix` lets the formatter and the linters repair what they can first.
 */

/** @typedef {{ok: boolean, output: string}} Verdict */
/** @typedef {{name: string, run: () => Promise<Verdict>}} Step */

const isFix = argv.includes("--fix");
const STEP_TIMEOUT_MS = 10 * 60_000;

try {
  const { node, env } = await ensureToolchain({ need: {} });
  const steps = stepsWith(node, env);
  let red = 0;
  for (const step of steps) red += (await runStep(step)) ? 0 : 1;
  process.stdout.write(
    red === 0 ? "verify: all green\n" : `verify: ${red} of ${steps.length} red\n`,
  );
  process.exitCode = red === 0 ? 0 : 1;
} catch (error) {
  say(messageOf(error));
  process.exitCode = 1;
}

/** @param {Step} step */
async function runStep({ name, run }) {
  const begin = Date.now();
  const { ok, output } = await run().catch((error) => ({ ok: false, output: messageOf(error) }));
  const time = duration((Date.now() - begin) / 1000);
  process.stdout.write(`${ok ? "ok " : "RED"}  ${name} (${time})\n${ok ? "" : `${output}\n`}`);
  return ok;
}

/**
 * @param {string} node
 * @param {NodeJS.ProcessEnv} env
 * @returns {Step[]}
 */
function stepsWith(node, env) {
  const run = async (/** @type {string[]} */ args) => {
    const { ok, stdout, stderr } = await capture(node, args, {
      cwd: repoDir,
      env,
      timeoutMs: STEP_TIMEOUT_MS,
    });
    return { ok, output: `${stdout}${stderr}`.trim() };
  };
  const bin = (/** @type {string} */ path) => join(repoDir, "node_modules", path);
  return [
    {
      name: "format and import order (biome)",
      run: () =>
        run([
          bin("@biomejs/biome/bin/biome"),
          "check",
          ...(isFix ? ["--write"] : []),
          "--error-on-warnings",
        ]),
    },
    {
      name: "lint and room law (eslint)",
      run: () =>
        run([bin("eslint/bin/eslint.js"), "--max-warnings=0", ...(isFix ? ["--fix"] : []), "."]),
    },
    { name: "types (tsc)", run: () => run([bin("typescript/bin/tsc"), "--noEmit", "-p", "."]) },
    {
      name: "no circular imports (madge)",
      run: () =>
        run([
          ...[bin("madge/bin/cli.js"), "--circular", "--no-spinner", "--extensions", "ts,mjs"],
          ...[
            "--ts-config",
            "tsconfig.json",
            "components",
            "core",
            "cli",
            "provider",
            "tools",
            "test",
            "index.ts",
          ],
        ]),
    },
    { name: "shell scripts (shellcheck)", run: checkShellScripts },
    {
      name: "unit tests and golden files",
      run: () => run([join(repoDir, "tools", "test", "main.mjs"), "unit"]),
    },
  ];
}

/** @returns {Promise<Verdict>} */
async function checkShellScripts() {
  const { path, env } = await ensureShellcheck();
  const scripts = await findShellScripts();
  // What a remote `bash -s` reads needs no first line that names the shell.
  const named = scripts.filter((file) => shellOf(file) !== undefined);
  const unnamed = scripts.filter((file) => shellOf(file) === undefined);
  const verdicts = [];
  for (const args of [named, ["--shell=bash", ...unnamed]]) {
    if (!args.some((arg) => !arg.startsWith("-"))) continue;
    const options = { cwd: repoDir, env, timeoutMs: STEP_TIMEOUT_MS };
    verdicts.push(await capture(path, ["--external-sources", ...args], options));
  }
  return {
    ok: verdicts.every(({ ok }) => ok),
    output: verdicts.map(({ stdout, stderr }) => `${stdout}${stderr}`.trim()).join("\n"),
  };
}

/** Tracked and new files that are named *.sh or begin like a shell script. */
async function findShellScripts() {
  const { ok, stdout, stderr } = await capture(
    "git",
    ["ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    { cwd: repoDir },
  );
  if (!ok) throw new Error(`git ls-files: ${stderr.trim()}`);
  return stdout
    .split("\0")
    .filter(
      (file) => file.endsWith(".sh") || (!/\.[^/]*$/.test(file) && shellOf(file) !== undefined),
    );
}

/** @param {string} file @returns {string | undefined} the shell that its first line names */
function shellOf(file) {
  try {
    const firstLine = readFileSync(join(repoDir, file), "utf8").split("\n", 1)[0] ?? "";
    return /^#!.*\b((?:ba|da)?sh)$/.exec(firstLine)?.[1];
  } catch {
    return undefined; // a folder, or deleted but still in the index
  }
}
