import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { apiTarget } from "../../cli/answer.js";
import { UsageError } from "../../cli/errors.js";
import { loadStack, loadStackPlan, type StackOptions, selectNodes } from "../../cli/stack.js";
import { rawCluster } from "../support/specs.js";

describe("loadStackPlan", () => {
  let dir: string;
  const home = process.cwd();

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "stack-"));
    mkdirSync(join(dir, "stacks"));
    mkdirSync(join(dir, "below"));
    write("Pulumi.yaml", { name: "serving", runtime: "nodejs", stackConfigDir: "stacks" });
    write("stacks/Pulumi.prod.yaml", { config: { "serving:cluster": rawCluster() } });
    process.chdir(dir);
  });

  afterEach(() => {
    process.chdir(home);
    rmSync(dir, { recursive: true });
  });

  function write(path: string, content: object | string): void {
    writeFileSync(join(dir, path), typeof content === "string" ? content : stringify(content));
  }

  function refusal(options: StackOptions): string {
    try {
      loadStackPlan(options);
    } catch (error) {
      assert.ok(error instanceof UsageError, String(error));
      return error.message;
    }
    assert.fail("was accepted");
  }

  it("finds the file where Pulumi.yaml says, also from a folder below", () => {
    process.chdir("below");
    const plan = loadStackPlan({ stack: "prod" });
    assert.equal(plan.cluster, "qwen");
    assert.equal(plan.owner, "organization/serving/prod");
  });

  it("takes organization and project from a full name", () => {
    assert.equal(loadStackPlan({ stack: "acme/serving/prod" }).owner, "acme/serving/prod");
  });

  it("takes a file by its path, and the stack's name from it", () => {
    write("below/Pulumi.other.yaml", { config: { "serving:cluster": rawCluster() } });
    const plan = loadStackPlan({ file: "below/Pulumi.other.yaml" });
    assert.equal(plan.owner, "organization/serving/other");
    assert.equal(refusal({ file: "below/cluster.yaml" }).includes("--stack"), true);
  });

  it("knows an API key by its presence, encrypted or not", () => {
    const curl = (apiKey: unknown) => {
      write("stacks/Pulumi.prod.yaml", {
        config: {
          "serving:cluster": rawCluster(),
          ...(apiKey ? { "serving:apiKey": apiKey } : {}),
        },
      });
      return loadStackPlan({ stack: "prod" }).endpoint.curl;
    };
    assert.doesNotMatch(curl(undefined), /VLLM_API_KEY/);
    assert.match(curl("plain-canary"), /\$VLLM_API_KEY/);
    assert.match(curl({ secure: "v1:canary" }), /\$VLLM_API_KEY/);
    assert.doesNotMatch(JSON.stringify(loadStackPlan({ stack: "prod" })), /canary/);
  });

  it("finds server and key of a stack through GPUStack, and says what to use instead of commands for hosts", () => {
    const cluster = rawCluster({ topology: "data-parallel" });
    for (const node of cluster.nodes) delete (node as { hostKey?: string }).hostKey;
    write("stacks/Pulumi.prod.yaml", {
      config: { "serving:cluster": cluster, "serving:gpustack": {} },
    });
    assert.equal(loadStack({ stack: "prod" }).gpustack?.plan.model, "qwen");
    assert.throws(
      () => loadStackPlan({ stack: "prod" }, "its page shows the logs"),
      /stack prod is deployed through GPUStack: its page shows the logs/,
    );
    assert.throws(() => apiTarget({ stack: "prod", timeout: 1 }), /export GPUSTACK_URL, or set/);
    process.env["GPUSTACK_URL"] = "http://gpustack.test/";
    process.env["GPUSTACK_INFERENCE_KEY"] = "canary";
    try {
      const { endpoint, model, apiKey } = apiTarget({ stack: "prod", timeout: 1 });
      assert.deepEqual([endpoint, model, apiKey], ["http://gpustack.test/v1", "qwen", "canary"]);
    } finally {
      delete process.env["GPUSTACK_URL"];
      delete process.env["GPUSTACK_INFERENCE_KEY"];
    }
  });

  it("lists every problem of the stack file", () => {
    const cluster = {
      ...rawCluster(),
      socketInterface: "",
      serve: { ...rawCluster().serve, port: 80 },
    };
    write("stacks/Pulumi.prod.yaml", { config: { "serving:cluster": cluster } });
    const message = refusal({ stack: "prod" });
    assert.match(message, /Pulumi\.prod\.yaml: the cluster configuration has 2 problems:\n/);
    assert.match(message, /\n {2}socketInterface: /);
    assert.match(message, /\n {2}serve\.port: /);
  });

  const mistakes: readonly [title: string, path: string, content: object | string, says: RegExp][] =
    [
      ["no such key", "stacks/Pulumi.prod.yaml", { config: { a: 1 } }, /no key serving:cluster/],
      ["no config", "stacks/Pulumi.prod.yaml", { secretsprovider: "x" }, /no map below config:/],
      [
        "broken YAML",
        "stacks/Pulumi.prod.yaml",
        "config: [",
        /Pulumi\.prod\.yaml cannot be read: /,
      ],
      ["an empty file", "stacks/Pulumi.prod.yaml", "", /is not a YAML map/],
      ["a project without name", "Pulumi.yaml", { runtime: "nodejs" }, /has no name/],
    ];
  for (const [title, path, content, says] of mistakes) {
    it(`refuses ${title}`, () => {
      write(path, content);
      assert.match(refusal({ stack: "prod" }), says);
    });
  }

  it("says what is missing when nothing is named or found", () => {
    assert.match(refusal({}), /which stack\? Add --stack <name>/);
    assert.match(refusal({ stack: "nope" }), /no stack file .*stacks\/Pulumi\.nope\.yaml/);
    rmSync(join(dir, "Pulumi.yaml"));
    assert.match(refusal({ stack: "prod" }), /no Pulumi\.yaml in /);
  });
});

describe("selectNodes", () => {
  it("gives all nodes, or the one of that name", () => {
    const plan = { cluster: "qwen", nodes: [{ name: "node0" }, { name: "node1" }] } as never;
    assert.equal(selectNodes(plan, undefined).length, 2);
    assert.deepEqual(
      selectNodes(plan, "node1").map(({ name }) => name),
      ["node1"],
    );
    assert.throws(() => selectNodes(plan, "node9"), /has no node node9; it has node0, node1/);
  });
});
