import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { archiveName } from "../../tools/setup/official.mjs";

describe("set-up", function () {
  this.timeout(20_000);
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "set-up-"));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  function start(script: string, ...args: string[]): ChildProcess {
    const path = fileURLToPath(new URL(`fixtures/${script}`, import.meta.url));
    return spawn(process.execPath, [path, ...args], {
      env: { ...process.env, VLLM_ASCEND_CACHE: join(dir, "cache") },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  async function run(script: string, ...args: string[]) {
    const child = start(script, ...args);
    let output = "";
    child.stdout?.on("data", (chunk) => {
      output += String(chunk);
    });
    child.stderr?.on("data", (chunk) => {
      output += String(chunk);
    });
    const [code] = (await once(child, "close")) as [number | null];
    return { code, output };
  }

  describe("of a part", () => {
    const made = () => readFileSync(join(dir, "part.made"), "utf8");
    const make = (inputs: string, milliseconds = 0) =>
      run("make-part.mjs", join(dir, "part"), inputs, String(milliseconds));

    it("makes it again only when its inputs have changed or it is gone", async () => {
      await make("a");
      await make("a");
      assert.equal(made(), "a\n");
      await make("b");
      assert.equal(made(), "a\nb\n");
      rmSync(join(dir, "part"));
      await make("b");
      assert.equal(made(), "a\nb\nb\n");
    });

    it("makes it once when two start at the same time", async () => {
      const outputs = await Promise.all([make("a", 1500), make("a", 1500)]);
      assert.equal(made(), "a\n");
      assert.deepEqual(
        outputs.map(({ code }) => code),
        [0, 0],
      );
      assert.match(
        outputs.map(({ output }) => output).join(""),
        /another set-up makes it \(process \d+\)/,
      );
    });

    it("is taken over from a set-up that was killed", async () => {
      const killed = start("make-part.mjs", join(dir, "part"), "a", "60000");
      while (!existsSync(join(dir, "part.made"))) await sleep(50);
      killed.kill("SIGKILL");
      await once(killed, "close");
      assert.equal((await make("a")).code, 0);
      assert.equal(made(), "a\na\n");
    });
  });

  describe("of the official engine", () => {
    const VERSION = "3.259.0";
    let server: Server;
    let releases: string;
    let files: Map<string, Buffer | string>;
    beforeEach(async () => {
      files = new Map();
      server = createServer((request, response) => {
        const body = files.get(request.url ?? "");
        response.writeHead(body === undefined ? 404 : 200).end(body);
      });
      await once(server.listen(0, "127.0.0.1"), "listening");
      releases = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    afterEach(() => {
      server.close();
    });

    function publish(checksum?: string): void {
      const bin = join(dir, "release", "pulumi");
      mkdirSync(bin, { recursive: true });
      for (const name of ["pulumi", "pulumi-language-nodejs"]) writeFileSync(join(bin, name), name);
      const archive = join(dir, archiveName(VERSION));
      assert.equal(
        spawnSync("tar", ["-czf", archive, "-C", join(dir, "release"), "pulumi"]).status,
        0,
      );
      const content = readFileSync(archive);
      const sum = checksum ?? createHash("sha256").update(content).digest("hex");
      files.set(`/${archiveName(VERSION)}`, content);
      files.set(`/pulumi-${VERSION}-checksums.txt`, `${sum}  ${archiveName(VERSION)}\n`);
    }

    it("downloads, checks and unpacks it", async () => {
      publish();
      const { code, output } = await run("install-official.mjs", releases, VERSION);
      assert.equal(code, 0, output);
      const bin = output.trim().split("\n").at(-1) ?? "";
      assert.equal(
        readFileSync(join(bin, "pulumi-language-nodejs"), "utf8"),
        "pulumi-language-nodejs",
      );
    });

    it("installs nothing when the checksum is not the published one", async () => {
      publish("0".repeat(64));
      const { code, output } = await run("install-official.mjs", releases, VERSION);
      assert.equal(code, 1);
      assert.match(output, /the download was changed on its way/);
      assert.equal(existsSync(join(dir, "cache", "engine", "official")), false);
    });

    it("says why when there are no downloads", async () => {
      assert.match(
        (await run("install-official.mjs", releases, VERSION)).output,
        /"reachable":false,"reason":"HTTP 404"/,
      );
      server.close();
      assert.match(
        (await run("install-official.mjs", releases, VERSION)).output,
        /"reachable":false,"reason":"connect ECONNREFUSED/,
      );
    });
  });
});
