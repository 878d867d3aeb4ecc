/**
 * The stand-ins for npu-smi and hccn_tool, run on the Python that lab hosts have, against outputs
 * recorded on real hosts (test/tools/lab-fixtures/INDEX.md). Does not prove that a driver newer than those
 * recordings says the same.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { products } from "../../tools/lab/build/paths.mjs";
import {
  healthyNpuDoc,
  type NpuDoc,
  setFault,
  type Values,
} from "../../tools/lab/hosts/npu-doc.mjs";
import { skip } from "../../tools/test/skip.mjs";
import { type Recording, recorded } from "./lab-recordings.js";

const overlay = fileURLToPath(new URL("../../tools/lab/overlay", import.meta.url));
const fixtures = fileURLToPath(new URL("../tools/lab-fixtures", import.meta.url));

describe("the lab's stand-ins for npu-smi and hccn_tool", function () {
  this.timeout(20_000);
  let root: string;

  before(function () {
    if (process.getuid?.() !== 0) {
      skip(this, "the stand-ins answer root only, as the real tools do", "run the tests as root");
    }
    const python =
      existsSync(products.rootfs) || spawnSync("/usr/bin/python3", ["-V"]).status === 0;
    if (!python) {
      skip(
        this,
        "neither the lab's root file system nor /usr/bin/python3 is there",
        "npm run setup",
      );
    }
  });

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "lab-stand-ins-"));
    cpSync(overlay, root, { recursive: true });
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** Writes this host's document, and those of other hosts of its lab. */
  function given(doc: NpuDoc, others: NpuDoc[] = []): void {
    for (const each of [doc, ...others]) {
      const dir = join(root, "etc/lab/fabric", each.node);
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, "npu.json"), JSON.stringify(each));
    }
    writeFileSync(join(root, "etc/lab/npu.json"), JSON.stringify(doc));
  }

  function run(script: string): { code: number | null; stdout: string; stderr: string } {
    const path =
      "PATH=$ROOT/usr/local/bin:$ROOT/usr/local/lib/lab:$ROOT/usr/local/Ascend/driver/tools:$PATH";
    const { status, stdout, stderr } = spawnSync(
      "sh",
      ["-c", inPythonRoot(root, `${path}\n${script}`)],
      {
        encoding: "utf8",
      },
    );
    return { code: status, stdout, stderr };
  }

  describe("answer byte for byte as recorded", () => {
    for (const [fixture, { script, values = {}, host = {}, npus = {} }] of Object.entries(
      recorded,
    )) {
      it(fixture, () => {
        given(aDoc({ values, host, npus }));
        const { stdout, stderr } = run(script);
        assert.equal(stderr, "");
        assertLike(stdout, readFileSync(join(fixtures, fixture), "utf8"));
      });
    }

    it("for every recording that there is", () => {
      const { stdout } = spawnSync("find", [".", "-name", "*.txt", "-printf", "%P\\n"], {
        cwd: fixtures,
        encoding: "utf8",
      });
      assert.deepEqual(stdout.trim().split("\n").sort(), Object.keys(recorded).sort());
    });
  });

  describe("ping over the simulated fabric", () => {
    const cases: Record<string, { here?: Values; there?: Values; address?: string; why: string }> =
      {
        "answers between healthy NPUs": { why: "answers" },
        "is silent for an address that nobody has": {
          address: "10.20.9.9",
          why: "nobody has this address",
        },
        "is silent when the own link is down": {
          here: { link: "DOWN" },
          why: "the link of the source is down",
        },
        "is silent when the peer's link is down": {
          there: { link: "DOWN" },
          why: "the link of the destination is down",
        },
        "is silent when TLS differs": {
          there: { tls: 1 },
          why: "one end has TLS on, the other off",
        },
        "answers when both ends have TLS on": {
          here: { tls: 1 },
          there: { tls: 1 },
          why: "answers",
        },
        "crosses subnets through gateways": {
          here: { netmask: "255.255.255.0", gateway: "10.20.1.1" },
          there: { netmask: "255.255.255.0", gateway: "10.20.2.1" },
          why: "answers",
        },
        "does not cross subnets without the peer's gateway": {
          here: { netmask: "255.255.255.0", gateway: "10.20.1.1" },
          there: { netmask: "255.255.255.0", gateway: null },
          why: "other subnet, and the destination has no gateway",
        },
        "does not cross subnets by a gateway of another subnet": {
          here: { netmask: "255.255.255.0", gateway: "10.20.3.1" },
          there: { netmask: "255.255.255.0", gateway: "10.20.2.1" },
          why: "the gateway of the source is not in its subnet",
        },
        "answers from the gateway itself": { address: "10.20.0.1", why: "answers" },
      };
    for (const [name, { here = {}, there = {}, address = "10.20.2.100", why }] of Object.entries(
      cases,
    )) {
      it(name, () => {
        const [doc, other] = twoNodes();
        setFault(doc, "all", { ...here, "ping.timeoutMs": 0 });
        setFault(other, "all", there);
        given(doc, [other]);
        assert.equal(run(`npu-fabric 0 ${address}`).stdout.trim(), why);
        const { code, stdout } = run(`hccn_tool -i 0 -ping -g address ${address}`);
        const received = why === "answers" ? "3 received, 0.00%" : "0 received, 100.00%";
        assert.equal(
          stdout.trim().split("\n").at(-1),
          `3 packets transmitted, ${received} packet loss`,
        );
        assert.equal(code, why === "answers" ? 0 : 1);
      });
    }

    it("is silent when the other host has no power", () => {
      const [doc, other] = twoNodes();
      given(doc, [other]);
      writeFileSync(join(root, "etc/lab/fabric/node1/power"), "off\n");
      assert.equal(run("npu-fabric 0 10.20.2.100").stdout.trim(), "the other host has no power");
    });

    it("loses some packets on request", () => {
      const [doc, other] = twoNodes();
      setFault(doc, 0, { "ping.loss": { "10.20.2.100": 34 }, "ping.timeoutMs": 0 });
      given(doc, [other]);
      assert.equal(
        run("hccn_tool -i 0 -ping -g address 10.20.2.100").stdout,
        "device 0 PING 10.20.2.100\nrecv time out seq=0\nrecv seq=1,time=0.067000ms\n" +
          "recv seq=2,time=0.063000ms\n3 packets transmitted, 2 received, 33.33% packet loss\n",
      );
    });
  });

  it("judge the network's health from what the detect address answers", () => {
    const [doc, other] = twoNodes();
    setFault(doc, 1, { netdetect: null });
    setFault(doc, 2, { link: "DOWN" });
    setFault(doc, 3, { netdetect: "10.20.7.7" });
    setFault(doc, 4, { netHealth: "Fault" });
    given(doc, [other]);
    const { stdout } = run("for i in 0 1 2 3 4; do hccn_tool -i $i -net_health -g; done");
    assert.equal(
      stdout,
      ["Success", "Init", "Unreachable", "Receive timeout", "Fault"]
        .map((word) => `net health status: ${word}\n`)
        .join(""),
    );
  });

  it("keep what a setter changed, in the document and in hccn.conf", () => {
    const [doc] = twoNodes();
    setFault(doc, 0, { tls: 1 });
    given(doc);
    const { stdout } = run(
      "hccn_tool -i 0 -tls -s enable 0; hccn_tool -i 0 -ip -s address 10.9.0.7 netmask 255.255.0.0\n" +
        "hccn_tool -i 0 -tls -g | cut -c 1-22; hccn_tool -i 0 -ip -g; cat $ROOT/etc/hccn.conf",
    );
    assert.equal(
      stdout,
      "Cmd executed successfully!\nCmd executed successfully!\ndev_id:0, tls switch[0\n" +
        "ipaddr:10.9.0.7\nnetmask:255.255.0.0\n" +
        "tls_enable_0=0\naddress_0=10.9.0.7\nnetmask_0=255.255.0.0\n",
    );
  });

  it("understand the newer order of options", () => {
    given(aDoc({}));
    assert.equal(run("hccn_tool -g -link -i 3").stdout, "link status: UP\n");
  });

  it("fail a query that is set to fail, and no other", () => {
    const doc = aDoc({});
    setFault(doc, 2, { fail: ["tls"] });
    given(doc);
    const { stdout } = run("hccn_tool -i 2 -tls -g; echo $?; hccn_tool -i 2 -link -g; echo $?");
    assert.equal(stdout, "Command execute failed!\n1\nlink status: UP\n0\n");
  });

  it("never answer when they are set to hang, not even to SIGTERM if so asked", () => {
    const doc = aDoc({ host: { hangIgnoresSigterm: true } });
    setFault(doc, 1, { hang: "hccn_tool" });
    given(doc);
    const { stdout } = run(
      "timeout -k 0.5 0.5 hccn_tool -i 1 -link -g; echo $?; hccn_tool -i 0 -link -g; npu-smi info -m | wc -l",
    );
    // 137: SIGTERM did not end it, SIGKILL did.
    assert.equal(stdout, "137\nlink status: UP\n9\n");
  });

  it("hide the process table from other users than root", () => {
    given(aDoc({ host: { processTable: false } }));
    assert.doesNotMatch(run("npu-smi info").stdout, /Process/);
    given(aDoc({}));
    assert.match(run("npu-smi info").stdout, /No running processes found in NPU 7/);
  });

  it("take the driver's version from its version.info", () => {
    given(aDoc({}));
    const { stdout } = run(
      "sed -i s/^Version=.*/Version=25.2.0/ $ROOT/usr/local/Ascend/driver/version.info; npu-smi info",
    );
    assert.match(stdout, /^\| npu-smi 25\.2\.0 {19}Version: 25\.2\.0/m);
  });
});

