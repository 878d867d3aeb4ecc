// Wiring: which resources exist, with which inputs, options and order. Mocks do not show diffs, the order at run time, or
// anything that happens on a host.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as pulumi from "@pulumi/pulumi";
import { InferenceCluster } from "../../components/index.js";
import { parseSmokePlan } from "../../core/smoke/parse-smoke-plan.js";
import type { ClusterSpecInput, Topology } from "../../core/spec/cluster-spec.js";
import { assertGolden } from "../support/golden.js";
import {
  isSecretValue,
  type RegisteredResource,
  revealed,
  runWithMocks,
} from "../support/mocks.js";
import { rawCluster } from "../support/specs.js";

const SETTINGS = { project: "vllm-ascend", stack: "production", organization: "acme" };

async function register(
  change: (raw: ClusterSpecInput) => void = () => undefined,
  apiKey?: pulumi.Input<string>,
  topology: Topology = "ray",
): Promise<RegisteredResource[]> {
  const raw = rawCluster({ topology });
  change(raw);
  return runWithMocks(async () => {
    const cluster = new InferenceCluster({ cluster: raw, apiKey });
    return { endpoint: cluster.endpoint };
  }, SETTINGS);
}

const byName = (resources: RegisteredResource[], name: string): RegisteredResource => {
  const found = resources.find(
    (resource) => resource.name === name && !resource.type.startsWith("vllm-ascend:"),
  );
  assert.ok(found, `no resource ${name}`);
  return found;
};

/** The codes that a preview warns of, in their order. */
async function warnings(
  change: (raw: ClusterSpecInput) => void,
  apiKey?: string,
): Promise<string[]> {
  const raw = rawCluster();
  change(raw);
  const codes: string[] = [];
  await runWithMocks(
    async () => new InferenceCluster({ cluster: raw, apiKey }),
    SETTINGS,
    (text) => codes.push(/[A-Z][A-Z0-9_]+/.exec(text)?.[0] ?? text),
  );
  return codes;
}

