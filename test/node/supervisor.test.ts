// One mocha test per Python test of this folder: the supervisor is Python, so its tests are too.
// Runs them with the machine's Python, else with the one of the lab's image by chroot.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { skip } from "../../tools/test/skip.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const CHECKOUT = join(HERE, "../..");
const CACHE = process.env["VLLM_ASCEND_CACHE"] ?? join(CHECKOUT, ".cache");
const RUN_DEADLINE_MS = 300_000;
const REMEDY =
  "install python3 (3.10 or newer), or let the set-up build the lab's images (npm run setup) and be root";

describe("supervisor (Python tests)", () => {
  const python = findPython();
  if (python === undefined) {
    it("is tested by the Python files of this folder", function () {
      skip(this, "no Python 3.10 or newer", REMEDY);
    });
    return;
  }
  let results: ReadonlyMap<string, TestResult>;

  before(async function () {
    this.timeout(RUN_DEADLINE_MS + 10_000);
    results = await runAll(python);
  });

  for (const id of listTests(python)) {
    it(titleOf(id), () => {
      const result = results.get(id);
      assert.ok(result, `${id} was not run by test/node/run.py`);
      assert.ok(result.ok, result.text);
    });
  }
});

interface TestResult {
  readonly id: string;
  readonly ok: boolean;
  readonly text: string;
}

/** How to run a Python script of this folder: command and the words before the script's own. */
interface Python {
  readonly words: readonly string[];
}

function findPython(): Python | undefined {
  const candidates = [["python3", "-S", join(HERE, "run.py")], ...chrootCandidates()];
  const found = candidates.find((words) => {
    const [command, ...args] = words;
    return spawnSync(command!, [...args, "--check"], { env: pythonEnv() }).status === 0;
  });
  return found && { words: found };
}

/** The lab's trees that hold a whole Python. Mounts live in a namespace of their own and end with it. */
function chrootCandidates(): readonly (readonly string[])[] {
  if (process.getuid?.() !== 0) return [];
  const script = [
    'mount --bind "$1" "$2/mnt" && mount -t proc proc "$2/proc" && mount --rbind /dev "$2/dev"',
    'mount -t tmpfs tmpfs "$2/tmp" && root=$2 && shift 2',
    'exec chroot "$root" /usr/bin/python3 -S /mnt/test/node/run.py "$@"',
  ].join(" && ");
  return ["lab/rootfs", "lab/build/layer-base"]
    .map((tree) => join(CACHE, tree))
    .filter((tree) => existsSync(join(tree, "usr/bin/python3")))
    .map((tree) => ["unshare", "--mount", "sh", "-c", script, "sh", CHECKOUT, tree]);
}

function pythonEnv(): NodeJS.ProcessEnv {
  return { ...process.env, PYTHONDONTWRITEBYTECODE: "", LC_ALL: "C.UTF-8" };
}

function listTests(python: Python): readonly string[] {
  const [command, ...args] = python.words;
  const listed = spawnSync(command!, [...args, "--list"], { encoding: "utf8", env: pythonEnv() });
  assert.equal(listed.status, 0, `cannot list the Python tests: ${listed.stderr}`);
  return listed.stdout.trim().split("\n");
}

async function runAll(python: Python): Promise<ReadonlyMap<string, TestResult>> {
  mkdirSync(CACHE, { recursive: true });
  const [command, ...args] = python.words;
  const child = spawn(command!, args, {
    env: pythonEnv(),
    stdio: ["ignore", "pipe", "inherit"],
    timeout: RUN_DEADLINE_MS,
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
  const results = output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as TestResult);
  return new Map(results.map((result) => [result.id, result]));
}

/** test_live.Running.test_status_says_what_runs -> Running: status says what runs */
function titleOf(id: string): string {
  const [, group, name] = id.split(".");
  return `${group}: ${name!.replace(/^test_/, "").replaceAll("_", " ")}`;
}
