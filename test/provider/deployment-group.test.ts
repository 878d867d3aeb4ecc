import assert from "node:assert/strict";
import { backendVersionHash } from "../../core/gpustack/deployment.js";
import { backendVersionInputs, type DeploymentGroupArgs } from "../../core/gpustack/inputs.js";
import { secret } from "../../provider/property-values.js";
import { FAKE_INFERENCE_KEY, FAKE_KEY, FakeGpustack } from "./fake-gpustack.js";
import { aPair, GROUP_URN, providerOn, Stack, VERSION, VERSION_URN } from "./support.js";

/** The group's life on the in-memory server. Does not prove what the real server does; test/gpustack/ does. */

describe("DeploymentGroup", () => {
  it("creates all members stopped, starts them together and waits until the head serves", async () => {
    const { fake, stack } = await aStack();
    assert.equal(await stack.up(aPair()), "create");
    assert.deepEqual(fake.writes().slice(1), [
      "POST /v2/models qwen-1 replicas=0",
      "POST /v2/models qwen-2 replicas=0",
      "PUT /v2/models/1 replicas=1",
      "PUT /v2/models/2 replicas=1",
    ]);
    assert.equal(stack.id, "qwen-1,qwen-2");
    assert.equal(stack.plain["route"], "qwen-1");
    assert.deepEqual(stack.plain["modelIds"], { "qwen-1": 1, "qwen-2": 2 });
    assert.deepEqual([...fake.routes], ["qwen-1"]);
    assert.equal(fake.instancesOf("qwen-1")[0]!.state, "running");
    assert.equal(fake.instancesOf("qwen-2")[0]!.state, "starting");
  });

  it("finds nothing to do for the same program, before and after a refresh, and asks nothing for it", async () => {
    const { fake, stack } = await created();
    const asked = fake.requests.length;
    assert.equal(await stack.up(aPair()), "same");
    assert.equal(fake.requests.length, asked);
    await stack.refresh();
    assert.equal(await stack.up(aPair()), "same");
  });

  it("restarts both members once for a changed variable of one", async () => {
    const { fake, stack } = await created();
    const before = [...fake.instances.keys()];
    const changed = aPair((group) => {
      group.members[1]!.env!["HCCL_BUFFSIZE"] = "1024";
    });
    const at = fake.writes().length;
    assert.equal(await stack.up(changed), "update");
    assert.deepEqual(
      fake
        .writes()
        .slice(at)
        .map((write) => write.split(" ").slice(1).join(" ")),
      [0, 0, 1].flatMap((replicas) => [1, 2].map((id) => `/v2/models/${id} replicas=${replicas}`)),
    );
    assert.ok([...fake.instances.keys()].every((id) => !before.includes(id)));
    assert.equal(fake.model("qwen-2").env["HCCL_BUFFSIZE"], "1024");
    assert.equal(fake.model("qwen-1").distributed_inference_across_workers, false);
    assert.equal(await stack.up(changed), "same");
  });

  it("changes a description in place", async () => {
    const { fake, stack } = await created();
    const before = [...fake.instances.keys()];
    const described = aPair((group) => {
      group.description = "the pair";
    });
    assert.equal(await stack.up(described), "update");
    assert.deepEqual([...fake.instances.keys()], before);
    assert.equal(fake.model("qwen-1")["description"], "the pair");
    assert.equal(fake.model("qwen-1").distributed_inference_across_workers, false);
    assert.equal(await stack.up(described), "same");
  });

  it("restarts for another image behind the same version", async () => {
    const { stack } = await created((group) => {
      group.backendVersionHash = "aa";
    });
    const other = aPair((group) => {
      group.backendVersionHash = "bb";
    });
    assert.equal(await stack.up(other), "update");
    assert.equal(await stack.up(other), "same");
  });

  it("replaces a group with other names, the old one first", async () => {
    const { fake, stack } = await created();
    const renamed = aPair((group) => {
      group.members[0]!.name = "qwen-3";
    });
    assert.equal(await stack.up(renamed), "replace");
    assert.deepEqual([...fake.models.values()].map(({ name }) => name).sort(), [
      "qwen-2",
      "qwen-3",
    ]);
  });

  it("stops and starts again by replicas", async () => {
    const { fake, stack } = await created();
    const stopped = aPair((group) => {
      group.replicas = 0;
    });
    assert.equal(await stack.up(stopped), "update");
    assert.equal(fake.instances.size, 0);
    await stack.refresh();
    assert.equal(await stack.up(stopped), "same");
    assert.equal(await stack.up(aPair()), "update");
    assert.equal(fake.instances.size, 2);
  });

  it("leaves nothing behind", async () => {
    const { fake, stack } = await created();
    await stack.destroy();
    assert.equal(fake.models.size, 0);
    assert.equal(fake.instances.size, 0);
  });

  it("is destroyed although somebody has deleted a member", async () => {
    const { fake, stack } = await created();
    fake.models.delete(1);
    await stack.destroy();
    assert.equal(fake.models.size, 0);
  });
});

