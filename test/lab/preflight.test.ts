// The preflight against real hosts with simulated NPUs: what is broken on one host or between hosts is told with host, NPU and fix,
// within its time, whatever hangs. Formats are those of recordings; no real driver, switch or firewall of a site is behind it.
import assert from "node:assert/strict";
import { FakeGpustackServer } from "../support/fake-gpustack-server.js";
import { type CommandResult, LabStack } from "../support/lab-stack.js";

interface Report {
  readonly isPassed: boolean;
  readonly rows: readonly { readonly node: string; readonly cells: Record<string, string> }[];
  readonly findings: readonly {
    readonly node: string;
    readonly code: string;
    readonly result: string;
    readonly detail: string;
    readonly npus?: readonly number[];
    readonly accepted?: unknown;
  }[];
  readonly times: { readonly hostsSec: number; readonly peersSec: number };
}

describe("the preflight on hosts with NPUs", function () {
  this.timeout(300_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "ray" });
  });
  after(() => stack?.dispose());
  afterEach(async () => {
    for (const { name } of stack.lab.nodes) await stack.lab.clearFaults(name);
  });

  async function gate(...options: string[]): Promise<Report> {
    const { text } = await stack.vllmCluster("gate", "--json", ...options);
    assert.ok(text.includes("{"), text);
    // The report for people is on standard error, behind the JSON.
    const json = text.slice(text.indexOf("{"), text.lastIndexOf("\n}\n") + 2);
    return JSON.parse(json) as Report;
  }

  function failures(report: Report): [node: string, code: string, npus: readonly number[]][] {
    return report.findings
      .filter(({ result }) => result === "fail")
      .map(({ node, code, npus = [] }) => [node, code, npus]);
  }

  it("passes healthy hosts, with one login per host and phase", async () => {
    const before = await logins();
    const report = await gate();
    assert.deepEqual(failures(report), []);
    assert.deepEqual(
      report.findings.filter(({ code }) => code !== "PORT_EPHEMERAL"),
      [],
    );
    assert.ok(
      report.rows.every(({ cells }) => cells["npu-ping"] === "pass" && cells["tls"] === "pass"),
    );
    assert.deepEqual(
      await logins(),
      before.map((count) => count + 2),
    );
  });

  it("pings the whole matrix when it is asked to", async () => {
    const report = await gate("--full");
    assert.deepEqual(failures(report), []);
  });

  it("names the NPU on which TLS differs, and both sets", async () => {
    await stack.lab.fault(stack.worker, 1, { tls: 1 });
    const report = await gate();
    const tls = report.findings.filter(({ code }) => code === "NPU_TLS");
    assert.deepEqual(
      tls.map(({ node, npus }) => [node, npus]),
      [["node1", [1]]],
    );
    assert.match(tls[0]!.detail, /enabled: node1 1; disabled: node0 0-1, node1 0/);
    // In the lab, as on some drivers, it cuts the connection, too: told from both ends.
    const pings = failures(report).filter(([, code]) => code === "NPU_PING");
    assert.deepEqual(pings, [
      ["node0", "NPU_PING", [1]],
      ["node1", "NPU_PING", [1]],
    ]);
  });

  it("lowers what the stack accepts, and refuses it when its time is over", async () => {
    await stack.lab.fault(stack.worker, 1, {
      linkStat: { records: ["Sun Nov 22 10:00:00 2026    LINK DOWN"] },
    });
    assert.deepEqual(failures(await gate()), [["node1", "NPU_LINK_HISTORY", [1]]]);
    const accept = (until: string) => (cluster: { preflight?: unknown }) => {
      const entry = {
        code: "NPU_LINK_HISTORY",
        node: "node1",
        npu: 1,
        reason: "known cable",
        until,
      };
      cluster.preflight = { accept: [entry] };
    };
    const accepted = await stack.withChange(accept("2999-12-31"), () => gate());
    assert.deepEqual([accepted.isPassed, failures(accepted)], [true, []]);
    const expired = await stack.withChange(accept("2020-01-01"), () => stack.vllmCluster("gate"));
    assert.equal(expired.code, 2);
    assert.match(expired.text, /preflight\.accept\[0\]\.until is over: NPU_LINK_HISTORY/);
  });

  it("names a vanished NPU in every way in which it is missing", async () => {
    await stack.lab.npuVanish(stack.worker, 1);
    try {
      assert.deepEqual(failures(await gate()), [["node1", "DEVICE_MISSING", []]]);
    } finally {
      await stack.lab.npuAppear(stack.worker, 1);
    }
  });

  it("takes a tool that hangs in the driver for a result, in bounded time", async () => {
    await stack.lab.fault(stack.worker, "node", { hang: "npu-smi", hangIgnoresSigterm: true });
    const report = await gate();
    assert.deepEqual(
      failures(report).map(([node, code]) => [node, code]),
      [
        ["node1", "NPU_TOOL_HANGS"],
        ["node1", "NPU_TOOL_HANGS"],
      ],
    );
    assert.ok(report.times.hostsSec < 60, `${report.times.hostsSec} s`);
  });

  it("names the NPU whose tool hangs, and still judges the others", async () => {
    await stack.lab.fault(stack.worker, 0, { hang: "hccn_tool" });
    const report = await gate();
    const codes = failures(report).filter(([node]) => node === "node1");
    assert.deepEqual(codes.slice(0, 3), [
      ["node1", "NPU_TOOL_HANGS", [0]],
      ["node1", "NPU_LINK", [0]],
      ["node1", "NPU_TLS", [0]],
    ]);
    assert.ok(!failures(report).some(([, , npus]) => npus.includes(1)));
  });

  it("finds a stale address in hccn.conf, and a driver that is another one", async () => {
    const conf = "/etc/hccn.conf";
    const info = "/usr/local/Ascend/driver/version.info";
    await stack.lab.must(
      stack.worker,
      `cp ${conf} ${conf}.good; cp ${info} ${info}.good; sed -i s/^address_0=.*/address_0=10.99.0.1/ ${conf}; sed -i s/^Version=.*/Version=23.0.7/ ${info}`,
    );
    try {
      const codes = failures(await gate()).map(([node, code]) => [node, code]);
      assert.deepEqual(codes, [
        ["node1", "DRIVER_DIFFERS"],
        ["node1", "HCCN_CONF"],
      ]);
    } finally {
      await stack.lab.must(stack.worker, `mv ${conf}.good ${conf}; mv ${info}.good ${info}`);
    }
  });

  it("names who holds a chip", async () => {
    await stack.lab.must(
      stack.worker,
      "systemd-run --quiet --unit holder bash -c 'exec 9</dev/davinci1; exec sleep 600'; sleep 0.5",
    );
    try {
      const { findings } = await gate();
      const busy = findings.filter(({ code }) => code === "NPU_BUSY");
      assert.deepEqual(
        busy.map(({ node, npus }) => [node, npus]),
        [["node1", [1]]],
      );
      assert.match(busy[0]!.detail, /\/dev\/davinci1 is held open by sleep \(pid \d+\)/);
    } finally {
      await stack.lab.must(stack.worker, "systemctl stop holder");
    }
  });

  it("tells a host whose cable is pulled, and judges the other one alone", async () => {
    await stack.lab.linkDown(stack.worker);
    try {
      const report = await gate();
      assert.deepEqual(failures(report), [["node1", "NODE_UNREACHABLE", []]]);
      assert.deepEqual(
        report.rows.map(({ cells }) => [cells["tls"], cells["npu-ping"]]),
        [
          ["pass", "skipped"],
          ["skipped", "skipped"],
        ],
      );
    } finally {
      await stack.lab.linkUp(stack.worker);
    }
  });

  it("stops pulumi up before anything is touched", async () => {
    await stack.lab.fault(stack.head, 0, { link: "DOWN" });
    const { code, text }: CommandResult = await stack.up();
    assert.notEqual(code, 0);
    assert.match(text, /node0 NPU 0 {2}NPU_LINK: link DOWN/);
    for (const { name } of stack.lab.nodes) {
      const { stdout } = await stack.lab.exec(
        name,
        "ls -d /var/lib/vllm-cluster 2>/dev/null; docker ps -aq",
      );
      assert.equal(stdout, "", name);
    }
  });

  it("stops a start through GPUStack too, and asks its workers for nothing but NPUs and networks", async () => {
    const server = await FakeGpustackServer.start();
    server.fake.workers.clear();
    stack.lab.nodes.forEach(({ name, address, interface: ifname }, index) => {
      server.fake.workers.set(name, { id: index + 1, name, ip: address, ifname, state: "ready" });
    });
    const { url, apiKey } = server.connection;
    Object.assign(stack.project.env, { GPUSTACK_URL: url, GPUSTACK_API_KEY: apiKey });
    await stack.project.setConfig("gpustack", { backendVersion: "1-custom" });
    try {
      await stack.withChange(
        (cluster) => {
          const { servedModelName, maxModelLen } = cluster.serve;
          Object.assign(cluster, {
            topology: "data-parallel",
            model: { path: "/not/there" },
            ray: undefined,
            timeouts: undefined,
            serve: {
              ...{ servedModelName, maxModelLen, maxNumSeqs: 25 },
              ...{ tensorParallelSize: 2, dataParallelSize: 2 },
            },
          });
        },
        async () => {
          await stack.lab.fault(stack.head, 0, { link: "DOWN" });
          const refused = await stack.up();
          assert.notEqual(refused.code, 0);
          assert.match(refused.text, /node0 NPU 0 {2}NPU_LINK: link DOWN/);
          assert.equal(server.fake.models.size, 0);
          await stack.lab.clearFaults(stack.head);
          const report = await gate();
          assert.deepEqual(failures(report), []);
          assert.ok(!Object.keys(report.rows[0]!.cells).includes("image"));
          assert.equal(report.rows[0]!.cells["npu-ping"], "pass");
          const { code, text } = await stack.up();
          assert.equal(code, 0, text);
          assert.doesNotMatch(text, /NPU network not checked/);
          assert.equal(server.fake.models.size, 2);
          const gone = await stack.pulumi("destroy", "--yes", "--skip-preview");
          assert.equal(gone.code, 0, gone.text);
          assert.equal(server.fake.models.size, 0);
        },
      );
    } finally {
      await stack.project.setConfig("gpustack", undefined);
      server.stop();
    }
  });

  /** Accepted logins per node. */
  async function logins(): Promise<number[]> {
    const texts = await Promise.all(
      stack.lab.nodes.map(({ name }) =>
        stack.lab.must(
          name,
          "journalctl -q -u ssh --no-pager | grep -c 'Accepted publickey' || true",
        ),
      ),
    );
    return texts.map((text) => Number(text.trim()));
  }
});
