// Marked secrets, searched for wherever they must not be, while every step of `up` is made to fail: process lists and environments as
// another user sees them, files and their modes, docker, logs, state, plans, previews, summaries, errors. With the stand-in `vllm` of
// the Ray image. Does not prove what real vLLM writes into its own log, nor Pulumi's own verbose logs (`-v`); the secrets of GPUStack
// are in test/engine/gpustack.test.ts.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ClusterSpecInput } from "../../core/spec/cluster-spec.js";
import { repoDir } from "../../tools/setup/paths.mjs";
import { BASE_DIR, CONTAINER, LabStack } from "../support/lab-stack.js";

const SECRETS = `${BASE_DIR}/in/secrets`;
/** Not the one of the other labs, which may run at the same time. */
const KEY = "canary-first-key-5be0";
/** For the rotation. */
const NEW_KEY = "canary-rotated-key-91c2";

describe("secrets", function () {
  this.timeout(300_000);
  let stack: LabStack;
  /** All that a person or a CI log got to see. */
  const seen: string[] = [];
  const markers = new Set<string>();
  let argvWatch: NodeJS.Timeout | undefined;
  const argvHits: string[] = [];

  before(async () => {
    stack = await LabStack.create({ image: "ray" });
    for (const secret of [KEY, NEW_KEY]) mark(secret);
    await stack.project.setApiKey(KEY);
    argvWatch = setInterval(() => argvHits.push(...argvWith(markers)), 400);
    for (const { name } of stack.lab.nodes) await watch(name);
  });
  after(async () => {
    clearInterval(argvWatch);
    await stack?.dispose();
  });

  function mark(secret: string): void {
    markers.add(secret);
    markers.add(Buffer.from(secret).toString("base64"));
  }

  /** Looks every 0.3 s, as another user, for what processes of the host show of the secrets. */
  async function watch(node: string): Promise<void> {
    await stack.lab.must(
      node,
      `mkdir -p /run/canary && cat > /run/canary/patterns && chmod -R a+rX /run/canary
       systemctl is-active --quiet canary-watch || systemd-run --quiet --unit canary-watch --uid nobody --property=StandardOutput=append:/run/canary-hits bash -c '
         while sleep 0.3; do grep -laFf /run/canary/patterns /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; done'`,
      { input: `${[...markers].join("\n")}\n` },
    );
  }

  async function run(...args: string[]): Promise<{ code: number; text: string }> {
    const result = await stack.pulumi(...args);
    seen.push(result.text);
    return result;
  }

  const up = () => run("up", "--yes", "--skip-preview", "--diff");

  /** `up` of a change must fail at a step, and succeed once the obstacle is gone. */
  async function failsAt(
    step: RegExp,
    edit: (cluster: ClusterSpecInput) => void,
    obstacle: readonly [node: string, make: string, remove: string] | undefined,
  ): Promise<void> {
    if (obstacle !== undefined) await stack.lab.must(obstacle[0], obstacle[1]);
    await stack.withChange(edit, async () => {
      const { code, text } = await up();
      assert.notEqual(code, 0, text);
      assert.match(text, step);
    });
    if (obstacle !== undefined) await stack.lab.must(obstacle[0], obstacle[2]);
  }

  const nothing = () => undefined;
  const flag = (cluster: ClusterSpecInput) => {
    cluster.serve.maxNumSeqs = 11;
  };

  it("stay hidden when the first start fails: wrong host key, group token, boot unit", async () => {
    await failsAt(
      /HOST_KEY/,
      (cluster) => {
        cluster.nodes[1]!.hostKey = stack.lab.nodes[0]!.hostKey;
      },
      undefined,
    );
    const { head } = stack;
    const token = `${BASE_DIR}/group-token`;
    await failsAt(/lab-node0-group-token/, nothing, [
      head,
      `install -d -m 700 ${BASE_DIR} ${token}.tmp`,
      `rmdir ${token}.tmp`,
    ]);
    const unit = `/etc/systemd/system/${CONTAINER}.service.tmp`;
    await failsAt(/lab-node1-boot/, nothing, [stack.worker, `mkdir -p ${unit}`, `rmdir ${unit}`]);
    const { code, text } = await up();
    assert.equal(code, 0, text);
    mark((await stack.lab.must(head, ["cat", token])).trim());
    for (const { name } of stack.lab.nodes) await watch(name);
  });

  it("stay hidden when a change fails: staging, secrets, Ray's commit, serve's commit", async () => {
    const { head, worker } = stack;
    await failsAt(/lab-node1-files/, flag, [
      worker,
      `mkdir ${BASE_DIR}/bin/commit.sh.tmp`,
      `rmdir ${BASE_DIR}/bin/commit.sh.tmp`,
    ]);
    await stack.project.setApiKey(NEW_KEY);
    await failsAt(/lab-node0-secrets/, nothing, [
      head,
      `mkdir ${SECRETS}/.api-key.tmp`,
      `rmdir ${SECRETS}/.api-key.tmp`,
    ]);
    await stack.project.setApiKey(KEY);
    await failsAt(
      /lab-ray-commit/,
      (cluster) => {
        cluster.env = { ...cluster.env, RAY_TMPDIR: "/proc/nowhere" };
        cluster.timeouts = { ...cluster.timeouts, rayStartSec: 10 };
        cluster.supervisor = { maxFailures: 1 };
      },
      undefined,
    );
    await failsAt(
      /lab-serve-commit/,
      (cluster) => {
        cluster.serve.extraArgs = { dtype: "no-such-type" };
        cluster.supervisor = { maxFailures: 1 };
      },
      undefined,
    );
    const { code, text } = await up();
    assert.equal(code, 0, text);
    const { address } = stack.lab.nodes[0]!;
    const models = await fetch(`http://${address}:8000/v1/models`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    assert.equal(models.status, 200);
  });

  it("are in no preview, plan, summary, log, report or state", async () => {
    const plan = join(stack.project.dir, "plan.json");
    await stack.withChange(flag, async () => {
      await stack.project.setApiKey(NEW_KEY);
      for (const args of [["--diff"], ["--json"], ["--save-plan", plan]]) {
        const { code, text } = await run("preview", ...args);
        assert.equal(code, 0, text);
      }
      for (const format of ["text", "markdown", "json"]) {
        seen.push((await stack.vllmCluster("summary", "--format", format)).text);
      }
      await stack.project.setApiKey(KEY);
    });
    for (const args of [["render"], ["lint"], ["fit"], ["doctor"], ["status"], ["logs"]]) {
      const { text } = await stack.vllmCluster(...args);
      assert.ok(text.length > 0, args[0]);
      seen.push(text);
    }
    for (const args of [
      ["stack", "export"],
      ["stack", "history"],
      ["stack", "output"],
      ["config"],
    ]) {
      await run(...args);
    }
    const files = readdirSync(stack.project.dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    assert.ok(files.includes(plan) && files.some((file) => file.includes("/state/")));
    for (const file of files) notIn(readFileSync(file, "utf8"), file);
    for (const text of seen) notIn(text, text.slice(0, 300));
  });

  it("stay encrypted in a plan that `up` then keeps to", async () => {
    const plan = join(stack.project.dir, "plan.json");
    await stack.change(flag);
    const previewed = await run("preview", "--save-plan", plan);
    assert.equal(previewed.code, 0, previewed.text);
    await stack.withChange(
      (cluster) => {
        cluster.serve.maxNumSeqs = 12;
      },
      async () => {
        const { code, text } = await run("up", "--yes", "--skip-preview", "--plan", plan);
        assert.notEqual(code, 0, text);
        assert.match(text, /violates plan/);
      },
    );
    const { code, text } = await run("up", "--yes", "--skip-preview", "--plan", plan);
    assert.equal(code, 0, text);
  });

  it("are in no argument of this machine, and in none and no environment that another user of a host sees", async () => {
    assert.deepEqual(argvHits, []);
    for (const { name } of stack.lab.nodes) {
      assert.equal(await stack.lab.must(name, "cat /run/canary-hits"), "", name);
      // A process that does show one is seen by both.
      await stack.lab.must(name, `bash -c 'sleep 3; true' ${NEW_KEY}`);
      assert.match(await stack.lab.must(name, "cat /run/canary-hits"), /cmdline/, name);
    }
    assert.ok(argvHits.length > 0);
  });

  it("are on a host in their files alone, which nobody else may read, and in the environment of vLLM alone", async () => {
    for (const { name } of stack.lab.nodes) {
      const isHead = name === stack.head;
      const files = await stack.lab.must(
        name,
        `grep -rlFf /run/canary/patterns /var/lib/vllm-cluster /var/log /etc /root /tmp /home /var/lib/docker/containers 2>/dev/null | sort | xargs -r stat -c '%a %U %n'`,
        { timeoutSec: 60 },
      );
      assert.deepEqual(
        files.trim().split("\n"),
        [
          ...(isHead ? [`600 root ${BASE_DIR}/group-token`, `600 root ${SECRETS}/api-key`] : []),
          `600 root ${SECRETS}/group-token`,
        ],
        name,
      );
      const other = await stack.lab.exec(
        name,
        `stat -c %a ${BASE_DIR}; setpriv --reuid=65534 --regid=65534 --clear-groups ls ${BASE_DIR} 2>&1`,
      );
      assert.match(other.stdout, /^700\n.*Permission denied/);
      const holders = await stack.lab.must(
        name,
        `for p in $(grep -laFf /run/canary/patterns /proc/[0-9]*/environ 2>/dev/null); do
           tr '\\0' '\\n' <"$p" | grep -o '^VLLM_CLUSTER_PROCESS=[a-z]*' || echo "$p"
         done | sort -u
         docker inspect ${CONTAINER} | grep -cFf /run/canary/patterns || true
         journalctl -q --no-pager | grep -cFf /run/canary/patterns || true`,
        { timeoutSec: 60 },
      );
      const processes = isHead ? ["VLLM_CLUSTER_PROCESS=serve"] : [];
      assert.deepEqual(holders.trim().split("\n"), [...processes, "0", "0"], name);
    }
  });

  it("are in no document and no golden file", () => {
    for (const folder of ["docs", "test/golden", "test/core/changes/recorded", "stacks"]) {
      const files = readdirSync(join(repoDir, folder), { recursive: true, withFileTypes: true });
      for (const entry of files.filter((each) => each.isFile())) {
        const file = join(entry.parentPath, entry.name);
        notIn(readFileSync(file, "utf8"), file);
      }
    }
  });

  function notIn(text: string, where: string): void {
    for (const marker of markers) assert.ok(!text.includes(marker), `a secret is in ${where}`);
  }
});

/** Command lines of this machine's processes that hold one of the texts; those of the lab's hosts are among them. */
function argvWith(markers: ReadonlySet<string>): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return [...markers].some((marker) => argv.includes(marker)) ? [argv] : [];
      } catch {
        return [];
      }
    });
}
