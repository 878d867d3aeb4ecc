// A cluster's life through the real engine, SSH, docker and Ray, with the stand-in `vllm` of the Ray image: what a
// change restarts, what it shows before, and that nothing is left at the end. Real vLLM: vllm.test.ts. NPUs are stand-ins.
import assert from "node:assert/strict";
import { assertGolden } from "../support/golden.js";
import {
  API_KEY,
  BASE_DIR,
  CONTAINER,
  LabStack,
  previewOps,
  type Running,
} from "../support/lab-stack.js";
import { recordPreview } from "../support/recorded-preview.js";

describe("the life of a cluster", function () {
  this.timeout(600_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "ray" });
    for (const { name } of stack.lab.nodes) {
      await stack.lab.must(
        name,
        `mkdir -p /var/lib/vllm-cluster/other && echo foreign/project/stack > /var/lib/vllm-cluster/other/owner
         id=$(docker images -q | head -n 1); docker run -d --restart always --name foreign --network none "$id" sleep infinity`,
      );
    }
  });
  after(() => stack?.dispose());

  /** Applies a change and tells what was restarted. */
  async function restarted(
    edit: Parameters<LabStack["change"]>[0],
  ): Promise<Record<string, boolean>> {
    const before = await stack.running();
    await stack.change(edit);
    await stack.mustUp();
    await stack.complete();
    return differences(before, await stack.running());
  }

  it("comes up from bare hosts to an answered completion", async () => {
    recordPreview("first-start", await stack.preview());
    const text = await stack.mustUp();
    assert.match(text, /endpoint\s*: "http:\/\/10\.77\./);
    assert.ok((await stack.complete()).length > 0);
    const { state } = await stack.status();
    assert.equal(state, "ready");
  });

  it("guards the API with the key", async () => {
    const { address } = stack.lab.nodes[0]!;
    const response = await fetch(`http://${address}:8000/v1/models`);
    assert.equal(response.status, 401);
  });

  it("answers `vllm-cluster chat`, which takes the key from the stack's secret configuration", async () => {
    const { code, text } = await stack.vllmCluster("chat", "--thinking=off", "--json", "hello");
    assert.equal(code, 0, text);
    assert.ok(JSON.parse(text).text.length > 0);
  });

  it("exports endpoint, model, nodes with roles and ranks, and a curl that works as pasted", async () => {
    const outputs = await stack.project.outputs();
    assert.equal(outputs["model"], "qwen");
    assert.deepEqual(
      outputs["nodes"].map(({ role, ranks }: Record<string, string>) => [role, ranks]),
      [
        ["head", "0-1"],
        ["worker", "2-3"],
      ],
    );
    const { stdout } = await stack.project.run(
      ["bash", "-c", `export VLLM_API_KEY=${API_KEY}; ${outputs["curl"]} -sS`],
      { quiet: true },
    );
    assert.ok(JSON.parse(stdout).choices.length === 1);
  });

  it("changes nothing on a second up, and runs no command on any host", async () => {
    const before = await stack.running();
    const logins = await sshLogins();
    const text = await stack.mustUp();
    assert.match(text, /25 unchanged/);
    assert.deepEqual(await stack.running(), before);
    // The docker provider looks its containers and images up; a command would log in once more per resource.
    const used = (await sshLogins()) - logins;
    assert.ok(used <= 4, `${used} logins`);
  });

  const previews: [name: string, edit: Parameters<LabStack["change"]>[0]][] = [
    ["nothing", () => undefined],
    [
      "serve-flag",
      (cluster) => {
        cluster.serve.maxNumSeqs = 26;
      },
    ],
    [
      "ray-env",
      (cluster) => {
        cluster.env = { ...cluster.env, HCCL_BUFFSIZE: "512" };
      },
    ],
    [
      "image",
      (cluster) => {
        cluster.image.id = `sha256:${"0".repeat(64)}`;
      },
    ],
    [
      "host-key",
      (cluster) => {
        cluster.nodes[1]!.hostKey = cluster.nodes[0]!.hostKey;
      },
    ],
    [
      "devices",
      (cluster) => {
        for (const node of cluster.nodes) node.visibleDevices = [2, 3];
      },
    ],
    [
      "shared-memory",
      (cluster) => {
        cluster.container = { ...cluster.container, shmSizeGib: 2 };
      },
    ],
    [
      "one-node-less",
      (cluster) => {
        cluster.nodes.splice(1);
        cluster.serve.pipelineParallelSize = 1;
      },
    ],
  ];
  for (const [name, edit] of previews) {
    it(`previews a change of ${name} as the golden file says`, async () => {
      const preview = await stack.withChange(edit, () => stack.preview());
      const ops = previewOps(preview);
      recordPreview(name, preview);
      assertGolden(`lab/preview/${name}.txt`, `${ops.join("\n")}\n`);
    });
  }

  it("tells in a summary what a change restarts, and logs in to no host for it", async () => {
    const logins = await sshLogins();
    const { code, text } = await stack.withChange(
      (cluster) => {
        cluster.serve.maxNumSeqs = 26;
      },
      () => stack.vllmCluster("summary"),
    );
    assert.equal(code, 0, text);
    assert.match(text, /vLLM restarts on node0; everything else keeps running/);
    assert.match(text, /out for about \d+ s \(the last measured start of \d{4}-\d\d-\d\d\)/);
    assert.match(text, /args\.max-num-seqs: 25 -> 26/);
    assert.equal(await sshLogins(), logins);
  });

  it("shows a reviewer the one flag that changes", async () => {
    const { text } = await stack.withChange(
      (cluster) => {
        cluster.serve.maxNumSeqs = 26;
      },
      () => stack.pulumi("preview", "--diff"),
    );
    assert.match(text, /~ max-num-seqs\s*: "25" => "26"/);
    assert.ok(!text.includes(API_KEY));
  });

  it("refuses to stop the group that serves unless the stack agrees to this very plan, and touches nothing", async () => {
    const before = await stack.running();
    await stack.withChange(
      (cluster) => {
        cluster.container = { ...cluster.container, shmSizeGib: 2 };
      },
      async () => {
        await stack.withdrawConsent();
        const preview = await stack.pulumi("preview");
        assert.equal(preview.code, 0, preview.text);
        const [, hash] = /allowDowntimeFor ([0-9a-f]{16})/.exec(preview.text) ?? [];
        assert.ok(hash !== undefined, preview.text);
        const { code, text } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(text, /DOWNTIME_CONSENT/);
        assert.match(text, new RegExp(`allowDowntimeFor ${hash}`));
      },
    );
    assert.deepEqual(await stack.running(), before);
    assert.match(await stack.mustUp(), /unchanged/);
    assert.deepEqual(await stack.running(), before);
  });

  it("refuses a new API key without consent, though no host can tell", async () => {
    const before = await stack.running();
    await stack.withdrawConsent();
    await stack.project.setApiKey("a-key-nobody-agreed-to");
    const { code, text } = await stack.up();
    assert.notEqual(code, 0);
    assert.match(text, /this change stops a group that may be serving/);
    assert.deepEqual(await stack.running(), before);
    await stack.project.setApiKey(API_KEY);
    await stack.change(() => undefined);
    await stack.mustUp();
  });

  it("restarts serve only for a flag of serve", async () => {
    const result = await restarted((cluster) => {
      cluster.serve.maxNumSeqs = 16;
    });
    assert.deepEqual(result, { containers: false, ray: false, serve: true });
  });

  it("restarts Ray and serve for an environment variable", async () => {
    const result = await restarted((cluster) => {
      cluster.env = { ...cluster.env, HCCL_BUFFSIZE: "512" };
    });
    assert.deepEqual(result, { containers: false, ray: true, serve: true });
  });

  it("restarts nothing, and needs no consent, for what only supervisor and preflight read", async () => {
    const before = await stack.running();
    await stack.change((cluster) => {
      cluster.supervisor = { ...cluster.supervisor, maxFailures: 4, backoffMaxSec: 30 };
      cluster.timeouts = { ...cluster.timeouts, serveStartSec: 430, stopSec: 21 };
    });
    await stack.withdrawConsent();
    const { text } = await stack.vllmCluster("summary");
    assert.match(text, /nothing that runs is touched/);
    await stack.mustUp();
    assert.deepEqual(await stack.running(), before);
    const release = `${BASE_DIR}/in/releases/serve-${(await stack.status()).serve.hash}.json`;
    for (const { name } of stack.lab.nodes) {
      const { restart, stopTimeoutSec } = JSON.parse(await stack.lab.must(name, ["cat", release]));
      assert.deepEqual([restart.maxFailures, stopTimeoutSec], [4, 21], name);
    }
  });

  it("replaces the containers for another size of shared memory", async () => {
    const result = await restarted((cluster) => {
      cluster.container = { ...cluster.container, shmSizeGib: 2 };
    });
    assert.deepEqual(result, { containers: true, ray: true, serve: true });
  });

  it("restarts serve only when the API key is rotated", async () => {
    const before = await stack.running();
    await stack.project.setApiKey("another-canary-key");
    const preview = await stack.preview();
    recordPreview("api-key", preview);
    assertGolden("lab/preview/api-key.txt", `${previewOps(preview).join("\n")}\n`);
    await stack.mustUp();
    assert.deepEqual(differences(before, await stack.running()), {
      containers: false,
      ray: false,
      serve: true,
    });
    await assert.rejects(() => stack.complete(), /HTTP 401/);
    await stack.project.setApiKey(API_KEY);
    await stack.mustUp();
    await stack.complete();
  });

  it("keeps serving what ran when a new flag cannot start, and a revert is no change", async () => {
    const before = await stack.running();
    await stack.withChange(
      (cluster) => {
        // A flag that vLLM knows, so that only vLLM itself can refuse the value.
        cluster.serve.extraArgs = { dtype: "no-such-type" };
      },
      async () => {
        const { code, text } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(text, /node0/);
        assert.match(text, /argument --dtype: invalid choice: 'no-such-type'/);
        assert.ok(!text.includes(API_KEY));
      },
    );
    await stack.servesAgain(epochOf(before.serve), 120);
    assert.deepEqual(differences(before, await stack.running()), {
      containers: false,
      ray: true,
      serve: true,
    });
    assert.match(await stack.mustUp(), /unchanged/);
  });

  it("stops for the operator's switch, stays off over a reboot, and starts again", async () => {
    const before = epochOf((await stack.running()).serve);
    const stopped = await stack.vllmCluster("stop");
    assert.equal(stopped.code, 0, stopped.text);
    assert.equal((await stack.status()).state, "stopped");
    await stack.lab.reboot(stack.head);
    await stack.lab.must(
      stack.head,
      `for i in $(seq 60); do docker ps | grep -q ${CONTAINER} && break; sleep 1; done`,
    );
    assert.equal((await stack.status()).state, "stopped");
    const started = await stack.vllmCluster("start");
    assert.equal(started.code, 0, started.text);
    await stack.servesAgain(before, 120);
  });

  it("keeps the API key out of every process list, environment of Ray, log, state and status", async () => {
    for (const { name } of stack.lab.nodes) {
      const found = await stack.lab.must(
        name,
        `grep -rl ${API_KEY} ${BASE_DIR}/out /var/log 2>/dev/null | grep -v journal || true
         for p in /proc/[0-9]*; do
           tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -v grep | grep -q ${API_KEY} && echo "cmdline $p" || true
           if tr '\\0' '\\n' < $p/environ 2>/dev/null | grep -q '^VLLM_CLUSTER_PROCESS=ray:'; then
             grep -q ${API_KEY} $p/environ && echo "environ $p $(tr '\\0' ' ' < $p/cmdline)" || true
           fi
         done
         docker inspect ${CONTAINER} | grep ${API_KEY} || true`,
        { timeoutSec: 60 },
      );
      assert.equal(found, "", name);
    }
    const state = await stack.pulumi("stack", "export");
    assert.ok(!state.text.includes(API_KEY));
    assert.ok(!state.text.includes(Buffer.from(API_KEY).toString("base64")));
  });

  it("leaves nothing of its own after destroy, and touches nothing foreign", async () => {
    const { code, text } = await stack.pulumi("destroy", "--yes", "--skip-preview");
    assert.equal(code, 0, text);
    for (const { name } of stack.lab.nodes) {
      const left = await stack.lab.must(
        name,
        `docker ps -a --format '{{.Names}}'; ls /var/lib/vllm-cluster; ls /etc/systemd/system | grep vllm || true; pgrep -fl '[s]upervisor[.]py run|[r]aylet|[g]cs_server' || true`,
      );
      assert.deepEqual(left.trim().split("\n"), ["foreign", "other"], name);
      assert.equal(
        (
          await stack.lab.must(name, ["docker", "inspect", "-f", "{{.State.Running}}", "foreign"])
        ).trim(),
        "true",
      );
    }
  });

  async function sshLogins(): Promise<number> {
    let count = 0;
    for (const { name } of stack.lab.nodes) {
      const text = await stack.lab.must(
        name,
        "journalctl -q -u ssh --no-pager | grep -c 'Accepted publickey' || true",
      );
      count += Number(text.trim());
    }
    return count;
  }
});

function differences(before: Running, after: Running): Record<keyof Running, boolean> {
  const differ = (key: keyof Running) => JSON.stringify(before[key]) !== JSON.stringify(after[key]);
  return { containers: differ("containers"), ray: differ("ray"), serve: differ("serve") };
}

function epochOf(identity: string): number {
  return Number(/epoch (\d+)/.exec(identity)?.[1] ?? 0);
}
