// The package as others get it: packed from a clean copy of the sources, unpacked into examples/inference-cluster, and run there on
// the real engine. Does not prove that npm resolves its dependencies: they are linked from this repository's node_modules,
// but only those that the package names.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { repoDir } from "../../tools/setup/paths.mjs";
import { ensureToolchain } from "../../tools/setup/toolchain.mjs";

const run = promisify(execFile);
const API_KEY = "canary-api-key";

interface Manifest {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

describe("the npm package in a program of somebody else", function () {
  this.timeout(300_000);
  let dir: string;
  let program: string;
  let installed: string;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "package-"));
    const toolchain = await ensureToolchain({ need: { engine: true } });
    env = {
      ...toolchain.env,
      npm_config_cache: join(dir, "npm"),
      npm_config_update_notifier: "false",
      PULUMI_BACKEND_URL: `file://${join(dir, "state")}`,
      PULUMI_CONFIG_PASSPHRASE: "package-test",
    };
    mkdirSync(join(dir, "state"));
    program = join(dir, "program");
    cpSync(join(repoDir, "examples", "inference-cluster"), program, { recursive: true });
    installed = join(program, "node_modules", "pulumi-vllm-ascend");
    await unpack(await pack(), installed);
    linkDependencies();
    linkCommands();
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  /** From sources only, so that a stale or missing `dist/` of this checkout cannot matter. */
  async function pack(): Promise<string> {
    const copy = join(dir, "copy");
    mkdirSync(copy);
    const left = new Set([".cache", ".git", "dist", "node_modules", "test", "tools"]);
    for (const name of readdirSync(repoDir)) {
      if (!left.has(name)) cpSync(join(repoDir, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(repoDir, "node_modules"), join(copy, "node_modules"));
    await run("npm", ["pack", "--pack-destination", dir], { cwd: copy, env });
    const file = join(dir, `pulumi-vllm-ascend-${manifest(copy).version}.tgz`);
    assert.ok(existsSync(file), "the file that the example's package.json names");
    return file;
  }

  async function unpack(file: string, into: string): Promise<void> {
    mkdirSync(into, { recursive: true });
    await run("tar", ["-xzf", file, "-C", into, "--strip-components=1"]);
  }

  function linkDependencies(): void {
    const own = manifest(program);
    const { dependencies, peerDependencies } = manifest(installed);
    const names = { ...own.dependencies, ...own.devDependencies, ...dependencies };
    for (const name of Object.keys({ ...names, ...peerDependencies })) {
      const place = join(program, "node_modules", name);
      if (existsSync(place)) continue;
      mkdirSync(dirname(place), { recursive: true });
      symlinkSync(join(repoDir, "node_modules", name), place);
    }
  }

  /** As npm does: a link in `.bin`, executable. */
  function linkCommands(): void {
    const bin = join(program, "node_modules", ".bin");
    mkdirSync(bin);
    for (const [name, path] of Object.entries(manifest(installed).bin)) {
      chmodSync(join(installed, path), 0o755);
      symlinkSync(join("..", "pulumi-vllm-ascend", path), join(bin, name));
    }
  }

  const inProgram = (command: string, ...args: string[]) =>
    run(command, args, { cwd: program, env, maxBuffer: 64 * 2 ** 20 });

  it("contains compiled code, types and every file for the hosts, and no sources or tests", () => {
    const files = readdirSync(installed, { recursive: true, encoding: "utf8" });
    const forHosts = readdirSync(join(repoDir, "node"), { recursive: true, encoding: "utf8" });
    for (const name of forHosts.filter((path) => /\.(sh|py)$/.test(path))) {
      assert.ok(files.includes(`node/${name}`), name);
    }
    assert.ok(files.includes("dist/components/index.d.ts"));
    assert.deepEqual(
      files.filter((file) => /^(test|tools|dist\/test)\b|(?<!\.d)\.ts$|__pycache__/.test(file)),
      [],
    );
  });

  it("names the version and the engine that the example asks for", () => {
    const own = manifest(program);
    assert.equal(
      own.dependencies?.["pulumi-vllm-ascend"],
      `file:pulumi-vllm-ascend-${manifest(installed).version}.tgz`,
    );
    assert.equal(
      own.dependencies?.["@pulumi/pulumi"],
      manifest(installed).peerDependencies?.["@pulumi/pulumi"],
    );
    const { devDependencies } = manifest(repoDir);
    for (const name of ["tsx"]) assert.equal(own.dependencies?.[name], devDependencies?.[name]);
    for (const name of ["typescript", "@types/node"])
      assert.equal(own.devDependencies?.[name], devDependencies?.[name]);
  });

  it("has types with which a strict TypeScript program compiles", async () => {
    await inProgram("node", "node_modules/typescript/bin/tsc", "-p", ".");
  });

  it("is previewed by the engine, with all resources of the cluster and no secret", async () => {
    await inProgram("pulumi", "stack", "init", "prod", "--non-interactive");
    await inProgram("pulumi", "config", "set", "--secret", "apiKey", API_KEY, "--stack", "prod");
    const { stdout } = await inProgram("pulumi", "preview", "--json", "--stack", "prod");
    const { steps } = JSON.parse(stdout) as { steps: { op: string; urn: string }[] };
    const types = steps.map(({ urn }) => urn.split("::")[2]?.split("$").at(-1));
    const count = (type: string) => types.filter((name) => name === type).length;
    assert.ok(steps.every(({ op }) => op === "create"));
    assert.equal(count("vllm-ascend:index:InferenceCluster"), 1);
    assert.equal(count("vllm-ascend:index:AscendNode"), 2);
    assert.equal(count("docker:index/container:Container"), 2);
    assert.ok(!stdout.includes(API_KEY));
  });

  it("brings vllm-cluster, which finds the example's stack", async () => {
    const { stdout } = await inProgram(
      ...(["npx", "--no", "vllm-cluster", "render", "--stack", "prod"] as const),
    );
    assert.match(stdout, /^# node0: head, ranks 0-7 on NPUs 0-7\nssh root@192\.0\.2\.11\n/);
  });

  it("brings the provider gpustack, which the engine starts from the folder that Pulumi.yaml names", async () => {
    const project = join(dir, "gpustack");
    mkdirSync(project);
    symlinkSync(join(program, "node_modules"), join(project, "node_modules"));
    const yaml = readFileSync(join(program, "Pulumi.yaml"), "utf8");
    const plugins = /^```yaml\n(plugins:\n[^`]*)```/m.exec(
      readFileSync(join(repoDir, "docs", "gpustack.md"), "utf8"),
    )?.[1];
    assert.ok(plugins !== undefined, "docs/gpustack.md shows the plugins of Pulumi.yaml");
    writeFileSync(join(project, "Pulumi.yaml"), `${yaml.replace("serving", "gpustack")}${plugins}`);
    writeFileSync(join(project, "package.json"), '{"type":"module"}');
    const write = (version: string) =>
      writeFileSync(
        join(project, "index.ts"),
        `import { BackendVersion } from "pulumi-vllm-ascend/gpustack";\nnew BackendVersion("version", { version: "${version}", imageName: "a/b:c" });\n`,
      );
    const pulumi = (...args: string[]) => run("pulumi", args, { cwd: project, env });
    write("1-custom");
    await pulumi("stack", "init", "prod", "--non-interactive");
    const { stdout } = await pulumi("preview", "--json", "--stack", "prod");
    const { steps } = JSON.parse(stdout) as { steps: { op: string; urn: string }[] };
    assert.ok(steps.some(({ urn }) => urn.endsWith("gpustack:index:BackendVersion::version")));
    write("1");
    // Only the provider's own process knows this rule.
    await assert.rejects(
      pulumi("preview", "--stack", "prod"),
      ({ stdout: text }: { stdout: string }) => /version: must end in "-custom"/.test(text),
    );
  });

  it("runs its CLI on every Node of this machine from 20 on", async () => {
    const folders = new Set(`${env["PATH"]}:${process.env["PATH"]}`.split(":"));
    const nodes = [...folders].map((folder) => join(folder, "node")).filter(existsSync);
    assert.ok(nodes.length > 0);
    for (const node of nodes) {
      const { stdout: version } = await run(node, ["--version"]);
      if (Number(/^v(\d+)/.exec(version)?.[1]) < 20) continue;
      const { stdout } = await inProgram(node, "node_modules/.bin/vllm-cluster", "--help");
      assert.match(stdout, /^Usage: vllm-cluster/, version);
    }
  });

  it("gives no way to modules that are not public", async () => {
    const script = 'await import("pulumi-vllm-ascend/dist/core/spec/parse.js")';
    await assert.rejects(
      inProgram("node", "--input-type=module", "--eval", script),
      /ERR_PACKAGE_PATH_NOT_EXPORTED/,
    );
  });
});

function manifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}
