import assert from "node:assert/strict";
import { findProblems, renderFindings } from "../../tools/setup/checks.mjs";

type Machine = Parameters<typeof findProblems>[0];
type Wanted = Parameters<typeof findProblems>[1];

const TOOLS = [
  ...["git", "go", "npm", "tar", "flock", "setpriv", "ssh", "ssh-keygen", "ssh-agent", "ssh-add"],
  ...["apt-get", "dpkg-deb", "ip", "mount", "nsenter", "unshare"],
];
const GOOD: Machine = {
  platform: "linux",
  arch: "x64",
  nodeVersion: "20.20.2",
  isRoot: true,
  tools: Object.fromEntries(TOOLS.map((name) => [name, `/usr/bin/${name}`])),
  goVersion: "go1.26.8",
  freeDiskGb: 80,
  availableMemoryGb: 20,
  overlayProblem: undefined,
};
const EVERYTHING: Wanted = { engine: true, lab: true, build: true, labBuild: true };

describe("preflight of the machine", () => {
  it("finds nothing on a good machine", () => {
    assert.deepEqual(findProblems(GOOD, EVERYTHING), []);
  });

  const faults: [name: string, change: Partial<Machine>, problem: string][] = [
    ["platform", { platform: "darwin" }, "darwin on x64"],
    ["node", { nodeVersion: "18.20.0" }, "Node 18.20.0"],
    ["base tools", { tools: { ...GOOD.tools, git: undefined } }, "not on PATH: git"],
    [
      "ssh client",
      { tools: { ...GOOD.tools, ssh: undefined, "ssh-add": undefined } },
      "not on PATH: ssh, ssh-add",
    ],
    ["go", { goVersion: undefined }, "no `go` on PATH"],
    ["go", { goVersion: "go1.19.8" }, "go1.19.8 on PATH"],
    ["lab platform", { arch: "arm64" }, "the lab's images exist for x64, not arm64"],
    ["root", { isRoot: false }, "not root"],
    ["lab tools", { tools: { ...GOOD.tools, ip: undefined } }, "not on PATH: ip"],
    [
      "overlay filesystem",
      { overlayProblem: "mount: unknown filesystem type" },
      "mount: unknown filesystem type",
    ],
    ["disk for the lab", { freeDiskGb: 12.34 }, "12.3 GB free on the disk of the cache, wanted 20"],
    ["memory for the lab", { availableMemoryGb: 4 }, "4.0 GB of memory available, wanted 8"],
  ];
  for (const [name, change, problem] of faults) {
    it(`names ${name}: ${problem}`, () => {
      const findings = findProblems({ ...GOOD, ...change }, EVERYTHING);
      assert.deepEqual(
        findings.map((finding) => [finding.check, finding.problem]),
        [[name, problem]],
      );
    });
  }

  it("refuses an architecture that the engine is not built for", () => {
    const wanted = { ...EVERYTHING, lab: false };
    const findings = findProblems({ ...GOOD, arch: "riscv64" }, wanted);
    assert.deepEqual(
      findings.map(({ problem }) => problem),
      ["linux on riscv64"],
    );
  });

  it("reports everything at once, each with its remedy", () => {
    const findings = findProblems(
      { ...GOOD, isRoot: false, goVersion: undefined, freeDiskGb: 1 },
      EVERYTHING,
    );
    assert.deepEqual(
      findings.map(({ check }) => check),
      ["go", "disk for the engine", "root", "disk for the lab"],
    );
    assert.equal(renderFindings(findings).match(/^ {4}remedy: ./gm)?.length, 4);
  });

  it("asks only for what is about to run", () => {
    const bad = {
      ...GOOD,
      isRoot: false,
      goVersion: undefined,
      freeDiskGb: 1,
      availableMemoryGb: 1,
    };
    assert.deepEqual(
      findProblems(bad, { engine: false, lab: false, build: false, labBuild: true }),
      [],
    );
    assert.deepEqual(
      findProblems(bad, { engine: true, lab: false, build: false, labBuild: true }),
      [],
    );
  });
});
