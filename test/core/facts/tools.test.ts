// Reads every recorded output of hccn_tool and npu-smi, variants that upstream describes without a recording, and broken text.
// Does not prove that a driver newer than the recordings says the same; what it says differently must come out as unknown.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { readOutput, type Verdict } from "../../../core/facts/reading.js";
import { reportTool, TOOLS, type ToolName } from "../../../core/facts/tools.js";

const RECORDINGS = join(dirname(fileURLToPath(import.meta.url)), "../../tools/lab-fixtures");
const texts = new Map<string, string>();
const NOW_SEC = Date.UTC(2025, 0, 1) / 1000;

type Row = readonly [query: string, verdict: Verdict, detail: RegExp, readings?: number];

const RECORDED: Readonly<Record<ToolName, Readonly<Record<string, Row>>>> = {
  hccn_tool: {
    "bandwidth-g.idle": ["bandwidth", "pass", /sends 0 MB\/s, receives 0 MB\/s/],
    "fec-g.none": ["fec", "fail", /FEC mode no/],
    "fec-g.rs": ["fec", "pass", /FEC mode rs/],
    "gateway-g.loop8": ["gateway", "pass", /gateway 11\.12\.165\.1/, 8],
    "gateway-g.ok": ["gateway", "pass", /gateway 11\.12\.165\.1/],
    "hw_stats-g": ["hw_stats", "pass", /1 active queue pairs/],
    "ip-g.capture": ["ip", "pass", /10\.10\.0\.10\/24/],
    "ip-g.loop8": ["ip", "pass", /11\.12\.165\.80\/24; .*11\.12\.165\.87\/24/, 8],
    "ip-g.mask16": ["ip", "pass", /29\.1\.112\.213\/16/],
    "ip-g.ok": ["ip", "pass", /11\.12\.165\.80\/24/],
    "link-g.down": ["link", "fail", /link DOWN/],
    "link-g.up": ["link", "pass", /link UP/],
    "link_stat-g.devid": ["link_stat", "warn", /went down 1 time/],
    "link_stat-g.flap": ["link_stat", "pass", /up since Sun Oct {2}5 10:13:51 2025/],
    "lldp-g.full": ["lldp", "pass", /400GE1\/1\/20:2/],
    "lldp-g.grep-ifname.loop8": ["lldp", "pass", /400GE1\/1\/5:1; .*400GE1\/4\/5:2/, 8],
    "lldp-g.grep-ifname": ["lldp", "pass", /400GE1\/1\/5:1/],
    "net_health-g.init": ["net_health", "warn", /Init/],
    "net_health-g.socket-failed": ["net_health", "fail", /Socket failed/],
    "net_health-g.success": ["net_health", "pass", /Success/],
    "netdetect-g.ok": ["netdetect", "pass", /11\.12\.165\.1/],
    "optical-g.not-present": ["optical", "fail", /module not present.*Rx Los Flag 0xff/],
    "optical-g.per-lane": ["optical", "fail", /lane 1 0\.0054 mW.*Rx LoL Flag 0xff/],
    "ping-g.first-slow": ["ping", "pass", /3 of 3 answers from 29\.1\.137\.205/],
    "ping-g.loop8": ["ping", "pass", /3 of 3 answers/, 8],
    "ping-g.ok": ["ping", "pass", /3 of 3 answers/],
    "route-g.ok": ["route", "pass", /5 routes/],
    "speed-g.100g": ["speed", "pass", /100000 Mb\/s/],
    "stat-g.errors-zero": ["stat", "pass", /no packet errors/],
    "stat-g.excerpt": ["stat", "pass", /no packet errors/],
    "tls-g.execute-failed": ["tls", "unknown", /Command execute failed!/],
    "tls-g.grep-switch.disabled": ["tls", "pass", /TLS disabled/],
    "tls-g.grep-switch.loop8": ["tls", "pass", /TLS disabled/, 8],
    "tls-g.grep-switch.mismatch": ["tls", "fail", /on for some NPUs and off for others/, 2],
    "tls-s.ok": ["set", "pass", /executed/],
  },
  "npu-smi": {
    "info-i.error-parameter": ["health", "unknown", /Error parameter of -i/],
    "info-i.invalid-card-id": ["board", "unknown", /Invalid card id\./],
    "info-m": ["map", "pass", /8 chips/],
    "info-t-board.card": ["board", "pass", /driver 23\.0\.5, firmware 7\.1\.0\.7\.220/],
    "info-t-board.chip.tab-indented": ["chip", "pass", /chip 910A/],
    "info-t-board.chip": ["board", "pass", /chip xxx/],
    "info-t-common": ["common", "pass", /46 C/],
    "info-t-ecc.zero": ["ecc", "pass", /0 double-bit errors, 0 isolated pages/],
    "info-t-health.ok": ["health", "pass", /health OK/],
    "info-t-topo.910b": ["topo", "pass", /8 NPUs over HCCS/],
    "info-t-usages.32g": ["usages", "pass", /32768 MB/],
    "info-t-usages.64g": ["usages", "pass", /65536 MB of HBM, 4 % used/],
    "info-t-usages.tab-indented": ["usages", "pass", /31129 MB/],
    "info.a2-8x910b3-idle": ["info", "pass", /8 chips/],
    "info.a2-910b1-no-process-table": ["info", "pass", /3 chips/],
    "info.process-row.ray": ["processes", "warn", /1 processes/],
    "info.process-table.busy": ["processes", "warn", /15 processes/],
  },
};

