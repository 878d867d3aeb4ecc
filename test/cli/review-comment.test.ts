// One comment of a review, made once and updated in place, on a stand-in of the two APIs. Does not prove that GitHub and GitLab answer as
// their documentation says.
import assert from "node:assert/strict";
import { githubReview, gitlabReview, putComment, type Review } from "../../cli/review-comment.js";
import { FakeReviewApi } from "../support/fake-review-api.js";

const TOKEN = "canary-token";
const summary = (text: string, stack = "prod") =>
  `<!-- vllm-cluster summary: ${stack} -->\n### ${stack}\n\n${text}\n`;

describe("putComment", () => {
  let api: FakeReviewApi;
  let url: string;
  beforeEach(async () => {
    api = new FakeReviewApi(TOKEN);
    url = await api.start();
  });
  afterEach(() => api.stop());

  const github = (headSha?: string, number = "7", token = TOKEN) =>
    githubReview({ apiUrl: url, repository: "acme/serving", token, number, headSha });
  const hosts: readonly (readonly [string, string, () => Promise<Review>])[] = [
    ["GitHub", "github-actions[bot]", () => github()],
    [
      "GitLab",
      "robot",
      () => gitlabReview({ apiUrl: `${url}/api/v4`, projectId: "42", token: TOKEN, number: "7" }),
    ],
  ];

  for (const [name, robot, review] of hosts) {
    it(`makes one comment on ${name} and updates it in place, behind 150 others`, async () => {
      for (let id = 1; id <= 150; id++) api.comments.push({ id, body: "hello", author: "ann" });
      assert.equal(await putComment(await review(), summary("first")), "created");
      assert.equal(await putComment(await review(), summary("second")), "updated");
      assert.equal(await putComment(await review(), summary("other", "staging")), "created");
      assert.deepEqual(
        api.comments.slice(150).map(({ body, author }) => [body, author]),
        [
          [summary("second"), robot],
          [summary("other", "staging"), robot],
        ],
      );
    });

    it(`leaves a comment with the same marker alone that a person wrote on ${name}`, async () => {
      api.comments.push({ id: 1, body: summary("mine"), author: "mallory" });
      assert.equal(await putComment(await review(), summary("first")), "created");
      assert.equal(api.comments[0]!.body, summary("mine"));
    });
  }

  it("refuses a text that is no summary, and one that is too long, before it asks anybody", async () => {
    const review = await github();
    const texts = [
      "hello\n",
      `x${summary("a")}`,
      summary("a").replace("summary: prod", "summary: <b>"),
      "",
    ];
    for (const text of texts) {
      await assert.rejects(() => putComment(review, text), /its first line is no marker/);
    }
    await assert.rejects(() => putComment(review, summary("x".repeat(65_000))), /at most 65000/);
    assert.deepEqual(api.requests, []);
  });

  it("refuses a number from a fork that names another pull request", async () => {
    await github("a".repeat(40));
    await assert.rejects(
      github("b".repeat(40)),
      /has the head a{40}, not b{40}; nothing was written/,
    );
    for (const number of ["7; rm -rf /", "0", "", "../8"]) {
      await assert.rejects(github(undefined, number), /must be a whole number/);
    }
    assert.ok(api.requests.every((request) => request === "GET /repos/acme/serving/pulls/7"));
  });

  it("tells of a refused token without repeating it", async () => {
    const review = await github(undefined, "7", "canary-wrong");
    await assert.rejects(
      () => putComment(review, summary("first")),
      (error: Error) => /answered 401/.test(error.message) && !error.message.includes("canary"),
    );
  });
});