describe("drift of a DeploymentGroup", () => {
  const drifts: Record<string, (fake: FakeGpustack) => void> = {
    "an edited variable": (fake) => {
      fake.model("qwen-2").env["HCCL_BUFFSIZE"] = "1";
    },
    "edited parameters": (fake) => {
      fake.model("qwen-1").backend_parameters = ["--seed=1"];
    },
    "another version": (fake) => {
      fake.model("qwen-2")["backend_version"] = "0.30.0";
    },
    "a member scaled to 0": (fake) => {
      Object.assign(fake.model("qwen-2"), { replicas: 0 });
      fake.instances.delete(fake.instancesOf("qwen-2")[0]!.id);
    },
    "a deleted member": (fake) => {
      fake.instances.delete(fake.instancesOf("qwen-2")[0]!.id);
      fake.models.delete(2);
    },
    "a head in error": (fake) => {
      Object.assign(fake.instancesOf("qwen-1")[0]!, { state: "error", state_message: "HCCL" });
    },
  };
  for (const [what, make] of Object.entries(drifts)) {
    it(`finds ${what} by a refresh, and repairs it with one restart of both`, async () => {
      const { fake, stack } = await created();
      make(fake);
      await stack.refresh();
      const before = new Set(fake.instances.keys());
      assert.equal(await stack.up(aPair()), "update");
      assert.deepEqual([...fake.instances.values()].map(({ state }) => state).sort(), [
        "running",
        "starting",
      ]);
      assert.ok([...fake.instances.keys()].every((id) => !before.has(id)));
      await stack.refresh();
      assert.equal(await stack.up(aPair()), "same");
    });
  }

  it("restarts too when the program takes over an edit: the running instances are older", async () => {
    const { fake, stack } = await created();
    fake.model("qwen-2").env["HCCL_BUFFSIZE"] = "1";
    await stack.refresh();
    const same = aPair((group) => {
      group.members[1]!.env!["HCCL_BUFFSIZE"] = "1";
    });
    assert.equal(await stack.up(same), "update");
    assert.equal(await stack.up(same), "same");
  });

  it("is gone when no member is left", async () => {
    const { fake, stack } = await created();
    fake.models.clear();
    await stack.refresh();
    assert.equal(stack.id, undefined);
  });

  it("ignores what the server computes", async () => {
    const { fake, stack } = await created();
    Object.assign(fake.model("qwen-1"), { meta: { x: 1 }, updated_at: "later", ready_replicas: 1 });
    await stack.refresh();
    assert.equal(await stack.up(aPair()), "same");
  });
});