function aDoc({ values = {}, host = {}, npus = {} }: Omit<Recording, "script">): NpuDoc {
  const doc = healthyNpuDoc({ name: "node0", index: 0, npus: 8 });
  doc.defaults = { ...doc.defaults, answerMs: 0, ...values };
  doc.host = { npuSmiAnswerMs: 0, ...host };
  for (const [id, own] of Object.entries(npus)) doc.npus[id] = { ...doc.npus[id], ...own };
  return doc;
}

function twoNodes(): [NpuDoc, NpuDoc] {
  return [aDoc({}), healthyNpuDoc({ name: "node1", index: 1, npus: 8 })];
}

/** Equal but for lines "..." of the recording, which stand for any number of lines. */
function assertLike(actual: string, recording: string): void {
  const parts = recording.split(/^\.\.\.\n/m);
  if (parts.length === 1) assert.equal(actual, recording);
  let rest = actual;
  parts.forEach((part, index) => {
    const at = rest.indexOf(part);
    const right = index === 0 ? at === 0 : at >= 0;
    assert.ok(right, `expected next:\n${part}\nin:\n${rest}`);
    rest = rest.slice(at + part.length);
  });
  assert.equal(rest, "", "nothing is left after the recording");
}

/** The Python of the lab's hosts, which lacks most of the library, when it is there. */
function inPythonRoot(root: string, script: string): string {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  if (!existsSync(products.rootfs)) return `export ROOT=${quote(root)}\n${script}`;
  return `exec unshare --mount sh -c ${quote(
    `mount --bind ${quote(root)} ${quote(products.rootfs)}/mnt && mount -t proc proc ${quote(products.rootfs)}/proc && ` +
      `exec chroot ${quote(products.rootfs)} /usr/bin/env -i ROOT=/mnt PATH=/usr/bin:/bin sh -c ${quote(script)}`,
  )}`;
}