/** Layout of an A3 as in the vllm-ascend documentation: a physical id, two dies, no power of the second. */
const A3_INFO = [
  "+------------------------------------------------------------------------------------------------+",
  "| npu-smi 25.0.rc1                 Version: 25.0.rc1                                             |",
  "+---------------------------+---------------+----------------------------------------------------+",
  "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|",
  "| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |",
  "+===========================+===============+====================================================+",
  "| 0     Ascend910           | OK            | 173.5       37                0    / 0             |",
  "| 0     0                   | 0000:9D:00.0  | 0           0    / 0          3119 / 65536         |",
  "+------------------------------------------------------------------------------------------------+",
  "| 0     Ascend910           | OK            | -           36                0    / 0             |",
  "| 1     1                   | 0000:9F:00.0  | 0           0    / 0          2886 / 65536         |",
  "+===========================+===============+====================================================+",
  "",
].join("\n");

describe("the readers of hccn_tool and npu-smi", () => {
  for (const tool of Object.keys(RECORDED) as ToolName[]) {
    it(`know every recorded output of ${tool}`, () => {
      const files = readdirSync(join(RECORDINGS, tool)).map((file) => file.replace(/\.txt$/, ""));
      assert.deepEqual(Object.keys(RECORDED[tool]).sort(), files.sort());
      for (const [file, [query, verdict, detail, readings = 1]] of Object.entries(RECORDED[tool])) {
        const report = reportTool(tool, query, recording(tool, file), { nowSec: NOW_SEC });
        assert.equal(report.verdict, verdict, `${file}: ${report.detail}`);
        assert.match(report.detail, detail, file);
        assert.equal(report.readings.length, readings, file);
        assert.equal(
          report.readings.some(({ raw }) => raw !== undefined),
          verdict === "unknown",
        );
      }
    });
  }

  it("give the values of a chip's two rows, and the last pair as the HBM", () => {
    const info = value("npu-smi", "info", recording("npu-smi", "info.a2-8x910b3-idle"));
    assert.equal(info["version"], "23.0.0");
    assert.deepEqual((info["chips"] as unknown[])[2], {
      ...{ npuId: 2, chipId: 0, name: "910B3", health: "OK", busId: "0000:81:00.0" },
      ...{ hbmUsedMb: 3308, hbmTotalMb: 65536 },
    });
    assert.deepEqual(info["processes"], []);
    const without = recording("npu-smi", "info.a2-910b1-no-process-table");
    assert.equal(value("npu-smi", "info", without)["processes"], undefined);
  });

  it("give name, switch and frame size of the neighbour", () => {
    assert.deepEqual(value("hccn_tool", "lldp", recording("hccn_tool", "lldp-g.full")), {
      portName: "400GE1/1/20:2",
      maxFrameSize: 9216,
    });
  });

  const VARIANTS: readonly [title: string, tool: ToolName, text: string, row: Row][] = [
    [
      "a blank line between the keys",
      "hccn_tool",
      "ipaddr:10.0.0.1\n\nnetmask:255.255.0.0\n",
      ["ip", "pass", /10\.0\.0\.1\/16/],
    ],
    [
      "blanks around the colon, a tab before, carriage returns",
      "hccn_tool",
      "\tlink status :  UP \r\n",
      ["link", "pass", /UP/],
    ],
    [
      "an address of IPv6",
      "hccn_tool",
      "ipaddr:fe80::1\nprefixlen:64\n",
      ["ip", "pass", /fe80::1\/64/],
    ],
    [
      "an address of IPv6 under other keys",
      "hccn_tool",
      "inet6 addr: fd00::10:1\nprefix len : 48\n",
      ["ip", "pass", /fd00::10:1\/48/],
    ],
    [
      "the address of a virtual NIC (A3)",
      "hccn_tool",
      "vnic ipaddr:192.168.9.2\nvnic netmask:255.255.255.0\n",
      ["vnic", "pass", /192\.168\.9\.2\/24/],
    ],
    [
      "a netmask that is none",
      "hccn_tool",
      "ipaddr:10.0.0.1\nnetmask:255.0.255.0\n",
      ["ip", "unknown", /255\.0\.255\.0 is none/],
    ],
    ["a link in lower case", "hccn_tool", "link status: up\n", ["link", "pass", /up/]],
    [
      "a link in a word of its own",
      "hccn_tool",
      "link status: TESTING\n",
      ["link", "fail", /TESTING/],
    ],
    ...[
      "Receive timeout",
      "Unreachable",
      "Detect ip set",
      "Time exceeded",
      "Thread error",
      "Sundry",
    ].map((word): [string, ToolName, string, Row] => [
      `the health ${word}`,
      "hccn_tool",
      `net health status: ${word}\n`,
      ["net_health", "fail", new RegExp(word)],
    ]),
    [
      "TLS of a build without preconfigured",
      "hccn_tool",
      "dev_id:3, tls switch[1](0:disable, 1:enable), tls alarm time threshold[60]days\n",
      ["tls", "pass", /enabled/],
    ],
    [
      "TLS that is on, with a certificate that has ended",
      "hccn_tool",
      `${TLS(1)}issuer: CN=x\nstart time: 2020-01-01 00:00:00\nend time: 2024-01-01 00:00:00\n`,
      ["tls", "fail", /expired on 2024-01-01/],
    ],
    [
      "TLS that is on, with a certificate that ends soon",
      "hccn_tool",
      `${TLS(1)}end time: 2025-01-20 00:00:00\n`,
      ["tls", "warn", /ends on 2025-01-20/],
    ],
    [
      "TLS that is off, with a certificate that has ended",
      "hccn_tool",
      `${TLS(0)}end time: 2024-01-01 00:00:00\ncert state: expired\n`,
      ["tls", "pass", /disabled/],
    ],
    [
      "TLS that is on, with an expiry state",
      "hccn_tool",
      `${TLS(1)}subject: CN=y\ncertificate state: expired\n`,
      ["tls", "fail", /state: expired/],
    ],
    [
      "TLS that is on, with a good expiry state",
      "hccn_tool",
      `${TLS(1)}certificate state: not expired\nend time: 2035-01-20 00:00:00\n`,
      ["tls", "pass", /enabled/],
    ],
    [
      "a speed that the NIC does not tell",
      "hccn_tool",
      "Speed: Unknown!\n",
      ["speed", "warn", /Unknown!/],
    ],
    ["FEC of another kind", "hccn_tool", "fec mode: base FEC mode\n", ["fec", "warn", /base/]],
    [
      "a module that cannot be reached",
      "hccn_tool",
      "The optical module's I2C link cannot be accessed.\n",
      ["optical", "fail", /cannot be accessed/],
    ],
    [
      "a healthy module, one value for all lanes",
      "hccn_tool",
      OPTICAL("Tx Power : 1.4 mW\nRx Power : 1.0 mW"),
      ["optical", "pass", /2 power values/],
    ],
    [
      "a healthy module that is hot",
      "hccn_tool",
      OPTICAL(
        "Tx Power0 : 1.4 mW\nRx Power0 : 1.0 mW\ntemperature : 81 C\nTemp High Thres : 70 C\nTemp Low Thres : 0 C",
      ),
      ["optical", "warn", /temperature 81 C is outside 0-70 C/],
    ],
    [
      "values that the module does not tell",
      "hccn_tool",
      OPTICAL("Tx Power : NA\nRx Power : not supported"),
      ["optical", "unknown", /not whole/],
    ],
    [
      "another tag of link_stat, down now",
      "hccn_tool",
      LINK_STAT(["Wed Aug  2 03:00:00 2022    LINK DOWN", "Tue Aug  1 00:00:00 2022    LINK UP"]),
      ["link_stat", "fail", /down since/],
    ],
    [
      "a link that flaps",
      "hccn_tool",
      LINK_STAT(
        Array.from({ length: 7 }, () => [
          "Wed Aug  2 03:00:01 2022    LINK UP",
          "Wed Aug  2 03:00:00 2022    LINK DOWN",
        ]).flat(),
      ),
      ["link_stat", "fail", /7 times within 24 h/],
    ],
    ["a partial loss", "hccn_tool", PING(3, 2, "33.33"), ["ping", "warn", /2 of 3/]],
    ["a whole loss", "hccn_tool", PING(3, 0, "100.00"), ["ping", "fail", /0 of 3/]],
    [
      "a ping without a summary",
      "hccn_tool",
      "device 0 PING 10.0.0.1\nrecv seq=0,time=0.1ms\n",
      ["ping", "unknown", /without a summary/],
    ],
    [
      "a summary that contradicts itself",
      "hccn_tool",
      PING(3, 0, "0.00"),
      ["ping", "unknown", /contradicts/],
    ],
    [
      "packet errors",
      "hccn_tool",
      "packet statistics:\nroce_rx_err_pkt_num:7\nroce_tx_err_pkt_num:0\n",
      ["stat", "warn", /roce_rx_err_pkt_num 7/],
    ],
    [
      "an NPU in use",
      "hccn_tool",
      "Bandwidth TX: 3.50 MB/sec\nBandwidth RX: 0.00 MB/sec\n",
      ["bandwidth", "warn", /sends 3\.5/],
    ],
    [
      "queue pairs on an idle NPU",
      "hccn_tool",
      "[devid 0] pd_alloc: 1\n[devid 0] qp_active: 9\n",
      ["hw_stats", "warn", /9 active/],
    ],
    [
      "double-bit errors",
      "npu-smi",
      recording("npu-smi", "info-t-ecc.zero").replace(
        "HBM Double Bit Error Count               : 0",
        "HBM Double Bit Error Count : 2",
      ),
      ["ecc", "fail", /2 double-bit/],
    ],
    [
      "isolated pages",
      "npu-smi",
      recording("npu-smi", "info-t-ecc.zero").replace(
        "HBM Single Bit Isolated Pages Count      : 0",
        "HBM Single Bit Isolated Pages Count : 1",
      ),
      ["ecc", "warn", /1 isolated/],
    ],
    [
      "a driver that does not fit the firmware",
      "npu-smi",
      recording("npu-smi", "info-t-board.card").replace(
        /Compatibility\s*: OK/,
        "Compatibility : NOT OK",
      ),
      ["board", "fail", /NOT OK/],
    ],
    [
      "a chip with an alarm",
      "npu-smi",
      recording("npu-smi", "info-t-health.ok").replace("OK", "Alarm"),
      ["health", "fail", /Alarm/],
    ],
    [
      "a chip with an error code",
      "npu-smi",
      recording("npu-smi", "info-t-health.ok").replace("NA", "80CD8008"),
      ["health", "warn", /80CD8008/],
    ],
    [
      "a pair that is not on HCCS",
      "npu-smi",
      recording("npu-smi", "info-t-topo.910b").replace("HCCS       HCCS", "PIX        HCCS"),
      ["topo", "warn", /NPU0-NPU1 PIX/],
    ],
    [
      "a used HBM of five digits",
      "npu-smi",
      recording("npu-smi", "info.a2-8x910b3-idle").replace("3314 / 65536 ", "59017/ 65536 "),
      ["info", "pass", /8 chips/],
    ],
    ["two dies of one NPU (A3)", "npu-smi", A3_INFO, ["info", "pass", /2 chips/]],
    [
      "processes in bytes",
      "npu-smi",
      "| NPU     Chip | Process id | Process name | Process memory(B) |\n| 0 0 | 9 | python | 1024 |\n",
      ["processes", "warn", /1 processes/],
    ],
    [
      "no processes",
      "npu-smi",
      "| No running processes found in NPU 0 |\n",
      ["processes", "pass", /no processes/],
    ],
    [
      "an id map with a physical id (A3)",
      "npu-smi",
      "\tNPU ID  Chip ID  Chip Logic ID  Chip Phy-ID  Chip Name\n\t0  0  0  0  Ascend910\n\t0  2  -  -  Mcu\n",
      ["map", "pass", /2 chips/],
    ],
  ];
  for (const [title, tool, text, [query, verdict, detail]] of VARIANTS) {
    it(`read ${title}`, () => {
      const report = reportTool(tool, query, text, { nowSec: NOW_SEC });
      assert.equal(report.verdict, verdict, report.detail);
      assert.match(report.detail, detail);
    });
  }

  it("key the dies of an A3 by their physical id", () => {
    const chips = value("npu-smi", "info", A3_INFO)["chips"] as Record<string, unknown>[];
    assert.deepEqual(
      chips.map(({ npuId, physicalId }) => [npuId, physicalId]),
      [
        [0, 0],
        [0, 1],
      ],
    );
  });

  it("take a tool that ended with an error for unknown, whatever it printed, unless it printed a fault", () => {
    const link = TOOLS["hccn_tool"]["link"]!;
    assert.equal(readOutput(link, "link status: UP\n", 0).verdict, "pass");
    assert.equal(readOutput(link, "link status: UP\n", 1).verdict, "unknown");
    assert.equal(readOutput(link, "link status: DOWN\n", 1).verdict, "fail");
    assert.equal(readOutput(link, "link status: UP\nlink status: UP\n", 0).verdict, "unknown");
  });
});