describe("import of a DeploymentGroup", () => {
  it("takes over a running pair without a restart", async () => {
    const { fake } = await created();
    const other = new Stack(GROUP_URN, fake);
    await other.import("qwen-1,qwen-2");
    const at = fake.writes().length;
    const program = aPair((group) => {
      group.readyTimeoutSec = 600;
      group.backendVersionHash = backendVersionHash(backendVersionInputs.parse(VERSION));
    });
    await other.up(program);
    assert.deepEqual(fake.writes().slice(at), []);
    assert.equal(await other.up(program), "same");
  });

  it("takes over a pair whose parameters are written otherwise, and knows the version that it runs on", async () => {
    const { fake, stack } = await created();
    for (const { backend_parameters: entries } of fake.models.values()) {
      entries.reverse();
      entries.push('--speculative_config \'{"b": 1, "a": 2}\'', "--gpu-memory-utilization 0.90");
    }
    await stack.import("qwen-1,qwen-2");
    assert.match(String(stack.plain["backendVersionHash"]), /^[0-9a-f]{16}$/);
    const writes = fake.writes().length;
    const same = aPair((group) => {
      group.readyTimeoutSec = 3600;
      for (const { backendParameters: entries } of group.members) {
        entries!.unshift(`--speculative-config='{"a":2,"b":1}'`, "--gpu-memory-utilization=0.9");
      }
    });
    assert.equal(await stack.up(same), "same");
    assert.equal(await stack.up({ ...same, backendVersionHash: "0".repeat(16) }), "update");
    assert.ok(fake.writes().length > writes);
  });

  it("marks variables as secret that are so by their names", async () => {
    const { fake, stack } = await created();
    fake.model("qwen-1").env["HF_TOKEN"] = "canary";
    const inputs = await stack.import("qwen-1,qwen-2");
    for (const answer of [inputs, stack.state]) {
      const { members } = answer as unknown as { members: { env: Record<string, object> }[] };
      assert.deepEqual(Object.values(members[0]!.env["HF_TOKEN"]!).at(-1), "canary");
      assert.equal(typeof members[0]!.env["HCCL_IF_IP"], "string");
    }
  });

  it("says which deployment there is none of", async () => {
    const { fake } = await created();
    await assert.rejects(
      new Stack(GROUP_URN, fake).import("qwen-1,qwen-9"),
      /no deployment qwen-9/,
    );
  });
});

describe("a start that fails", () => {
  it("is told with the worker's own words, and the program that worked heals it", async () => {
    const { fake, stack } = await created();
    const broken = aPair((group) => {
      group.members[1]!.env!["FAKE_FAIL"] = "HCCL init failed: ret 7";
    });
    await assert.rejects(
      stack.up(broken),
      /qwen-2=.*HCCL init failed: ret 7|does not start: .*qwen-2=/,
    );
    assert.match(String(stack.plain["problem"]), /does not start/);
    assert.equal(await stack.up(aPair()), "update");
    assert.equal(fake.instancesOf("qwen-1")[0]!.state, "running");
    assert.equal(await stack.up(aPair()), "same");
  });

  it("is tried again by the same program", async () => {
    const { fake, stack } = await created();
    const broken = aPair((group) => {
      group.members[1]!.env!["FAKE_FAIL"] = "HCCL";
    });
    await assert.rejects(stack.up(broken));
    await assert.rejects(stack.up(broken), /does not start/);
    assert.equal(fake.models.size, 2);
  });

  it("ends after readyTimeoutSec with the state of each member", async () => {
    const { fake, stack } = await aStack();
    fake.backends.get("vLLM")!.version_configs["other-custom"] = {};
    const never = aPair((group) => {
      group.readyTimeoutSec = 20;
      group.backendVersion = "0.30.0";
    });
    await assert.rejects(
      stack.up(never),
      /not ready after 20 s: qwen-1=pending: no suitable worker/,
    );
    assert.equal(stack.id, "qwen-1,qwen-2");
    await stack.destroy();
    assert.equal(fake.models.size, 0);
  });

  it("on the first create leaves a state by which destroy finds everything", async () => {
    const { fake, stack } = await aStack();
    fake.fail(/^POST \/v2\/models/, "dropped", 0);
    const broken = aPair((group) => {
      group.members[0]!.env!["FAKE_FAIL"] = "out of memory";
      group.restartOnError = false;
    });
    await assert.rejects(stack.up(broken), /qwen-1=error: out of memory/);
    await stack.destroy();
    assert.equal(fake.models.size, 0);
  });

  it("stops waiting when the operator interrupts, and knows what there is", async () => {
    const { fake, stack } = await aStack();
    fake.after(6000, () => void stack.provider.cancel());
    const held = aPair((group) => {
      group.backendVersion = "0.30.0";
    });
    await assert.rejects(stack.up(held), /interrupted while it starts/);
    assert.deepEqual(stack.plain["modelIds"], { "qwen-1": 1, "qwen-2": 2 });
  });
});

