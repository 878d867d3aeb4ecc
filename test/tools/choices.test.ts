import assert from "node:assert/strict";
import { chooseSource, withFirst } from "../../tools/setup/engine.mjs";
import { archiveName, findChecksum } from "../../tools/setup/official.mjs";
import { isInstalled } from "../../tools/setup/packages.mjs";

describe("where a part of the toolchain comes from", () => {
  const none = { machine: false, official: false, built: false };

  it("is the machine, then an official copy, then an own build; only what is missing is fetched", () => {
    assert.equal(chooseSource({ machine: true, official: true, built: true }, true), "machine");
    assert.equal(chooseSource({ ...none, official: true, built: true }, true), "official");
    assert.equal(chooseSource({ ...none, built: true }, true), "built");
    assert.equal(chooseSource(none, true), "official");
    assert.equal(chooseSource(none, false), "built");
  });

  it("does not move a folder of PATH in front of the others", () => {
    assert.equal(
      withFirst(["/cache/node", "/usr/bin"], "/go/bin:/usr/bin"),
      "/cache/node:/go/bin:/usr/bin",
    );
  });

  it("finds the checksum of exactly the wanted archive", () => {
    const wanted = "ab".repeat(32);
    const list = `${"cd".repeat(32)}  pulumi-v3.259.0-darwin-x64.tar.gz\n${wanted}  ${archiveName("3.259.0")}\n`;
    assert.equal(findChecksum(list, archiveName("3.259.0")), wanted);
    assert.equal(findChecksum(list, archiveName("3.259.1")), undefined);
    assert.equal(findChecksum("<html>not found</html>", archiveName("3.259.0")), undefined);
  });
});

describe("npm packages are installed", () => {
  const wanted = {
    packages: {
      "": {},
      "node_modules/zod": { version: "4.6.7", integrity: "sha512-a" },
      "node_modules/@esbuild/android-arm64": {
        version: "1.0.0",
        integrity: "sha512-b",
        optional: true,
      },
    },
  };
  const zod = { version: "4.6.7", integrity: "sha512-a" };

  it("when npm's own note agrees with the lock file, other platforms' packages aside", () => {
    assert.equal(isInstalled(wanted, { packages: { "node_modules/zod": zod } }), true);
  });

  it("not when a package is missing, other, or no longer wanted", () => {
    assert.equal(isInstalled(wanted, { packages: {} }), false);
    assert.equal(
      isInstalled(wanted, { packages: { "node_modules/zod": { ...zod, version: "4.6.8" } } }),
      false,
    );
    assert.equal(
      isInstalled(wanted, { packages: { "node_modules/zod": zod, "node_modules/old": zod } }),
      false,
    );
  });
});