describe("broken outputs", () => {
  const all = (Object.keys(RECORDED) as ToolName[]).flatMap((tool) =>
    Object.entries(RECORDED[tool]).map(([file, [query]]) => ({ tool, file, query })),
  );
  const anyRecording = fc.constantFrom(...all);

  it("are never a pass of any query when they are empty, noise, or of another query's tool", () => {
    const other = { hccn_tool: "npu-smi", "npu-smi": "hccn_tool" } as const;
    for (const tool of Object.keys(TOOLS) as ToolName[]) {
      for (const query of Object.keys(TOOLS[tool])) {
        for (const text of ["", "\n\n", "Command execute failed!\n", "Segmentation fault\n"]) {
          const report = reportTool(tool, query, text);
          assert.equal(report.verdict, "unknown", `${query}: ${JSON.stringify(text)}`);
          assert.notEqual(report.readings[0]!.raw, undefined);
        }
        for (const file of Object.keys(RECORDED[other[tool]])) {
          const { verdict } = reportTool(tool, query, recording(other[tool], file));
          assert.notEqual(verdict, "pass", `${query} on ${file}`);
        }
      }
    }
  });

  it("never throw, whatever the text is", () => {
    fc.assert(
      fc.property(
        anyRecording,
        fc.string({ maxLength: 200, unit: "grapheme" }),
        fc.nat(),
        ({ tool, file, query }, noise, at) => {
          const text = recording(tool, file);
          const place = at % (text.length + 1);
          const report = reportTool(tool, query, text.slice(0, place) + noise + text.slice(place));
          assert.ok(report.readings.length > 0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("are never better than the whole when they are cut at a line", () => {
    for (const { tool, file, query } of all) {
      const text = recording(tool, file);
      const lines = text.split("\n");
      const whole = reportTool(tool, query, text, { nowSec: NOW_SEC });
      // A loop that was cut is a shorter loop: the NPUs that are missing are the gate's business.
      if (whole.readings.length > 1 || whole.verdict === "pass") continue;
      for (let count = 0; count < lines.length - 1; count += 1) {
        const cut = reportTool(tool, query, `${lines.slice(0, count).join("\n")}\n`);
        assert.notEqual(cut.verdict, "pass", `${file} after ${count} lines`);
      }
    }
  });

  it("are a pass only with the values of the whole when they are cut anywhere", () => {
    for (const { tool, file, query } of all.filter(
      ({ file: name }) => !/loop8|mismatch|stat/.test(name),
    )) {
      const text = recording(tool, file).trimEnd();
      const whole = JSON.stringify(
        withoutOpenEnds(reportTool(tool, query, text).readings[0]!.value),
      );
      for (let end = 0; end < text.length; end += 1) {
        const [cut] = reportTool(tool, query, text.slice(0, end)).readings;
        if (cut!.verdict !== "pass") continue;
        assert.equal(JSON.stringify(withoutOpenEnds(cut!.value)), whole, `${file} cut at ${end}`);
      }
    }
  });

  it("are never a pass when the deciding word is garbled", () => {
    const deciding: readonly [ToolName, string, string, RegExp][] = [
      ["hccn_tool", "link", "link-g.up", /UP/],
      ["hccn_tool", "net_health", "net_health-g.success", /Success/],
      ["hccn_tool", "tls", "tls-g.grep-switch.disabled", /switch\[0\]/],
      ["hccn_tool", "ping", "ping-g.ok", /3 received/],
      ["hccn_tool", "fec", "fec-g.rs", /rs FEC/],
      ["hccn_tool", "ip", "ip-g.ok", /11\.12\.165\.80/],
      ["npu-smi", "health", "info-t-health.ok", /OK/],
      ["npu-smi", "info", "info.a2-8x910b3-idle", /OK/],
      ["npu-smi", "board", "info-t-board.card", /OK/],
    ];
    // Bytes that a broken terminal or memory leaves; digits and blanks could be another valid value.
    const garbage = fc.string({
      minLength: 1,
      maxLength: 6,
      unit: fc.constantFrom("\0", "ÿ", "#", "?", "~", "\u0007"),
    });
    fc.assert(
      fc.property(fc.constantFrom(...deciding), garbage, ([tool, query, file, word], noise) => {
        const text = recording(tool, file).replace(
          word,
          (found) => found.slice(0, 1) + noise + found.slice(1),
        );
        assert.notEqual(reportTool(tool, query, text).verdict, "pass", text);
      }),
      { numRuns: 200 },
    );
  });
});

/**
 * Without values whose text may go on at the cut: the last word of an output without its newline. A table that is cut between two
 * chips is the whole table of fewer chips; the gate counts them.
 */
function withoutOpenEnds(value: unknown): unknown {
  if (Array.isArray(value)) return [];
  if (typeof value !== "object" || value === null) return value;
  const open = new Set([
    "address",
    "portName",
    "certificateEnds",
    "changes",
    "upCount",
    ...[
      "chipTemperatureC",
      "powerW",
      "aicoreMhz",
      "firmwareVersion",
      "errorCode",
      "chips",
      "processes",
    ],
    "downsWithinDay",
  ]);
  return Object.fromEntries(Object.entries(value).filter(([key]) => !open.has(key)));
}

function value(tool: ToolName, query: string, text: string): Record<string, unknown> {
  return reportTool(tool, query, text).readings[0]!.value as Record<string, unknown>;
}

function recording(tool: ToolName, file: string): string {
  const path = join(RECORDINGS, tool, `${file}.txt`);
  const known = texts.get(path) ?? readFileSync(path, "utf8");
  texts.set(path, known);
  return known;
}

function TLS(state: 0 | 1): string {
  return `dev_id:0, tls switch[${state}](0:disable, 1:enable), tls preconfigured[1](0:non-preset, 1:preset), tls alarm time threshold[60]days\n`;
}

function OPTICAL(lines: string): string {
  const thresholds = ["TxPower", "RxPower"].map(
    (way) => `${way} High Thres : 3.5 mW\n${way} Low Thres : 0.1 mW\n`,
  );
  const flags = ["Tx Los", "Rx Los", "Tx LoL", "Rx LoL"].map((flag) => `${flag} Flag : 0x0\n`);
  return `optical info:\npresent : present\n${lines}\n${thresholds.join("")}${flags.join("")}`;
}

function LINK_STAT(records: readonly string[]): string {
  const lines = [
    "current time        : Wed Aug  2 03:09:26 2022",
    "link up count       : 1",
    "link change records :",
    ...records,
  ];
  return lines.map((line) => `[device 4]${line}\n`).join("");
}

function PING(sent: number, received: number, loss: string): string {
  return `device 2 PING 10.0.0.1\nrecv time out seq=0\n${sent} packets transmitted, ${received} received, ${loss}% packet loss\n`;
}
