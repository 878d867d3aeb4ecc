// The steps of the workflows for GitHub Actions, run one after another as a runner would, on this program, the real engine and a stand-in
// of GitHub's API, against a pull request's event. Left out are `uses` steps, installing, the repository's own tests, and `up`, which needs hosts. Does not
// prove what GitHub makes of the files.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { LabProject } from "../../tools/lab-stack/project.mjs";
import { repoDir } from "../../tools/setup/paths.mjs";
import { FakeReviewApi } from "../support/fake-review-api.js";
import { rawCluster } from "../support/specs.js";
import { engineToolchain } from "../support/toolchain.js";

interface Workflow {
  readonly env?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      { readonly steps: readonly { name?: string; run?: string; env?: Record<string, string> }[] }
    >
  >;
}

const TOKEN = "canary-github-token";
const HEAD_SHA = "a".repeat(40);
/** What the templates read of a pull request's event and of the repository's secrets. */
const CONTEXT: Readonly<Record<string, string>> = {
  "github.token": TOKEN,
  "github.event.pull_request.number": "7",
  "github.event.workflow_run.head_sha": HEAD_SHA,
};

describe("the steps of the GitHub workflows", function () {
  this.timeout(300_000);
  let project: LabProject;
  let api: FakeReviewApi;
  let temp: string;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    const toolchain = await engineToolchain();
    temp = mkdtempSync(join(tmpdir(), "runner-"));
    project = new LabProject({
      dir: mkdtempSync(join(tmpdir(), "ci-")),
      stack: "prod",
      env: toolchain.env,
      agentSocket: "",
    });
    await project.init();
    await project.setApiKey("canary-api-key");
    const cluster = rawCluster();
    await project.setCluster(cluster);
    api = new FakeReviewApi(TOKEN);
    env = {
      ...project.env,
      PULUMI_CONFIG_PASSPHRASE: readFileSync(
        project.env["PULUMI_CONFIG_PASSPHRASE_FILE"] ?? "",
        "utf8",
      ),
      GITHUB_REPOSITORY: "acme/serving",
      GITHUB_API_URL: await api.start(),
      GITHUB_STEP_SUMMARY: join(temp, "summary.md"),
      RUNNER_TEMP: temp,
    };
    git("init", "--quiet");
    writeFileSync(join(project.dir, ".gitignore"), "*\n!stacks/\n!stacks/*\n");
    commit("base");
    cluster.serve.maxNumSeqs = 77;
    await project.setCluster(cluster);
    commit("change");
  });
  after(() => {
    api?.stop();
    project?.remove();
  });

  function git(...args: string[]): void {
    const { status, stderr } = spawnSync("git", args, { cwd: project.dir, encoding: "utf8" });
    assert.equal(status, 0, stderr);
  }

  function commit(message: string): void {
    git("add", "--all");
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", message);
  }

  /** Runs the steps of a job that run something, but for `Install` and `Tests`. */
  async function runJob(
    file: string,
    job: string,
    more: NodeJS.ProcessEnv = {},
  ): Promise<{ code: number; text: string }> {
    const path = join(repoDir, "templates/github-actions", file);
    const workflow = parse(readFileSync(path, "utf8")) as Workflow;
    let text = "";
    for (const { name, run, env: own = {} } of workflow.jobs[job]?.steps ?? []) {
      if (run === undefined || name === "Install" || name === "Tests") continue;
      const stepEnv = { ...env, ...workflow.env, ...valuesOf(own), ...more };
      const result = await bash(run, stepEnv);
      text += `--- ${name}\n${result.text}`;
      if (result.code !== 0) return { code: result.code, text };
    }
    return { code: 0, text };
  }

  /** The expressions of a step's environment, as the runner would fill them in. */
  function valuesOf(own: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
    return Object.fromEntries(
      Object.entries(own).map(([name, value]) => [
        name,
        value.replaceAll(/\$\{\{ ([\w.]+) \}\}/g, (_, key: string) => {
          if (key === "runner.temp") return temp;
          if (key.startsWith("secrets.")) return env[key.slice("secrets.".length)] ?? "";
          return CONTEXT[key] ?? assert.fail(`${key} is not in the recorded event`);
        }),
      ]),
    );
  }

  /** With the options of GitHub's `shell: bash`. */
  async function bash(
    script: string,
    stepEnv: NodeJS.ProcessEnv,
  ): Promise<{ code: number; text: string }> {
    const child = spawn("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", script], {
      cwd: project.dir,
      env: stepEnv,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
    }
    const code = await new Promise<number>((resolve) => {
      child.on("close", (status) => resolve(status ?? 1));
    });
    return { code, text };
  }

  it("check: lint and memory fit of the stack, without a secret", async () => {
    const withoutSecrets = { PULUMI_BACKEND_URL: "", PULUMI_CONFIG_PASSPHRASE_FILE: "" };
    const { code, text } = await runJob("vllm-cluster-review.yml", "check", withoutSecrets);
    assert.equal(code, 0, text);
    assert.match(text, /RAY_WITHOUT_AUTHENTICATION/);
    assert.match(text, /--- Memory fit\n/);
  });

  it("preview: one comment, updated in place by the next push", async () => {
    for (const expected of ["created", "updated"]) {
      const { code, text } = await runJob("vllm-cluster-review.yml", "preview");
      assert.equal(code, 0, text);
      assert.match(text, new RegExp(`the comment was ${expected}`));
    }
    assert.equal(api.comments.length, 1);
    assert.match(api.comments[0]!.body, /^<!-- vllm-cluster summary: prod -->\n### `?prod/);
    assert.ok(!api.comments[0]!.body.includes("canary"));
    assert.match(readFileSync(join(temp, "summary.md"), "utf8"), /vllm-cluster summary: prod/);
  });

  it("preview-of-fork: a preview without secrets, and what the nodes run as a difference", async () => {
    const fork = { PULUMI_CONFIG_PASSPHRASE_FILE: undefined, GITHUB_TOKEN: undefined };
    const { code, text } = await runJob("vllm-cluster-review.yml", "preview-of-fork", {
      ...fork,
      STACK_FILE: "stacks/Pulumi.prod.yaml",
    });
    assert.equal(code, 0, text);
    const kept = readFileSync(join(project.dir, "review/summary.md"), "utf8");
    assert.match(kept, /^<!-- vllm-cluster summary: fork -->/);
    assert.match(kept, /\n {4}- {2}--max-num-seqs=25 .*\n {4}\+ {2}--max-num-seqs=77 /);
    assert.ok(!kept.includes("canary"));
    assert.ok(
      !readFileSync(join(project.dir, "stacks/Pulumi.fork.yaml"), "utf8").includes("canary"),
    );
    assert.equal(readFileSync(join(project.dir, "review/number"), "utf8"), "7\n");
    assert.equal(api.comments.length, 1, "a fork's job writes nothing");
  });

  it("comment: writes what the fork's job kept, and nothing into another pull request", async () => {
    mkdirSync(join(temp, "review"), { recursive: true });
    for (const name of ["summary.md", "number"]) {
      copyFileSync(join(project.dir, "review", name), join(temp, "review", name));
    }
    const { code, text } = await runJob("vllm-cluster-comment.yml", "comment");
    assert.equal(code, 0, text);
    assert.equal(api.comments.length, 2);
    api.headSha = "b".repeat(40);
    const refused = await runJob("vllm-cluster-comment.yml", "comment");
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /nothing was written/);
    writeFileSync(join(temp, "review/summary.md"), "<script>\n");
    api.headSha = HEAD_SHA;
    assert.notEqual((await runJob("vllm-cluster-comment.yml", "comment")).code, 0);
    assert.equal(api.comments.length, 2);
  });

  it("plan: the plan for `up`, and its summary for those who approve it", async () => {
    const { code, text } = await runJob("vllm-cluster-up.yml", "plan");
    assert.equal(code, 0, text);
    assert.ok(existsSync(join(project.dir, "plan.json")));
    const kept = readFileSync(join(project.dir, "plan.json"), "utf8");
    assert.ok(!kept.includes("canary-api-key"));
    assert.ok(!kept.includes(Buffer.from("canary-api-key").toString("base64")));
  });
});
