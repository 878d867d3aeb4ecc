// How image and model come to the hosts, with the real engine, SSH and docker: an archive is loaded, both hubs' protocols are
// downloaded from a server of this test on the hosts' network, a difference between hosts is found before anything stops. Does
// not prove that the real hubs answer so; the stand-in `vllm` reads no weights.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { FakeHub, HUB_REPOSITORY, HUB_REVISION } from "../support/fake-hub.js";
import { CONTAINER, LabStack } from "../support/lab-stack.js";

const ARCHIVE = "/var/tmp/image.tar";
const WEIGHTS = randomBytes(3_000_000);

describe("the arrival of image and model", function () {
  this.timeout(600_000);
  let stack: LabStack;
  let endpoint: string;
  const hub = new FakeHub({
    "config.json": Buffer.from('{"architectures": ["Qwen3MoeForCausalLM"]}\n'),
    "sub/model-00001.safetensors": WEIGHTS,
  });

  before(async () => {
    stack = await LabStack.create({ image: "ray" });
    // The machine's own address on the hosts' network.
    endpoint = await hub.listen(stack.lab.nodes[0]!.address.replace(/\d+$/, "1"));
    await onEveryNode(
      `set -e; id=$(docker images -q --no-trunc | head -n 1); docker save "$id" -o ${ARCHIVE}; docker rmi -f "$id" >/dev/null`,
    );
  });
  after(async () => {
    await hub.close();
    await stack?.dispose();
  });

  async function onEveryNode(command: string): Promise<string[]> {
    return Promise.all(
      stack.lab.nodes.map(({ name }) => stack.lab.must(name, command, { timeoutSec: 120 })),
    );
  }

  const fromHub = (source: "huggingface" | "modelscope", path: string) => ({
    ...{ path, source, endpoint },
    ...{ repository: HUB_REPOSITORY, revision: HUB_REVISION },
  });

  it("fails the preflight where neither image nor archive is, before anything is staged", async () => {
    await stack.withChange(
      (cluster) => {
        cluster.image = { ...cluster.image, source: "archive", archive: "/nowhere.tar" };
      },
      async () => {
        const { code, text } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(text, /IMAGE_MISSING/);
        assert.match(text, /\/nowhere\.tar is not there/);
      },
    );
  });

  it("comes up from an archive and a model of Hugging Face, over a connection that broke", async () => {
    hub.cutAfter.push(1_000_000, 1_000_000);
    await stack.change((cluster) => {
      cluster.image = { ...cluster.image, source: "archive", archive: ARCHIVE };
      cluster.model = fromHub("huggingface", "/data/models/tiny-hf");
    });
    const text = await stack.mustUp();
    assert.ok((await stack.complete()).length > 0);
    assert.match(text, /node node[01]: acme\/tiny at 0123\w+ \(huggingface\): complete, 2 files/);
    // Each node began once, and each broken connection was continued, on whichever node it was.
    assert.equal(hub.ranges.filter((range) => range === "all").length, 2);
    assert.equal(hub.ranges.filter((range) => range !== "all").length, 2);
    const found = await onEveryNode(
      "cat /data/models/tiny-hf/sub/model-00001.safetensors | sha256sum; docker ps -a --format '{{.Names}}'",
    );
    assert.equal(found[0]!.split("\n")[0], found[1]!.split("\n")[0]);
    for (const text of found) assert.doesNotMatch(text, /-model$/m);
  });

  it("loads and downloads nothing again", async () => {
    hub.ranges.splice(0);
    const before = await stack.running();
    assert.match(await stack.mustUp(), /unchanged/);
    assert.deepEqual(await stack.running(), before);
    assert.deepEqual(hub.ranges, []);
  });

  it("refuses another revision in a directory that serve reads, and goes on serving", async () => {
    const before = await stack.running();
    await stack.withChange(
      (cluster) => {
        cluster.model.revision = "f".repeat(40);
      },
      async () => {
        const { code, text } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(text, /give each revision a directory of its own/);
      },
    );
    assert.deepEqual(await stack.running(), before);
  });

  it("changes to a model of ModelScope, downloaded before the containers are replaced", async () => {
    const before = await stack.running();
    await stack.change((cluster) => {
      cluster.model = fromHub("modelscope", "/data/models/tiny-ms");
    });
    await stack.mustUp();
    assert.ok((await stack.complete()).length > 0);
    assert.notDeepEqual((await stack.running()).containers, before.containers);
    assert.deepEqual(hub.ranges, ["all", "all"]);
  });

  it("finds that a directory differs between the hosts before anything stops", async () => {
    await onEveryNode("cp -r /data/models/tiny-hf /data/models/copied");
    await stack.lab.must(stack.worker, "echo '{}' >/data/models/copied/config.json");
    const before = await stack.running();
    await stack.withChange(
      (cluster) => {
        cluster.model = { path: "/data/models/copied" };
      },
      async () => {
        const { code, text } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(text, /MODEL_DIFFERS/);
      },
    );
    assert.deepEqual(await stack.running(), before);
    await stack.complete();
  });

  it("leaves image and weights on the hosts after destroy", async () => {
    const { code, text } = await stack.pulumi("destroy", "--yes", "--skip-preview");
    assert.equal(code, 0, text);
    for (const left of await onEveryNode(
      `ls /data/models; docker images -q | wc -l; docker ps -a --format '{{.Names}}' | grep ${CONTAINER} || true`,
    )) {
      assert.equal(left, "copied\ntiny-hf\ntiny-ms\n1\n");
    }
  });
});
