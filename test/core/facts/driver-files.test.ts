// Reads the files of driver and firmware as recorded on real hosts. Does not prove that a driver follows its own ranges.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { parseHccnConf } from "../../../core/facts/driver-files/hccn-conf.js";
import {
  compareVersions,
  isAccepted,
  parseVersionInfo,
} from "../../../core/facts/driver-files/version-info.js";

const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), "fixtures");
const file = (name: string) => readFileSync(join(FIXTURES, name), "utf8");

describe("parseVersionInfo", () => {
  it("reads version and range of the recorded driver and firmware", () => {
    const driver = parseVersionInfo(file("driver.version.info"), "compatible_version_fw");
    const firmware = parseVersionInfo(file("firmware.version.info"), "compatible_version_drv");
    assert.deepEqual(driver, {
      version: "23.0.7",
      accepts: [{ from: "7.0.0", to: "7.1.99" }],
    });
    assert.deepEqual(firmware, {
      version: "7.1.0.11.220",
      accepts: [
        { from: "23.0.rc3", to: "23.0.rc3." },
        { from: "23.0.0", to: "23.0.0." },
      ],
    });
    // The recording itself is one-sided: the driver accepts the firmware, the firmware does not list the driver.
    assert.equal(isAccepted(firmware!.version, driver!.accepts!), true);
    assert.equal(isAccepted(driver!.version, firmware!.accepts!), false);
  });

  it("gives nothing for a file without a version, and no range where none is named", () => {
    assert.equal(parseVersionInfo("", "compatible_version_fw"), undefined);
    assert.equal(parseVersionInfo("Version=\n", "compatible_version_fw"), undefined);
    assert.deepEqual(parseVersionInfo("Version=24.1.0\r\n", "compatible_version_fw"), {
      version: "24.1.0",
    });
  });
});

describe("versions of driver and firmware", () => {
  it("are in their order", () => {
    const ordered = [
      "7.1",
      "7.1.0.7.220",
      "7.1.99",
      "23.0.rc2",
      "23.0.rc3",
      "23.0.0",
      "23.0.7",
      "24.1.rc1",
      "24.1.0",
    ];
    const sorted = ordered.toReversed().sort(compareVersions);
    assert.deepEqual(sorted, ordered);
    assert.equal(compareVersions("7.1", "7.1.0"), 0);
  });

  for (const [version, from, to, expected] of [
    ["7.1.99", "7.0.0", "7.1.99", true],
    ["7.0.0", "7.0.0", "7.1.99", true],
    ["7.2.0", "7.0.0", "7.1.99", false],
    ["6.9.9", "7.0.0", "7.1.99", false],
    ["23.0.0.5", "23.0.0", "23.0.0.", true],
    ["23.0.0", "23.0.0", "23.0.0.", true],
    ["23.0.01", "23.0.0", "23.0.0.", false],
    ["23.0.rc3.b060", "23.0.rc3", "23.0.rc3.", true],
    ["23.0.rc2", "23.0.rc3", "23.0.rc3.", false],
  ] as const) {
    it(`${version} is ${expected ? "" : "not "}in [${from},${to}]`, () => {
      assert.equal(isAccepted(version, [{ from, to }]), expected);
    });
  }

  it("have one order, whatever they are", () => {
    const component = fc.oneof(
      fc.nat(99).map(String),
      fc.nat(9).map((n) => `rc${n}`),
      fc.constantFrom("t10", "b060", ""),
    );
    const version = fc.array(component, { minLength: 1, maxLength: 5 }).map((c) => c.join("."));
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        assert.equal(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a)), 0);
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) {
          assert.ok(compareVersions(a, c) <= 0);
        }
      }),
    );
  });
});

describe("parseHccnConf", () => {
  it("reads the recorded file, with ids left out", () => {
    const { npus, unknownLines } = parseHccnConf(file("hccn.conf"));
    assert.deepEqual([...npus.keys()], [0, 7]);
    assert.deepEqual(npus.get(7), {
      address: "29.1.170.143",
      netmask: "255.255.0.0",
      netdetect: "29.1.0.1",
      gateway: "29.1.0.1",
    });
    assert.deepEqual(unknownLines, []);
  });

  it("keeps what it does not understand", () => {
    const { npus, unknownLines } = parseHccnConf(
      "# note\naddress_1 = 10.0.0.1\r\ntls_enable_1=0\naddress=1\n<html>",
    );
    assert.deepEqual(npus.get(1), { address: "10.0.0.1", tlsEnable: "0" });
    assert.deepEqual(unknownLines, ["address=1", "<html>"]);
  });
});
