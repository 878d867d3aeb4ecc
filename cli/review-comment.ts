import { messageOf, StepError, UsageError } from "./errors.js";

/** Where the one comment of a review stands: a pull request of GitHub, or a merge request of GitLab. */
export interface Review {
  /** All comments of it, the oldest first. */
  readonly list: () => Promise<readonly ReviewComment[]>;
  readonly create: (body: string) => Promise<void>;
  readonly update: (id: number, body: string) => Promise<void>;
}

export interface ReviewComment {
  readonly id: number;
  readonly body: string;
  /** Written by the same robot: nobody else's comment is ever overwritten. */
  readonly isOwn: boolean;
}

/**
 * Puts a summary into its one comment: the one with the same marker in its first line is replaced, else a new one is made.
 *
 * @throws UsageError when the text is no summary of `vllm-cluster summary --format markdown`: it may come from a fork.
 */
export async function putComment(review: Review, text: string): Promise<"created" | "updated"> {
  const marker = text.split("\n", 1)[0] ?? "";
  if (!/^<!-- vllm-cluster summary: [^<>]* -->$/.test(marker)) {
    throw new UsageError(
      "this is no output of `vllm-cluster summary --format markdown`: its first line is no marker",
    );
  }
  if (text.length > MAX_CHARACTERS) {
    throw new UsageError(
      `a comment has at most ${MAX_CHARACTERS} characters, this one ${text.length}`,
    );
  }
  const own = (await review.list()).find(
    ({ isOwn, body }) => isOwn && body.split(/\r?\n/, 1)[0] === marker,
  );
  if (own === undefined) await review.create(text);
  else await review.update(own.id, text);
  return own === undefined ? "created" : "updated";
}

/** A pull request of GitHub. @throws UsageError for a number that is none */
export async function githubReview(options: {
  /** e.g. `https://api.github.com` */
  readonly apiUrl: string;
  /** `<owner>/<name>` */
  readonly repository: string;
  readonly token: string;
  readonly number: string;
  /** The commit that the summary is of; another head is refused, because the number may come from a fork. */
  readonly headSha?: string | undefined;
}): Promise<Review> {
  const { apiUrl, repository, token, headSha } = options;
  const number = positiveNumber(options.number);
  const base = `${apiUrl}/repos/${repository}`;
  const headers = {
    authorization: `Bearer ${token}`,
    accept: "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
  };
  if (headSha !== undefined) {
    const pull = await request<{ head: { sha: string } }>("GET", `${base}/pulls/${number}`, {
      headers,
    });
    if (pull.head.sha !== headSha) {
      throw new StepError(
        `pull request ${number} has the head ${pull.head.sha}, not ${headSha}; nothing was written\nnext: the run of its newest commit comments`,
      );
    }
  }
  return {
    list: async () => {
      const comments = await pages<{ id: number; body: string; user: { type: string } | null }>(
        (page) => `${base}/issues/${number}/comments?per_page=${PER_PAGE}&page=${page}`,
        headers,
      );
      return comments.map(({ id, body, user }) => ({ id, body, isOwn: user?.type === "Bot" }));
    },
    create: async (body) => {
      await request("POST", `${base}/issues/${number}/comments`, { headers, body: { body } });
    },
    update: async (id, body) => {
      await request("PATCH", `${base}/issues/comments/${id}`, { headers, body: { body } });
    },
  };
}

/** A merge request of GitLab. @throws UsageError for a number that is none */
export async function gitlabReview(options: {
  /** e.g. `https://gitlab.example.com/api/v4` */
  readonly apiUrl: string;
  readonly projectId: string;
  readonly token: string;
  readonly number: string;
}): Promise<Review> {
  const { apiUrl, projectId, token } = options;
  const notes = `${apiUrl}/projects/${encodeURIComponent(projectId)}/merge_requests/${positiveNumber(options.number)}/notes`;
  const headers = { "private-token": token };
  const self = await request<{ id: number }>("GET", `${apiUrl}/user`, { headers });
  return {
    list: async () => {
      const all = await pages<{ id: number; body: string; author: { id: number } }>(
        (page) => `${notes}?sort=asc&order_by=created_at&per_page=${PER_PAGE}&page=${page}`,
        headers,
      );
      return all.map(({ id, body, author }) => ({ id, body, isOwn: author.id === self.id }));
    },
    create: async (body) => {
      await request("POST", notes, { headers, body: { body } });
    },
    update: async (id, body) => {
      await request("PUT", `${notes}/${id}`, { headers, body: { body } });
    },
  };
}

async function pages<T>(
  url: (page: number) => string,
  headers: Readonly<Record<string, string>>,
): Promise<readonly T[]> {
  const all: T[] = [];
  for (let page = 1; page <= MAX_PAGES; page++) {
    const items = await request<T[]>("GET", url(page), { headers });
    all.push(...items);
    if (items.length < PER_PAGE) break;
  }
  return all;
}

/** @throws StepError with method, address and answer, without the token */
async function request<T>(
  method: string,
  url: string,
  options: { readonly headers: Readonly<Record<string, string>>; readonly body?: object },
): Promise<T> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      headers: { ...options.headers, "content-type": "application/json" },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      signal: AbortSignal.timeout(30_000),
    });
    text = await response.text();
  } catch (error) {
    throw new StepError(`${method} ${url} failed: ${messageOf(error)}`);
  }
  if (!response.ok) {
    throw new StepError(
      `${method} ${url} answered ${response.status}: ${text.slice(0, 300)}\nnext: the token may need to write comments of pull requests (docs/ci.md)`,
    );
  }
  return JSON.parse(text) as T;
}

function positiveNumber(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text.trim())) return Number(text);
  throw new UsageError(`the number of the pull request must be a whole number, got "${text}"`);
}

/** GitHub refuses 65,536; GitLab takes more. */
const MAX_CHARACTERS = 65_000;
const PER_PAGE = 100;
/** 3,000 comments: a review that is longer gets a second comment. */
const MAX_PAGES = 30;
