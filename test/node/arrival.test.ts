// The scripts that bring image and model to a host, run on this machine with a fake `docker`. Does not prove that docker loads or
// runs anything: test/lab/arrival.test.ts does.
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_DIR = join(dirname(fileURLToPath(import.meta.url)), "../../node");
const ID = `sha256:${"1".repeat(64)}`;

/** Keeps what it was called with; has the image once `present` exists, and `docker load` makes that. */
const FAKE_DOCKER = `#!/bin/bash
here=$(dirname "$0")
printf '%s\\n' "$*" >>"$here/calls"
case "$1 $2" in
  "image inspect") [ -e "$here/present" ] ;;
  "info --format") echo "$here" ;;
  "load --quiet")
    if [ -e "$here/other" ]; then echo "Loaded image ID: sha256:2222"; else touch "$here/present"; fi ;;
  "run --rm") echo "1.0 GB of 2.0 GB" >&2; exit "$(cat "$here/exit" 2>/dev/null || echo 0)" ;;
  "rm --force") ;;
  *) echo "unexpected: $*" >&2; exit 64 ;;
esac
`;

describe("the scripts that bring image and model", () => {
  let dir: string;
  let model: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "arrival-"));
    model = join(dir, "the model");
    for (const name of ["qwen/bin", "docker"]) {
      mkdirSync(join(dir, name), { recursive: true });
    }
    writeFileSync(join(dir, "docker/docker"), FAKE_DOCKER, { mode: 0o755 });
    writeFileSync(join(dir, "qwen/node"), "node1\n");
    writeFileSync(join(dir, "qwen/owner"), "acme/p/s\n");
    for (const name of ["image.sh", "model.sh"]) {
      const text = readFileSync(join(NODE_DIR, name), "utf8");
      assert.ok(text.includes("PATH=/usr/local/sbin:"));
      const path = `PATH=${dir}/docker:/usr/local/sbin:`;
      writeFileSync(join(dir, "qwen/bin", name), text.replace("PATH=/usr/local/sbin:", path));
    }
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  function run(script: string, request: readonly (readonly string[])[]) {
    const input = request.map((fields) => `${fields.join("\t")}\n`).join("");
    return spawnSync("bash", [join(dir, "qwen/bin", script)], { input, encoding: "utf8" });
  }
  const calls = () => readFileSync(join(dir, "docker/calls"), "utf8").trim().split("\n");
  const mark = (name: string, text = "") => writeFileSync(join(dir, "docker", name), text);

  describe("model.sh", () => {
    const hub = () => [
      ["path", model],
      ["timeoutSec", "60"],
      ["source", "huggingface"],
      ["repository", "acme/tiny"],
      ["revision", "0".repeat(40)],
      ["endpoint", "https://hub.example"],
      ["image", ID],
    ];

    it("downloads in the image, with nothing of the host but the directory", () => {
      const { status, stderr } = run("model.sh", hub());
      assert.deepEqual([status, stderr], [0, "node node1: 1.0 GB of 2.0 GB\n"]);
      const [ended, started] = calls();
      assert.equal(ended, "rm --force vllm-cluster-qwen-model");
      assert.match(started!, new RegExp(`--mount type=bind,source=${model},target=${model} `));
      assert.match(started!, new RegExp(`--entrypoint python3 ${ID} -u /fetch_model.py --source `));
      assert.doesNotMatch(started!, /privileged|device/);
    });

    it("tells a download that failed, after what it said itself", () => {
      mark("exit", "1");
      const { status, stderr } = run("model.sh", hub());
      assert.equal(status, 1);
      assert.match(
        stderr,
        /GB\nnode node1, model: the download ended with exit code 1, see above\n$/,
      );
    });
  });

  describe("image.sh", () => {
    const load = (archive: string): SpawnSyncReturns<string> =>
      run("image.sh", [
        ["id", ID],
        ["archive", archive],
      ]);

    it("loads an archive once", () => {
      writeFileSync(join(dir, "image.tar"), "");
      assert.match(load(join(dir, "image.tar")).stderr, /is loaded\n$/);
      assert.match(load(join(dir, "image.tar")).stderr, /is there\n$/);
      assert.equal(calls().filter((call) => call.startsWith("load ")).length, 1);
    });

    it("needs no archive where the image is there", () => {
      mark("present");
      assert.equal(load("/nowhere.tar").status, 0);
    });

    it("refuses an archive of another image, and one that is away", () => {
      assert.match(load("/nowhere.tar").stderr, /node1: \/nowhere\.tar is not there\nnext: /);
      mark("other");
      writeFileSync(join(dir, "image.tar"), "");
      const { status, stderr } = load(join(dir, "image.tar"));
      assert.equal(status, 1);
      assert.match(
        stderr,
        /holds another image than sha256:1+: Loaded image ID: sha256:2222\nnext: /,
      );
    });

    it("does not begin on a disk that is too small", () => {
      writeFileSync(join(dir, "image.tar.gz"), "");
      // Sparse: larger than any disk.
      truncateSync(join(dir, "image.tar.gz"), 4e12);
      const { status, stderr } = load(join(dir, "image.tar.gz"));
      assert.equal(status, 1);
      assert.match(
        stderr,
        /needs about 12000\.0 GB and 1 GB to spare, but \S+ has \d+\.\d GB free\n/,
      );
      assert.ok(!calls().some((call) => call.startsWith("load ")));
    });
  });
});