describe("a server that does not answer", () => {
  for (const [what, kind] of [
    ["was created all the same", "lost"],
    ["was not created", "dropped"],
    ["had its connection closed", "refused"],
  ] as const) {
    it(`to a POST: the member that ${what} is there once`, async () => {
      const { fake, stack } = await aStack();
      fake.fail(/^POST \/v2\/models/, kind);
      assert.equal(await stack.up(aPair()), "create");
      assert.deepEqual([...fake.models.values()].map(({ name }) => name).sort(), [
        "qwen-1",
        "qwen-2",
      ]);
    });

    it(`to a PUT that ${what.replace("created", "done")}: the update ends as asked`, async () => {
      const { fake, stack } = await created();
      fake.fail(/^PUT \/v2\/models\/2/, kind);
      const changed = aPair((group) => {
        group.members[1]!.env!["X"] = "1";
      });
      assert.equal(await stack.up(changed), "update");
      assert.equal(fake.model("qwen-2").env["X"], "1");
      assert.equal(fake.model("qwen-2").replicas, 1);
    });
  }

  it("to a DELETE: nothing is left", async () => {
    const { fake, stack } = await created();
    fake.fail(/^DELETE/, "lost");
    await stack.destroy();
    assert.equal(fake.models.size, 0);
  });

  it("restarts in the middle of a rollout: the rollout goes on", async () => {
    const { fake, stack } = await aStack();
    fake.after(1500, () => {
      fake.isDown = true;
    });
    fake.after(90_000, () => {
      fake.isDown = false;
    });
    assert.equal(await stack.up(aPair()), "create");

    assert.ok(stack.lines.some((line) => /no answer/.test(line)));
  });

  it("and never comes back: the error names it, and not the key", async () => {
    const { fake, stack } = await aStack();
    fake.isDown = true;
    await assert.rejects(stack.up(aPair()), (error: Error) => {
      assert.match(error.message, /no answer from http:\/\/gpustack\.test .*ECONNREFUSED/);
      assert.ok(!error.message.includes(FAKE_KEY));
      return true;
    });
    assert.equal(stack.id, undefined);
  });
});

