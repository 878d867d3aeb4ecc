// The policy pack on the real engine: previews of a stack that keeps it, and of a program that breaks each rule. Without a host, so
// nothing about an update; the host of the pack's Node process is the test double where the official one cannot be had.
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { POLICIES } from "../../policy/policies.js";
import { LabProject } from "../../tools/lab-stack/project.mjs";
import { repoDir } from "../../tools/setup/paths.mjs";
import { rawCluster } from "../support/specs.js";
import { engineToolchain } from "../support/toolchain.js";

const PACK = join(repoDir, "policy");
const API_KEY = "canary-api-key";

/** Breaks every rule but those of a staged release, which a plain program does not have. */
const BAD_PROGRAM = `
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
new command.remote.Command("open", {
  connection: { host: "10.0.0.11", user: "root", password: "${API_KEY}" },
  create: "docker login --password ${API_KEY} registry",
});
const provider = new docker.Provider("anyhost", { host: "ssh://root@10.0.0.11:22" });
new docker.RemoteImage("latest", { name: "quay.io/ascend/vllm-ascend:latest" }, { provider });
new docker.Container("privileged", { image: "nginx", privileged: true }, { provider });
`;

describe("the policy pack on the engine", function () {
  this.timeout(300_000);
  let project: LabProject;

  before(async () => {
    const { env } = await engineToolchain();
    project = new LabProject({
      dir: mkdtempSync(join(tmpdir(), "policy-")),
      stack: "policy",
      env,
      agentSocket: "",
    });
    await project.init();
    await project.setApiKey(API_KEY);
  });
  after(() => project?.remove());

  async function preview(...args: string[]): Promise<{ code: number; text: string }> {
    const { code, stdout, stderr } = await project.pulumi(
      ["preview", "--stack", "policy", "--policy-pack", PACK, ...args],
      { quiet: true, allowFailure: true },
    );
    return { code, text: stdout + stderr };
  }

  it("lets pass what this library makes", async () => {
    await project.setCluster(rawCluster());
    const { code, text } = await preview();
    assert.equal(code, 0, text);
    assert.match(text, /vllm-ascend@v0/);
    for (const { name } of POLICIES) assert.ok(!text.includes(name), text);
  });

  it("stops a stack that listens on the internet, unless its configuration allows the network", async () => {
    const cluster = rawCluster();
    cluster.nodes[0]!.address = "203.0.113.7";
    await project.setCluster(cluster);
    const stopped = await preview();
    assert.notEqual(stopped.code, 0);
    assert.match(stopped.text, /no-public-binding/);
    assert.match(stopped.text, /serve on node0 listens on 203\.0\.113\.7/);
    const settings = join(project.dir, "policy.json");
    writeFileSync(
      settings,
      JSON.stringify({
        "no-public-binding": { allowedNetworks: ["203.0.113.0/24", "10.0.0.0/8"] },
      }),
    );
    const passed = await preview("--policy-pack-config", settings);
    assert.equal(passed.code, 0, passed.text);
  });

  it("stops a stack without an API key", async () => {
    await project.setCluster(rawCluster());
    await project.setConfig("apiKey", undefined);
    const { code, text } = await preview();
    await project.setApiKey(API_KEY);
    assert.notEqual(code, 0);
    assert.match(text, /vllm serve on node0 has no API key/);
  });

  it("names every rule that a program breaks, and shows no secret", async () => {
    writeFileSync(join(project.dir, "index.ts"), BAD_PROGRAM);
    const { code, text } = await preview();
    assert.notEqual(code, 0);
    for (const rule of [
      "host-keys-pinned",
      "agent-only",
      "no-privileged-container",
      "images-pinned",
      "no-secret-in-clear",
    ]) {
      assert.ok(text.includes(rule), `${rule} is not in:\n${text}`);
    }
    assert.match(text, /connection\.hostKey is not set/);
    assert.match(text, /sshOpts must have StrictHostKeyChecking=yes/);
  });
});