describe("InferenceCluster", () => {
  let resources: RegisteredResource[];
  before(async function () {
    this.timeout(30_000);
    resources = await register(undefined, pulumi.secret("canary-key"));
  });

  it("registers the resources of the golden list, each under its parent", () => {
    const lines = resources.map(({ type, name, parent }) => `${parent} > ${type}::${name}`).sort();
    assertGolden("components/urns.txt", `${lines.join("\n")}\n`);
  });

  it("warns with the codes of lint, and not of what the stack accepts", async () => {
    assert.deepEqual(await warnings(() => undefined), [
      "TRUST_REMOTE_CODE_UNPINNED",
      "RAY_PIPELINE_EXPERT_PARALLEL",
      "RAY_WITHOUT_AUTHENTICATION",
      "API_KEY_MISSING",
    ]);
    assert.deepEqual(
      await warnings((raw) => {
        raw.serve.trustRemoteCode = false;
        raw.lint = {
          accept: [{ code: "RAY_WITHOUT_AUTHENTICATION", reason: "the network is their own" }],
        };
      }, "a key"),
      ["RAY_PIPELINE_EXPERT_PARALLEL"],
    );
  });

  it("refuses an error of lint before it creates anything, and warns of an accepted one", async () => {
    const change = (raw: ClusterSpecInput) => {
      raw.env = { VLLM_SERVER_DEV_MODE: "1" };
      raw.serve.trustRemoteCode = false;
    };
    await assert.rejects(register(change), (error: Error) => {
      assert.ok(error instanceof pulumi.RunError);
      assert.match(
        error.message,
        /lint\.accept .*\n {2}DEVELOPMENT_SERVER env\.VLLM_SERVER_DEV_MODE: /,
      );
      return true;
    });
    const codes = await warnings((raw) => {
      change(raw);
      raw.lint = { accept: [{ code: "DEVELOPMENT_SERVER", reason: "a laboratory" }] };
    });
    assert.ok(codes.includes("DEVELOPMENT_SERVER"), codes.join());
  });

  it("waits with every container for files, secrets and images of all nodes and for the preflight", () => {
    for (const node of ["node0", "node1"]) {
      const { dependencies } = byName(resources, `qwen-${node}-container`);
      for (const needed of [
        "node0-files",
        "node1-files",
        "node0-secrets",
        "node1-secrets",
        "node0-image",
        "node1-image",
        "preflight",
      ]) {
        assert.ok(
          dependencies.some((urn) => urn.endsWith(`::qwen-${needed}`)),
          `${node} container does not wait for ${needed}`,
        );
      }
    }
  });

  it("stages no node before the preflight has passed", () => {
    const waitsFor = (step: string, needed: string) => {
      const { dependencies } = byName(resources, `qwen-${step}`);
      assert.ok(
        dependencies.some((urn) => urn.endsWith(`::qwen-${needed}`)),
        `${step} does not wait for ${needed}`,
      );
    };
    for (const node of ["node0", "node1"]) {
      waitsFor(`${node}-files`, "preflight");
      for (const step of ["secrets", "image"]) waitsFor(`${node}-${step}`, `${node}-files`);
    }
    waitsFor("node0-group-token", "node0-files");
  });

  it("loads an archive before it asks docker for the image, and downloads a model in the image", async () => {
    const id = `sha256:${"1".repeat(64)}`;
    const revision = "0".repeat(40);
    const arriving = await register((raw) => {
      const { reference } = raw.image;
      raw.image = { reference, source: "archive", id, archive: "/data/image.tar" };
      const repository = "Qwen/Qwen3-8B";
      raw.model = { path: "/data/new", source: "huggingface", repository, revision };
    });
    for (const node of ["node0", "node1"]) {
      const load = byName(arriving, `qwen-${node}-image-load`);
      assert.equal(load.inputs["stdin"], `id\t${id}\narchive\t/data/image.tar\n`);
      const { dependencies } = byName(arriving, `qwen-${node}-image`);
      assert.ok(dependencies.some((urn) => urn.endsWith(`::qwen-${node}-image-load`)));
      const model = byName(arriving, `qwen-${node}-model`);
      assert.deepEqual((model.inputs["stdin"] as string).split("\n"), [
        "path\t/data/new",
        "timeoutSec\t21600",
        "source\thuggingface",
        "repository\tQwen/Qwen3-8B",
        `revision\t${revision}`,
        "endpoint\thttps://huggingface.co",
        `image\tqwen-${node}-image-image`,
        "",
      ]);
      assert.ok(model.dependencies.some((urn) => urn.endsWith(`::qwen-${node}-image`)));
      for (const waiting of ["node0", "node1"]) {
        const { dependencies: needed } = byName(arriving, `qwen-${waiting}-container`);
        assert.ok(needed.some((urn) => urn.endsWith(`::qwen-${node}-model`)));
      }
    }
  });

  it("commits Ray after all containers and boot units, and serve after Ray", () => {
    const ray = byName(resources, "qwen-ray-commit").dependencies.join();
    for (const step of [...STARTED, "smoke"]) {
      assert.ok(ray.includes(`::qwen-${step}`), step);
    }
    const serve = byName(resources, "qwen-serve-commit").dependencies.join();
    assert.ok(serve.includes("::qwen-ray-commit"));
  });

  it("tries NPUs and network after all containers, with what is planned and no secret", () => {
    const { dependencies, inputs } = byName(resources, "qwen-smoke");
    for (const step of STARTED) assert.ok(dependencies.join().includes(`::qwen-${step}`), step);
    assert.equal(inputs["create"], "npx --no vllm-cluster smoke");
    const plan = parseSmokePlan(JSON.parse(inputs["stdin"] as string));
    assert.equal(plan.nodes[1]!.env["HCCL_IF_IP"], "10.0.0.12");
    assert.ok(!JSON.stringify(inputs).includes("canary"));
  });

  it("names container ids and secret versions in the manifests and never uses triggers", () => {
    const serve = JSON.parse(byName(resources, "qwen-serve-commit").inputs["stdin"] as string);
    assert.deepEqual(serve.containers, {
      node0: "qwen-node0-container-id",
      node1: "qwen-node1-container-id",
    });
    assert.deepEqual(serve.secrets, {
      node0: "qwen-node0-secrets-id",
      node1: "qwen-node1-secrets-id",
    });
    for (const resource of resources) assert.equal(resource.inputs["triggers"], undefined);
  });

  it("pins the host key of every remote command and leaves credentials to the agent", () => {
    const commands = resources.filter(({ type }) => type === "command:remote:Command");
    assert.ok(commands.length >= 8);
    for (const { name, inputs, deleteBeforeReplace, hideDiffs } of commands) {
      const connection = revealed(inputs["connection"]) as Record<string, unknown>;
      assert.match(connection["hostKey"] as string, /^ssh-ed25519 /, name);
      assert.deepEqual(
        Object.keys(connection).sort(),
        ["dialErrorLimit", "host", "hostKey", "perDialTimeout", "port", "user"],
        name,
      );
      assert.equal(inputs["addPreviousOutputInEnv"], false, name);
      assert.equal(deleteBeforeReplace, true, name);
      assert.deepEqual(hideDiffs, ["connection"], name);
    }
  });

  it("pins the host key of docker's transport without any file of this machine", () => {
    const { inputs } = byName(resources, "qwen-node0-docker");
    assert.equal(inputs["host"], "ssh://root@10.0.0.11:22");
    const options = JSON.stringify(inputs["sshOpts"]);
    assert.match(options, /KnownHostsCommand=\/bin\/echo node0 ssh-ed25519 /);
    assert.match(options, /StrictHostKeyChecking=yes/);
    assert.doesNotMatch(options, /\/root|\/home/);
  });

  it("goes through the bastion with its own pinned key, for commands and for docker", async function () {
    this.timeout(30_000);
    const hostKey = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"B".repeat(43)}`;
    const jumping = await register((raw) => {
      raw.ssh = { bastion: { address: "192.0.2.9", user: "jump", hostKey } };
    });
    for (const name of ["qwen-node0-files", "qwen-node1-secrets", "qwen-serve-commit"]) {
      const connection = revealed(byName(jumping, name).inputs["connection"]);
      const { proxy } = connection as { readonly proxy: Record<string, unknown> };
      const { host, user, port } = proxy;
      assert.deepEqual([host, user, port, proxy["hostKey"]], ["192.0.2.9", "jump", 22, hostKey]);
    }
    const options = JSON.parse(
      byName(jumping, "qwen-node1-docker").inputs["sshOpts"] as string,
    ) as string[];
    const proxy = options.at(-1)!.replace(/^ProxyCommand=/, "");
    const { stdout } = spawnSync("sh", ["-c", `ssh() { printf '%s\\n' "$@"; }; ${proxy}`], {
      encoding: "utf8",
    });
    const words = stdout.trim().split("\n");
    assert.deepEqual(words.slice(-7), ["-l", "jump", "-p", "22", "-W", "%h:%p", "192.0.2.9"]);
    assert.ok(words.includes(`KnownHostsCommand=/bin/echo bastion ${hostKey}`));
    assert.ok(words.includes("StrictHostKeyChecking=yes"));
  });

  it("keeps the API key out of every input but the head's secret file, where it is marked secret", () => {
    const key = Buffer.from("canary-key").toString("base64");
    for (const { name, inputs } of resources) {
      const text = JSON.stringify(inputs);
      if (name === "qwen-node0-secrets") {
        assert.ok(isSecretValue(inputs["stdin"]));
        assert.ok(text.includes(key));
      } else {
        assert.ok(!text.includes(key) && !text.includes("canary-key"), name);
      }
    }
  });

  it("replaces a secret file when its content changes, so that its id names the version", () => {
    const { replaceOnChanges, additionalSecretOutputs } = byName(resources, "qwen-node0-secrets");
    assert.ok(replaceOnChanges.includes("stdin"));
    assert.ok(additionalSecretOutputs.includes("stdout"));
  });

  it("gives the container the planned devices and mounts, no privileges and no restart policy of docker's", () => {
    const { inputs } = byName(resources, "qwen-node1-container");
    assert.equal(inputs["privileged"], undefined);
    assert.equal(inputs["restart"], "no");
    assert.equal(inputs["networkMode"], "host");
    assert.equal((inputs["devices"] as unknown[]).length, 11);
    assert.equal(inputs["envs"], undefined, "environment lives in the releases");
    assert.ok(Number(inputs["destroyGraceSeconds"]) > 60);
  });

  for (const topology of ["data-parallel", "multiprocessing"] as const) {
    it(`commits serve alone under ${topology}, after all containers and boot units, with every node in view`, async function () {
      this.timeout(30_000);
      const withoutRay = await register(undefined, pulumi.secret("canary-key"), topology);
      const list = (all: RegisteredResource[]) => all.map(({ urn }) => urn).sort();
      assert.deepEqual(
        list(withoutRay),
        list(resources).filter((urn) => !/RayCluster|-ray-commit$/.test(urn)),
      );
      const { dependencies, inputs } = byName(withoutRay, "qwen-serve-commit");
      for (const step of [...STARTED, "smoke"]) {
        assert.ok(dependencies.join().includes(`::qwen-${step}`), step);
      }
      const manifest = JSON.parse(inputs["stdin"] as string);
      assert.equal(manifest.ray, null);
      assert.deepEqual(Object.keys(manifest.containers), ["node0", "node1"]);
      assert.equal(manifest.nodes.node1.address, "10.0.0.12");
      assert.equal(manifest.nodes.node1.args.headless, true);
    });
  }

  it("runs everything through sudo where the user is not root", async function () {
    this.timeout(30_000);
    const viaSudo = await register((raw) => {
      raw.ssh = { user: "ops", become: "sudo" };
    });
    for (const { type, name, inputs } of viaSudo) {
      if (type !== "command:remote:Command") continue;
      assert.match(inputs["create"] as string, /^sudo -n /, name);
      if (inputs["delete"] !== undefined)
        assert.match(inputs["delete"] as string, /^sudo -n /, name);
    }
  });

  it("refuses a bad configuration with every problem and registers nothing", async function () {
    this.timeout(30_000);
    const attempt = () =>
      register((raw) => {
        raw.serve.maxModelLen = 0;
        raw.name = "Bad Name";
      });
    await assert.rejects(attempt, (error: Error) => {
      assert.match(error.message, /has 2 problems/);
      assert.match(error.message, /serve\.maxModelLen/);
      assert.match(error.message, /name: must be lower-case/);
      return true;
    });
  });
});

const STARTED = ["node0-container", "node1-container", "node0-boot", "node1-boot"];