describe("what the server would take without a word", () => {
  const refused: [string, (group: DeploymentGroupArgs, fake: FakeGpustack) => void, RegExp][] = [
    [
      "a worker that does not exist",
      (group) => {
        group.members[1]!.gpuIds = group.members[1]!.gpuIds.map((id) =>
          id.replace("node-b", "node-z"),
        );
      },
      /members\[1\]\.gpuIds: there is no worker node-z; GPUStack has node-a, node-b, node-c/,
    ],
    [
      "a worker that is not ready",
      (_group, fake) => {
        fake.workers.get("node-b")!.state = "not_ready";
      },
      /members\[1\]\.gpuIds: worker node-b is not_ready/,
    ],
    [
      "an NPU index that does not exist",
      (group) => {
        group.members[1]!.gpuIds = group.members[1]!.gpuIds.map((id) => id.replace(":7", ":8"));
      },
      /no NPU node-b:cann:8; it has node-b:cann:0-7/,
    ],
    [
      "a version that does not exist",
      (group) => {
        group.backendVersion = "0.99-custom";
      },
      /backendVersion: backend vLLM has no version 0\.99-custom; .*0\.18\.0rc1-custom/,
    ],
    [
      "a backend that does not exist",
      (group) => {
        group.backend = "vllm";
      },
      /backend: the cluster has no backend vllm; it has vLLM/,
    ],
    [
      "another worker's address",
      (group) => {
        group.members[1]!.env!["HCCL_IF_IP"] = "10.0.0.9";
      },
      /members\[1\]\.env\.HCCL_IF_IP: must be 10\.0\.0\.2, the address of node-b, got 10\.0\.0\.9/,
    ],
    [
      "another interface",
      (group) => {
        group.members[0]!.env!["HCCL_SOCKET_IFNAME"] = "eth0";
      },
      /must be enp67s0f0, the interface of node-a, got eth0/,
    ],
  ];
  for (const [what, make, message] of refused) {
    it(`is refused before anything is created: ${what}`, async () => {
      const { fake, stack } = await aStack();
      const inputs = aPair((group) => make(group, fake));
      await assert.rejects(stack.up(inputs), message);
      assert.equal(fake.models.size, 0);
      assert.equal(stack.id, undefined);
    });
  }

  it("is refused while the running group goes on", async () => {
    const { fake, stack } = await created();
    const before = [...fake.instances.keys()];
    const wrong = aPair((group) => {
      group.backendVersion = "0.99-custom";
    });
    await assert.rejects(stack.up(wrong), /has no version/);
    assert.deepEqual([...fake.instances.keys()], before);
    assert.equal(await stack.up(aPair()), "same");
  });

  it("names the deployment that holds an NPU", async () => {
    const { fake } = await created();
    const other = new Stack(GROUP_URN, fake);
    const second = aPair((group) => {
      group.members.forEach((member, index) => {
        member.name = `other-${index}`;
      });
    });
    await assert.rejects(other.up(second), /node-a:cann:0 by qwen-1, .*node-a:cann:7 by qwen-1/);
    assert.equal(fake.models.size, 2);
  });

  it("names a deployment of the same name, and how to import it", async () => {
    const { fake } = await created();
    await assert.rejects(
      new Stack(GROUP_URN, fake).up(aPair()),
      /deployment qwen-1 already: import the group .*"qwen-1,qwen-2"/,
    );
    assert.equal(fake.models.size, 2);
  });
});

describe("secrets of a DeploymentGroup", () => {
  const TOKEN = "hf_canary_0123456789";
  const withToken = () =>
    aPair((group) => {
      group.members[0]!.env!["HF_TOKEN"] = secret(TOKEN) as unknown as string;
    });

  it("stay wrapped in what create, read and update answer", async () => {
    const { stack } = await aStack();
    await stack.up(withToken());
    const isWrapped = () => {
      const member = (stack.state["members"] as { env: Record<string, unknown> }[])[0]!;
      assert.deepEqual(member.env["HF_TOKEN"], secret(TOKEN));
    };
    isWrapped();
    await stack.refresh();
    isWrapped();
    assert.equal(await stack.up(withToken()), "same");
    await stack.up({ ...withToken(), description: "x" });
    isWrapped();
  });

  it("are in no error and in no line of progress", async () => {
    const { fake, stack } = await aStack();
    const leaky = {
      ...withToken(),
      url: secret("http://gpustack.test"),
      apiKey: secret(FAKE_KEY),
    } as Record<string, unknown>;
    (leaky["members"] as { env: Record<string, unknown> }[])[1]!.env["FAKE_FAIL"] =
      `token ${TOKEN}`;
    await assert.rejects(stack.up(leaky), (error: Error) => {
      assert.ok(!error.message.includes(TOKEN), error.message);
      assert.match(error.message, /<members\[0\]\.env\.HF_TOKEN>/);
      return true;
    });
    assert.ok(stack.lines.every((line) => !line.includes(TOKEN)));
    assert.deepEqual(stack.state["apiKey"], secret(FAKE_KEY));
    assert.ok(!JSON.stringify(stack.plain["problem"]).includes(TOKEN));
    assert.equal(fake.models.size, 2);
  });

  it("are not repeated from a validation error of the server", async () => {
    const { fake } = await aStack();
    const { provider } = providerOn(fake);
    const inputs = aPair();
    (inputs["members"] as { env: Record<string, unknown> }[])[1]!.env = {
      ...(inputs["members"] as { env: Record<string, unknown> }[])[1]!.env,
      HF_TOKEN: TOKEN,
      NUMBER: 1,
    };
    // Past `check`, as after a change of the server's own rules.
    const defaults = {
      backend: "vLLM",
      replicas: 1,
      categories: [],
      restartOnError: true,
      maxRestarts: 3,
    };
    await assert.rejects(provider.create(GROUP_URN, { ...inputs, ...defaults }), (error: Error) => {
      assert.match(error.message, /env\.NUMBER: Input should be a valid string/);
      assert.ok(!error.message.includes(TOKEN));
      return true;
    });
  });
});

