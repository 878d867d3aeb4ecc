// The same product on hosts that allow no root login: sudo without password, a Chinese locale, a minimal secure_path, the NPU tools in
// /usr/local/sbin. With the stand-in `vllm` of the Ray image.
import assert from "node:assert/strict";
import { LabStack } from "../support/lab-stack.js";

describe("hosts with a sudo user", function () {
  this.timeout(600_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "ray", profile: "sudo-user" });
  });
  after(() => stack?.dispose());

  it("come up, stay as they are on a second up, and recover from a reboot", async () => {
    await stack.mustUp();
    await stack.complete();
    assert.match(await stack.mustUp(), /25 unchanged/);
    const { epoch } = (await stack.status()).serve;
    await stack.lab.reboot(stack.worker);
    await stack.servesAgain(epoch ?? 0, 150);
  });

  it("are told from the right place of npu-smi when the stack names the wrong one", async () => {
    const { code, text } = await stack.withChange(
      (cluster) => {
        cluster.hostPaths = {};
      },
      () => stack.vllmCluster("gate"),
    );
    assert.notEqual(code, 0);
    assert.match(text, /hostPaths\.npuSmi/);
    assert.match(text, /\/usr\/local\/sbin\/npu-smi/);
  });

  it("are clean after destroy", async () => {
    const { code, text } = await stack.pulumi("destroy", "--yes", "--skip-preview");
    assert.equal(code, 0, text);
    for (const { name } of stack.lab.nodes) {
      const left = await stack.lab.must(
        name,
        "ls /var/lib/vllm-cluster 2>/dev/null; docker ps -a --format '{{.Names}}'; ls /etc/systemd/system | grep vllm || true",
      );
      assert.equal(left, "", name);
    }
  });
});
