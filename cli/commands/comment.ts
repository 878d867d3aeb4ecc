import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { messageOf, UsageError } from "../errors.js";
import { githubReview, gitlabReview, putComment, type Review } from "../review-comment.js";

interface CommentOptions {
  readonly number?: string;
  readonly headSha?: string;
}

/** `vllm-cluster comment`: a summary as the one comment of a pull request, updated in place. */
export function addCommentCommand(program: Command): void {
  program
    .command("comment")
    .summary("put a summary into the one comment of a pull or merge request")
    .description(
      "Writes the output of `vllm-cluster summary --format markdown` as a comment, or over the one that an earlier run\n" +
        "wrote. In CI: GitHub by GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_TOKEN; GitLab by CI_API_V4_URL, CI_PROJECT_ID,\n" +
        "CI_MERGE_REQUEST_IID and GITLAB_TOKEN (docs/ci.md).",
    )
    .argument("<file>", "the summary, or - for standard input")
    .option("--number <number>", "of the pull or merge request; GitLab's CI knows it")
    .option("--head-sha <commit>", "GitHub: refuse a pull request whose head is another commit")
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster comment summary.md --number 7
  vllm-cluster summary --stack prod --format markdown | vllm-cluster comment - --number 7`,
    )
    .action(async (file: string, options: CommentOptions) => {
      const done = await putComment(await reviewOfCi(options), readText(file));
      process.stderr.write(`the comment was ${done}\n`);
    });
}

function reviewOfCi({ number, headSha }: CommentOptions): Promise<Review> {
  const { env } = process;
  if (env["GITHUB_REPOSITORY"] !== undefined) {
    return githubReview({
      apiUrl: env["GITHUB_API_URL"] ?? "https://api.github.com",
      repository: env["GITHUB_REPOSITORY"],
      token: needed("GITHUB_TOKEN"),
      number: number ?? needed("--number", ""),
      headSha,
    });
  }
  if (env["CI_API_V4_URL"] !== undefined) {
    return gitlabReview({
      apiUrl: env["CI_API_V4_URL"],
      projectId: needed("CI_PROJECT_ID"),
      token: needed("GITLAB_TOKEN"),
      number: number ?? needed("CI_MERGE_REQUEST_IID"),
    });
  }
  throw new UsageError(
    "this is neither GitHub's CI (GITHUB_REPOSITORY) nor GitLab's (CI_API_V4_URL); see docs/ci.md",
  );
}

function needed(name: string, value = process.env[name]): string {
  if (value !== undefined && value !== "") return value;
  throw new UsageError(`${name} must be set; see docs/ci.md`);
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${messageOf(error)}`);
  }
}
