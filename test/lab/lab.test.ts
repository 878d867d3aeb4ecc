/**
 * The lab itself, live: hosts booted by systemd, their network, power, devices, and that nothing of
 * them stays. Does not prove anything about real NPUs, RoCE or drivers (docs/lab.md).
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { products } from "../../tools/lab/build/paths.mjs";
import { run } from "../../tools/lab/hosts/command.mjs";
import { sleep, startTimeOf } from "../../tools/lab/hosts/processes.mjs";
import { type Lab, labUp, listLabs, removeStale } from "../../tools/lab/lab.mjs";
import { skip } from "../../tools/test/skip.mjs";

const library = fileURLToPath(new URL("../../tools/lab/lab.mjs", import.meta.url));

describe("the lab", function () {
  this.timeout(180_000);

  before(function () {
    if (process.getuid?.() !== 0) skip(this, "the lab needs root", "run the tests as root");
    if (!existsSync(products.rootfs)) {
      skip(this, "the root file system of the lab's hosts is not built", "npm run setup");
    }
  });

  describe("with two hosts", () => {
    let lab: Lab;

    before(async () => {
      lab = await labUp({ nodes: 2 });
    });

    after(async () => {
      await lab?.down();
    });

    it("boots them with systemd, sshd and docker, and no failed unit", async () => {
      for (const { name } of lab.nodes) {
        assert.equal(await lab.must(name, "cat /proc/1/comm"), "systemd\n");
        assert.equal(await lab.must(name, "systemctl is-active ssh docker"), "active\nactive\n");
        assert.equal(await lab.must(name, "systemctl is-system-running --wait"), "running\n");
        assert.equal(await lab.must(name, "docker info --format '{{.Driver}}'"), "overlay2\n");
      }
    });

    it("gives each its own name, address, machine id, host key and interface", async () => {
      const facts = new Set<string>();
      for (const { name, address, interface: device } of lab.nodes) {
        assert.equal(await lab.must(name, "hostname"), `${name}\n`);
        assert.match(
          await lab.must(name, `ip -4 -o address show ${device}`),
          new RegExp(` ${address}/24 `),
        );
        assert.match(await lab.must(name, `getent hosts ${name}`), new RegExp(`^${address} `));
        facts.add(await lab.must(name, "cat /etc/machine-id"));
        facts.add(lab.node(name).hostKey);
      }
      assert.equal(facts.size, 4);
    });

    it("lets the operator in by key, with the host key that it tells", async () => {
      const { code, stdout } = await lab.ssh("node1", "hostname; whoami");
      assert.deepEqual({ code, stdout }, { code: 0, stdout: "node1\nroot\n" });
    });

    it("lets the operator in by the lab's own agent", async () => {
      const { address, user } = lab.node("node0");
      const { code, stderr } = await run(
        [
          "ssh",
          ...strictSsh(lab.knownHosts),
          "-o",
          "IdentityFile=none",
          `${user}@${address}`,
          "true",
        ],
        { env: { ...process.env, SSH_AUTH_SOCK: lab.agentSocket } },
      );
      assert.equal(code, 0, stderr);
    });

    it("is refused by ssh when a host shows another key than the pinned one", async () => {
      const { address, user } = lab.node("node0");
      const wrong = join(lab.record.fabric, "..", "known_hosts.wrong");
      writeFileSync(wrong, `${address} ${lab.node("node1").hostKey}\n`);
      const { code, stderr } = await run([
        "ssh",
        ...strictSsh(wrong),
        "-i",
        lab.sshKey,
        `${user}@${address}`,
        "true",
      ]);
      assert.equal(code, 255);
      assert.match(stderr, /Host key verification failed/);
    });

    it("refuses names and foreign addresses at once instead of letting programs wait", async () => {
      const begin = Date.now();
      assert.notEqual((await lab.exec("node0", "getent hosts example.com")).code, 0);
      assert.match((await lab.exec("node0", "ping -c 1 192.0.2.77")).stdout, /Unreachable/);
      assert.ok(Date.now() - begin < 4000, `took ${Date.now() - begin} ms`);
    });

    it("keeps what is the machine's own out of the hosts' reach", async () => {
      // Looked at, not tried: a host that may set the clock would set the machine's.
      const capabilities = "grep CapEff /proc/1/status /proc/self/status | cut -f 2";
      const login = await lab.ssh("node0", "grep CapEff /proc/self/status | cut -f 2");
      const sets = ((await lab.must("node0", capabilities)) + login.stdout).trim().split("\n");
      assert.equal(sets.length, 3);
      const [module, rawio, time] = [16n, 17n, 25n];
      for (const set of sets) {
        for (const bit of [module, rawio, time]) {
          assert.equal((BigInt(`0x${set}`) >> bit) & 1n, 0n, `capability ${bit} in ${set}`);
        }
      }
      const { stderr } = await lab.exec("node0", "echo 1 > /proc/sys/vm/drop_caches");
      assert.match(stderr, /Read-only file system/);
    });

    it("answers as npu-smi and hccn_tool, a fault on one host seen from the other", async () => {
      const ping = `${hccnTool} -i 0 -ping -g address ${lab.node("node1").npuIps[3]} | tail -1`;
      assert.match(await lab.must("node0", "npu-smi info"), /^\| 7 {5}910B3 {15}\| OK /m);
      assert.match(await lab.must("node0", ping), /3 received, 0\.00% packet loss/);
      await lab.fault("node1", 3, { link: "DOWN" });
      assert.match(await lab.must("node0", ping), /0 received, 100\.00% packet loss/);
      assert.equal(await lab.must("node1", `${hccnTool} -i 3 -link -g`), "link status: DOWN\n");
      await lab.clearFaults("node1");
      assert.match(await lab.must("node0", ping), /3 received/);
    });

    it("lets device nodes vanish and come back", async () => {
      await lab.npuVanish("node0", 3);
      assert.equal(await davinciCount(lab, "node0"), 7);
      await lab.npuAppear("node0", 3);
      assert.equal(await davinciCount(lab, "node0"), 8);
      assert.equal(
        await lab.must("node0", "stat -c '%A %G' /dev/davinci3"),
        "crw-rw---- HwHiAiUser\n",
      );
    });

    it("makes device nodes as late as asked, or never, from the next boot on", async () => {
      await lab.npuDelay("node0", 3);
      await lab.reboot("node0");
      assert.equal(await davinciCount(lab, "node0"), 0);
      await sleep(4500);
      assert.equal(await davinciCount(lab, "node0"), 8);
      await lab.npuDelay("node0", "never");
      await lab.reboot("node0");
      await sleep(500);
      assert.equal(await davinciCount(lab, "node0"), 0);
      await lab.npuDelay("node0", 0);
      await lab.reboot("node0");
    });

    it("reboots with a new boot id, the same disk and the same host key", async () => {
      await lab.must("node0", "echo kept > /root/file");
      const before = await bootId(lab, "node0");
      await lab.reboot("node0");
      assert.notEqual(await bootId(lab, "node0"), before);
      assert.equal(await lab.must("node0", "cat /root/file"), "kept\n");
      const boots = await lab.must("node0", "journalctl --list-boots --no-pager | grep -c ':'");
      assert.ok(Number(boots) >= 2, boots);
      await lab.checkSsh("node0");
    });

    it("comes back when its operator reboots it over ssh", async () => {
      const before = await bootId(lab, "node1");
      const boots = (await lab.status())[1]?.boots ?? 0;
      await lab.ssh("node1", "systemctl reboot");
      await lab.waitUp("node1", { boot: boots + 1 });
      assert.notEqual(await bootId(lab, "node1"), before);
      await lab.checkSsh("node1");
    });

    it("returns from a power cut, during which its peers hear nothing from it", async () => {
      const before = await bootId(lab, "node0");
      const peer = lab.exec(
        "node1",
        // Reads sshd's greeting, then waits: end of file would be 1, silence is above 128.
        "exec 3<>/dev/tcp/node0/22; read -r _ <&3; echo open > /run/peer; read -r -t 5 _ <&3; echo $?",
      );
      await poll("a connection", async () => (await lab.exec("node1", "cat /run/peer")).code === 0);
      await lab.powerCut("node0", 6, { wait: false });
      await assert.rejects(lab.exec("node0", "true"), /node0 cannot run a command: power cut/);
      assert.ok(Number((await peer).stdout) > 128, "the peer's connection was closed, not silent");
      await lab.waitUp("node0");
      assert.notEqual(await bootId(lab, "node0"), before);
      await lab.checkSsh("node0");
    });

    it("stays off after a clean shutdown until it is switched on", async () => {
      await lab.powerOff("node1", { clean: true });
      const [, status] = await lab.status();
      assert.deepEqual([status?.state, status?.reason], ["off", "shut down"]);
      const ping = `${hccnTool} -i 0 -ping -g address ${lab.node("node1").npuIps[0]} | tail -1`;
      assert.match(await lab.must("node0", ping), /0 received/);
      await lab.powerOn("node1");
      await lab.checkSsh("node1");
    });

    it("is out of reach without its cable, and keeps running", async () => {
      const before = await bootId(lab, "node1");
      await lab.linkDown("node1");
      assert.match((await lab.ssh("node1", "true")).stderr, /timed out|No route to host/);
      assert.match(await lab.must("node1", "ip link show enp67s0f0"), /NO-CARRIER/);
      await lab.linkUp("node1");
      await lab.checkSsh("node1");
      assert.equal(await bootId(lab, "node1"), before);
    });

    it("refuses a second lab of the same id", async () => {
      await assert.rejects(labUp({ id: lab.id }), new RegExp(`there is a lab "${lab.id}" already`));
    });

    it("does not meet another lab, and that one leaves nothing", async () => {
      const other = await labUp({ nodes: 1, image: "none" });
      try {
        const [own, foreign] = [lab.node("node0"), other.node("node0")];
        assert.notEqual(own.address, foreign.address);
        assert.notEqual((await lab.exec("node0", `ping -c 1 -W 1 ${foreign.address}`)).code, 0);
        assert.notEqual((await other.exec("node0", `ping -c 1 -W 1 ${own.address}`)).code, 0);
        await other.fault("node0", "all", { link: "DOWN" });
        assert.equal(await lab.must("node0", `${hccnTool} -i 0 -link -g`), "link status: UP\n");
      } finally {
        const traces = await tracesOf(other);
        assert.ok(traces().length > 4, `sees what is there: ${traces().join(", ")}`);
        await other.down();
        assert.deepEqual(traces(), []);
      }
      await lab.checkSsh("node0");
    });
  });

  it("sets up hardened hosts: no root login, sudo without /usr/local, Chinese messages", async () => {
    const lab = await labUp({ nodes: 1, profile: "sudo-user", npus: 4 });
    try {
      const say = async (command: string) => {
        const { stdout, stderr } = await lab.ssh("node0", command);
        return (stdout + stderr).trim();
      };
      assert.equal(await say("whoami; sudo -n whoami"), "ops\nroot");
      assert.equal(await say("docker ps --quiet; echo $?"), "0");
      assert.match(await say("ls /nowhere"), /没有那个文件或目录/);
      assert.match(await say("sudo -n npu-smi info"), /npu-smi.*找不到命令/);
      assert.match(await say("sudo -n /usr/local/sbin/npu-smi info"), /^\| 3 {5}910B3/m);
      assert.equal(await davinciCount(lab, "node0"), 4);
      const { address } = lab.node("node0");
      const { code, stderr } = await run([
        "ssh",
        ...strictSsh(lab.knownHosts),
        "-i",
        lab.sshKey,
        `root@${address}`,
        "true",
      ]);
      assert.equal(code, 255);
      assert.match(stderr, /Permission denied/);
    } finally {
      await lab.down();
    }
  });

  it("names the cause and cleans up when hosts cannot boot", async () => {
    const before = listLabs().length;
    await assert.rejects(labUp({ models: "/proc/version" }), (error: Error) => {
      assert.match(error.message, /did not come up: node\d did not boot: systemd ended/);
      // The last lines of the log: what mount(8) said.
      assert.match(error.message, /mount: .*\/srv\/models/);
      return true;
    });
    assert.equal(listLabs().length, before);
  });

  it("ends by itself when the process that it was made for is killed", async () => {
    const script = `import { labUp } from ${JSON.stringify(library)};
      const lab = await labUp({ id: "orphan", nodes: 1 });
      console.log("up");
      setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => owner.stdout.once("data", resolve));
    const { openLab } = await import("../../tools/lab/lab.mjs");
    const traces = await tracesOf(openLab("orphan"));
    owner.kill("SIGKILL");
    await poll("all of the lab is gone", async () => traces().length === 0);
    assert.ok(!listLabs().some(({ id }) => id === "orphan"));
  });

  it("finds and removes what a killed supervisor has left", async () => {
    const lab = await labUp({ nodes: 1 });
    const traces = await tracesOf(lab);
    process.kill(lab.record.supervisor.pid, "SIGKILL");
    await poll(
      "the lab is stale",
      async () => listLabs().find(({ id }) => id === lab.id)?.state === "stale",
    );
    // The kernel has ended hosts, agent and network with it; it takes a moment.
    await poll(
      "its processes are gone",
      async () => !traces().some((trace) => /^(process|link|namespace)/.test(trace)),
    );
    assert.ok((await removeStale()).includes(lab.id));
    assert.deepEqual(traces(), []);
  });
});

const hccnTool = "/usr/local/Ascend/driver/tools/hccn_tool";

function strictSsh(knownHosts: string): string[] {
  return [
    ...["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"],
    ...["-o", `UserKnownHostsFile=${knownHosts}`, "-o", "GlobalKnownHostsFile=/dev/null"],
  ];
}

function bootId(lab: Lab, node: string): Promise<string> {
  return lab.must(node, "cat /proc/sys/kernel/random/boot_id");
}

async function davinciCount(lab: Lab, node: string): Promise<number> {
  return Number(await lab.must(node, "ls /dev | grep -c '^davinci[0-9]' || true"));
}

async function poll(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 300; i += 1) {
    if (await holds().catch(() => false)) return;
    await sleep(100);
  }
  assert.fail(`not within 30 s: ${what}`);
}

/** Finds everything that a lab is made of, now and after it is gone. */
async function tracesOf(lab: Lab): Promise<() => string[]> {
  const dir = join(lab.record.fabric, "..");
  const supervisor = JSON.parse(readFileSync(join(dir, "supervisor.json"), "utf8"));
  const inits = (await lab.status()).map(({ init }) => init?.pid);
  const spaces = new Set(
    inits.flatMap((pid) =>
      ["net", "mnt", "pid"].map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`)),
    ),
  );
  return () => {
    const found: string[] = existsSync(dir) ? ["directory"] : [];
    for (const group of supervisor.cgroups) if (existsSync(group)) found.push(`cgroup ${group}`);
    for (const link of readdirSync("/sys/class/net"))
      if (link === supervisor.uplink) found.push("link");
    if (readFileSync("/proc/self/mountinfo", "utf8").includes(dir)) found.push("mount");
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      // A zombie is nothing but an exit code that its parent has not asked for yet.
      if (startTimeOf(Number(pid)) === undefined) continue;
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        if (command.includes(dir) || pid === String(supervisor.process.pid))
          found.push(`process ${command}`);
        for (const kind of ["net", "mnt", "pid"]) {
          if (spaces.has(readlinkSync(`/proc/${pid}/ns/${kind}`)))
            found.push(`namespace of ${command}`);
        }
      } catch {
        // It has just ended.
      }
    }
    return found;
  };
}
