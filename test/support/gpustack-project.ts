import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { repoDir } from "../../tools/setup/paths.mjs";

/** What the program of the project creates; a missing part is not created. */
export interface GpustackProgram {
  readonly version?: object;
  readonly group?: object;
  /** Resource option `import` of the two. */
  readonly importVersion?: string;
  readonly importGroup?: string;
  /** Inputs of a `GpustackCluster`. */
  readonly cluster?: object;
  readonly lookUp?: boolean;
  /** Name of a variable of the group's head that is secret. */
  readonly secretEnv?: readonly [name: string, value: string];
}

export interface PulumiResult {
  readonly code: number;
  readonly text: string;
}

/**
 * A program of the provider `gpustack` under the real CLI, with a state of its own. With `kind` `stack-file` it is this
 * repository's own program, which reads the stack file.
 */
export class GpustackProject {
  private readonly env: NodeJS.ProcessEnv;

  constructor(
    readonly dir: string,
    readonly toolchainEnv: NodeJS.ProcessEnv,
    server: { readonly url: string; readonly apiKey: string; readonly inferenceKey?: string },
    kind: "program" | "stack-file" = "program",
  ) {
    mkdirSync(join(dir, "state"), { recursive: true });
    symlinkSync(join(repoDir, "node_modules"), join(dir, "node_modules"));
    writeFileSync(
      join(dir, "package.json"),
      JSON.stringify({ name: "gpustack-test", type: "module" }),
    );
    writeFileSync(
      join(dir, "Pulumi.yaml"),
      [
        `name: ${kind === "program" ? "gpustack-test" : "vllm-ascend"}`,
        "runtime: { name: nodejs, options: { typescript: false, nodeargs: --import tsx } }",
        "main: index.ts",
        "plugins:",
        "  providers:",
        `    - { name: gpustack, path: ${join(repoDir, "provider")} }`,
        "",
      ].join("\n"),
    );
    const program = kind === "program" ? PROGRAM : 'export * from "<repository>/index.js";\n';
    writeFileSync(join(dir, "index.ts"), program.replaceAll("<repository>", repoDir));
    this.env = {
      ...toolchainEnv,
      GPUSTACK_URL: server.url,
      GPUSTACK_API_KEY: server.apiKey,
      ...(server.inferenceKey === undefined ? {} : { GPUSTACK_INFERENCE_KEY: server.inferenceKey }),
      PULUMI_BACKEND_URL: `file://${join(dir, "state")}`,
      PULUMI_CONFIG_PASSPHRASE: "test",
    };
  }

  async init(): Promise<void> {
    await this.must(["stack", "init", "test"]);
  }

  write(program: GpustackProgram): void {
    writeFileSync(join(this.dir, "program.json"), JSON.stringify(program));
  }

  /** `pulumi <args>` after the program was written. */
  async run(
    args: readonly string[],
    program?: GpustackProgram,
    env: NodeJS.ProcessEnv = {},
  ): Promise<PulumiResult> {
    if (program !== undefined) this.write(program);
    return this.spawn(["pulumi", "--non-interactive", "--color=never", ...args], env);
  }

  /** `vllm-cluster <args>` in the folder of the project. */
  cluster(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<PulumiResult> {
    const main = join(repoDir, "cli", "main.ts");
    return this.spawn([process.execPath, "--import", "tsx", main, ...args], env);
  }

  private spawn(
    [command, ...args]: readonly string[],
    env: NodeJS.ProcessEnv,
  ): Promise<PulumiResult> {
    return new Promise((resolve, reject) => {
      const child = spawn(command!, args, {
        cwd: this.dir,
        env: { ...this.env, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let text = "";
      child.stdout.on("data", (chunk) => {
        text += String(chunk);
      });
      child.stderr.on("data", (chunk) => {
        text += String(chunk);
      });
      const limit = setTimeout(() => child.kill("SIGKILL"), 900_000);
      child.on("error", reject);
      child.on("close", (code) => {
        clearTimeout(limit);
        resolve({ code: code ?? -1, text });
      });
    });
  }

  async must(args: readonly string[], program?: GpustackProgram): Promise<string> {
    const { code, text } = await this.run(args, program);
    if (code !== 0) throw new Error(`pulumi ${args.join(" ")} ended with ${code}:\n${text}`);
    return text;
  }

  up(program?: GpustackProgram): Promise<PulumiResult> {
    return this.run(["up", "--yes", "--skip-preview", "--stack", "test"], program);
  }

  async mustUp(program?: GpustackProgram): Promise<string> {
    return this.must(["up", "--yes", "--skip-preview", "--stack", "test"], program);
  }

  /** Removes the pair and its version from the state; what runs is nobody's then. */
  async forget(): Promise<void> {
    for (const name of ["DeploymentGroup::pair", "BackendVersion::version"]) {
      const urn = `urn:pulumi:test::gpustack-test::gpustack:index:${name}`;
      await this.must(["state", "delete", urn, "--yes", "--stack", "test"]);
    }
  }

  /** What a preview would change, as `op name`. */
  async preview(program?: GpustackProgram, env?: NodeJS.ProcessEnv): Promise<string[]> {
    const { code, text } = await this.run(["preview", "--json", "--stack", "test"], program, env);
    if (code !== 0) throw new Error(text);
    const { steps } = JSON.parse(text.slice(text.indexOf("{"))) as {
      steps: { op: string; urn: string }[];
    };
    return steps
      .filter(({ op, urn }) => op !== "same" && !urn.includes("pulumi:pulumi:Stack"))
      .map(({ op, urn }) => `${op} ${urn.split("::").at(-1)}`)
      .sort();
  }

  async outputs(): Promise<Record<string, unknown>> {
    const text = await this.must(["stack", "output", "--json", "--stack", "test"]);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** Everything that Pulumi has written below the project, as one text. */
  stateText(): string {
    const state = join(this.dir, "state");
    return readdirSync(state, { recursive: true, encoding: "utf8" })
      .map((path) => join(state, path))
      .filter((path) => path.endsWith(".json"))
      .map((path) => readFileSync(path, "utf8"))
      .join("\n");
  }

  remove(): void {
    if (existsSync(this.dir)) rmSync(this.dir, { recursive: true });
  }
}

const PROGRAM = `import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import * as gpustack from "<repository>/components/gpustack/index.js";

const program = JSON.parse(readFileSync("program.json", "utf8"));
const outputs = {};
let version;
if (program.version) {
  version = new gpustack.BackendVersion("version", program.version, { import: program.importVersion });
}
if (program.group) {
  if (program.secretEnv) {
    const [name, value] = program.secretEnv;
    program.group.members[0].env[name] = pulumi.secret(value);
  }
  const group = new gpustack.DeploymentGroup(
    "pair",
    { ...program.group, backendVersionHash: version?.contentHash },
    { dependsOn: version ? [version] : [], import: program.importGroup },
  );
  outputs.route = group.route;
  outputs.instances = group.instances;
}
if (program.cluster) {
  const cluster = new gpustack.GpustackCluster(program.cluster);
  outputs.model = cluster.model;
  outputs.instances = cluster.instances;
}
if (program.lookUp) {
  outputs.workers = gpustack.getWorkers().workers;
  outputs.npus = gpustack.getNpus({ worker: "node-a" }).npus;
}
export default outputs;
`;