describe("the connection", () => {
  it("is told with both variables when it is missing", async () => {
    const { provider } = providerOn(new FakeGpustack(), { GPUSTACK_URL: "", GPUSTACK_API_KEY: "" });
    await assert.rejects(
      provider.create(GROUP_URN, aPair()),
      /set GPUSTACK_URL .* and GPUSTACK_API_KEY .* in the environment/,
    );
  });

  it("with a wrong key is told with the way out", async () => {
    const { provider } = providerOn(new FakeGpustack(), { GPUSTACK_API_KEY: "gpustack_wrong_key" });
    await assert.rejects(provider.create(GROUP_URN, aPair()), (error: Error) => {
      assert.match(
        error.message,
        /401 Invalid authentication credentials; the API key is missing, wrong/,
      );
      assert.ok(!error.message.includes("gpustack_wrong_key"));
      return true;
    });
  });

  it("may change without touching the group", async () => {
    const { fake, stack } = await created();
    const at = fake.writes().length;
    const inputs = { ...aPair(), url: secret("http://gpustack.test"), apiKey: secret(FAKE_KEY) };
    assert.equal(await stack.up(inputs), "update");
    assert.deepEqual(fake.writes().slice(at), []);
    assert.equal(await stack.up(inputs), "same");
  });
});

describe("with a key of scope inference", () => {
  it("a start ends with an answered completion, without thinking", async () => {
    const { fake, stack } = await aStack();
    fake.routeDelay = 2;
    await stack.up({ ...aPair(), inferenceKey: secret(FAKE_INFERENCE_KEY) });
    const [{ model, chat_template_kwargs: options }] = fake.completions as [
      Record<string, unknown>,
    ];
    assert.equal(model, "qwen-1");
    assert.deepEqual(options, { enable_thinking: false });
    assert.deepEqual(stack.state["inferenceKey"], secret(FAKE_INFERENCE_KEY));
  });

  it("a key of another scope is told at once, and what runs is in the state", async () => {
    const { stack } = await aStack();
    const wrong = { ...aPair(), inferenceKey: secret(FAKE_KEY) };
    await assert.rejects(stack.up(wrong), /403 .*a completion needs a key of scope inference/);
    assert.equal(stack.id, "qwen-1,qwen-2");
  });
});

async function aStack() {
  const fake = new FakeGpustack();
  await new Stack(VERSION_URN, fake).up(VERSION);
  return { fake, stack: new Stack(GROUP_URN, fake) };
}

async function created(change?: (group: DeploymentGroupArgs) => void) {
  const { fake, stack } = await aStack();
  await stack.up(aPair(change));
  return { fake, stack };
}
