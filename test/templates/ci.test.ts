// What must hold in every CI template: pinned actions, few permissions, no secret within reach of a fork, nothing of a pull request pasted
// into a script. Does not prove that GitHub and GitLab run them: test/engine/ci-templates.test.ts runs their steps.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { repoDir } from "../../tools/setup/paths.mjs";

interface Job {
  readonly if?: string;
  readonly needs?: string;
  readonly environment?: string;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly "timeout-minutes"?: number;
  readonly "runs-on"?: unknown;
  readonly steps: readonly Step[];
}

interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions?: object;
  readonly concurrency?: object;
  readonly jobs: Readonly<Record<string, Job>>;
}

const GITHUB = join(repoDir, "templates/github-actions");
const SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository";

describe("the workflows for GitHub Actions", () => {
  for (const file of readdirSync(GITHUB)) {
    const text = readFileSync(join(GITHUB, file), "utf8");
    const workflow = parse(text) as Workflow;
    const jobs = Object.entries(workflow.jobs);

    describe(file, () => {
      it("pins every action by commit, with its version beside it", () => {
        const uses = text.split("\n").filter((line) => /\buses:/.test(line));
        assert.ok(uses.length > 0);
        for (const line of uses)
          assert.match(line, /uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
      });

      it("gives no permission but the ones that a job names, and writes comments at most", () => {
        assert.deepEqual(workflow.permissions, {});
        for (const [name, { permissions }] of jobs) {
          assert.ok(permissions !== undefined, name);
          for (const [scope, level] of Object.entries(permissions)) {
            assert.ok(level === "read" || scope === "pull-requests", `${name}: ${scope}`);
          }
        }
      });

      it("never runs a pull request's code with the rights of the target", () => {
        assert.ok(!("pull_request_target" in workflow.on));
        if (!("workflow_run" in workflow.on)) return;
        for (const { steps } of Object.values(workflow.jobs)) {
          for (const { with: inputs = {} } of steps) assert.ok(!("ref" in inputs));
        }
      });

      it("keeps secrets from forks, and the login to the servers behind an approval", () => {
        for (const [name, job] of jobs) {
          const secrets = [...JSON.stringify(job).matchAll(/secrets\.([A-Z_]+)/g)].map(
            ([, key]) => key,
          );
          if (secrets.length === 0) continue;
          if ("pull_request" in workflow.on) assert.equal(job.if, SAME_REPOSITORY, name);
          if (secrets.includes("SSH_PRIVATE_KEY"))
            assert.equal(job.environment, "production", name);
          assert.ok(!("workflow_run" in workflow.on), name);
        }
      });

      it("pastes no expression into a script: what people write would become code", () => {
        for (const [, { steps }] of jobs) {
          for (const { run = "" } of steps) assert.ok(!run.includes("${{"), run);
        }
      });

      it("leaves no credential behind in the checkout, and bounds every job", () => {
        for (const [name, job] of jobs) {
          assert.ok((job["timeout-minutes"] ?? 0) > 0, name);
          assert.ok(job.needs === undefined || job.needs in workflow.jobs, name);
          for (const { uses = "", with: inputs } of job.steps) {
            if (uses.startsWith("actions/checkout@")) {
              assert.equal(inputs?.["persist-credentials"], false, name);
            }
          }
        }
      });

      it("knows every step's kind, and names those that run something", () => {
        const keys = new Set(["name", "uses", "run", "with", "env"]);
        for (const [name, { steps }] of jobs) {
          for (const step of steps) {
            assert.equal((step.run === undefined) !== (step.uses === undefined), true, name);
            assert.ok(step.run === undefined || step.name !== undefined, name);
            for (const key of Object.keys(step)) assert.ok(keys.has(key), `${name}: ${key}`);
          }
        }
      });
    });
  }

  it("does what was planned, one at a time, never ended in the middle", () => {
    const workflow = parse(readFileSync(join(GITHUB, "vllm-cluster-up.yml"), "utf8")) as Workflow;
    assert.deepEqual(workflow.concurrency, {
      group: "vllm-cluster-up",
      "cancel-in-progress": false,
    });
    assert.equal(workflow.jobs["up"]?.needs, "plan");
    assert.match(workflow.jobs["up"].steps.at(-1)?.run ?? "", /pulumi up .*--plan plan\.json/);
  });
});

describe("the pipeline for GitLab", () => {
  const text = readFileSync(
    join(repoDir, "templates/gitlab-ci/vllm-cluster.gitlab-ci.yml"),
    "utf8",
  );
  const pipeline = parse(text) as Readonly<Record<string, Record<string, unknown>>>;
  const ruleOf = (job: string) =>
    (pipeline[job]?.["rules"] as { if: string; when?: string }[] | undefined)?.[0];

  it("has jobs in its stages alone, and starts no deployment by itself", () => {
    const stages = pipeline["stages"] as unknown as string[];
    const names = ["check", "preview", "preview-of-fork", "plan", "up"];
    for (const name of names) {
      assert.ok(stages.includes(pipeline[name]?.["stage"] as string), name);
      assert.ok(Array.isArray(pipeline[name]?.["script"]), name);
    }
    const rule = ruleOf("up");
    assert.deepEqual(rule, { if: "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", when: "manual" });
    assert.equal(pipeline["up"]?.["environment"], "production");
    assert.deepEqual(pipeline["up"]?.["needs"], ["plan"]);
  });

  it("reads the state for merge requests of the project itself alone", () => {
    assert.match(
      ruleOf("preview")?.if ?? "",
      /SOURCE_PROJECT_ID == \$CI_MERGE_REQUEST_PROJECT_ID$/,
    );
    assert.match(
      ruleOf("preview-of-fork")?.if ?? "",
      /SOURCE_PROJECT_ID != \$CI_MERGE_REQUEST_PROJECT_ID$/,
    );
  });

  it("takes its image from a variable, so that a project pins its own by digest", () => {
    assert.equal(pipeline["default"]?.["image"], "$CI_IMAGE");
  });
});
