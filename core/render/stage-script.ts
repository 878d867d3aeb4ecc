import { createHash } from "node:crypto";
import type { ClusterPlan, NodePlan, Release } from "../plan/cluster-plan.js";
import { RAY_NON_CARRY_OVER_ENV } from "../plan/node-env.js";
import { shellQuote } from "./quote.js";
import { stableJson } from "./stable-json.js";

/** One file to put on a host, below the cluster's directory. */
export interface StagedFile {
  readonly path: string;
  readonly content: string;
}

/** The static files of `node/`, by file name; read by whoever has a file system. */
export type NodeScripts = Readonly<Record<NodeScriptName, string>>;
export const NODE_SCRIPT_NAMES = [
  "supervisor.py",
  "commit.sh",
  "secrets.sh",
  "token.sh",
  "boot.sh",
] as const;
export type NodeScriptName = (typeof NODE_SCRIPT_NAMES)[number];

/** Everything that is staged on one node; nothing in it disturbs what runs. */
export function stagedFiles(node: NodePlan, scripts: NodeScripts): readonly StagedFile[] {
  return [
    ...releasesOf(node).map((release) => ({
      path: `in/releases/${releaseFile(release)}`,
      content: `${stableJson(release, 1)}\n`,
    })),
    ...(node.releases.ray === null ? [] : [RAY_NON_CARRY_OVER_FILE]),
    ...NODE_SCRIPT_NAMES.map((name) => ({
      path: name.endsWith(".py") ? `in/${name}` : `bin/${name}`,
      content: scripts[name],
    })),
  ];
}

/**
 * The script that stages a node, sent on standard input to `bash -s`. It is one function called on its last line, so
 * that a stream cut on the way runs nothing; each file is written beside its place and renamed, so that it is the
 * old one or the new one.
 */
export function renderStageScript(plan: ClusterPlan, node: NodePlan, scripts: NodeScripts): string {
  const files = stagedFiles(node, scripts);
  return [
    `# Stages node ${node.name} of cluster ${plan.cluster}; changes nothing that runs.`,
    "main() {",
    "set -euo pipefail",
    "export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "umask 077",
    `base=${shellQuote(plan.baseDir)}`,
    `owner=${shellQuote(plan.owner)}`,
    `node=${shellQuote(node.name)}`,
    STAGE_PRELUDE,
    ...files.map(renderPut),
    ...releasesOf(node).map(
      (release) => `prune ${shellQuote(releaseFile(release))} '${release.kind}-*.json'`,
    ),
    "}",
    "main",
    "",
  ].join("\n");
}

/** Removes the whole directory of the cluster, and only if it is this stack's. Self-contained: runs from old state. */
export function renderUnstageCommand(plan: ClusterPlan): string {
  const base = shellQuote(plan.baseDir);
  const owner = shellQuote(plan.owner);
  return `base=${base}; owner=${owner}; [ -e "$base" ] || exit 0; seen=$(cat "$base/owner" 2>/dev/null || true); [ -z "$seen" ] || [ "$seen" = "$owner" ] || { echo "$base belongs to stack $seen, not to $owner: left alone" >&2; exit 1; }; rm -rf --one-file-system -- "$base"; rmdir --ignore-fail-on-non-empty -- "$(dirname "$base")"`;
}

function releasesOf({ releases: { ray, serve } }: NodePlan): readonly Release[] {
  return ray === null ? [serve] : [ray, serve];
}

function releaseFile({ kind, hash }: Release): string {
  return `${kind}-${hash}.json`;
}

const RAY_NON_CARRY_OVER_FILE: StagedFile = {
  path: "in/vllm/ray_non_carry_over_env_vars.json",
  content: `${JSON.stringify(RAY_NON_CARRY_OVER_ENV)}\n`,
};

const STAGE_PRELUDE = `fail() { echo "node $node, staging: $1" >&2; exit 1; }
mkdir -p "$base"
exec 9>"$base/lock"
flock -w 120 9 || fail "another change holds $base/lock for more than 120 s; try again when it has ended"
read_line() { [ ! -e "$1" ] || cat "$1"; }
seen=$(read_line "$base/owner")
[ -z "$seen" ] || [ "$seen" = "$owner" ] || fail "this cluster name belongs to stack $seen on this machine, not to $owner; choose another cluster name or destroy that stack first"
seen=$(read_line "$base/node")
[ -z "$seen" ] || [ "$seen" = "$node" ] || fail "this machine is already node $seen of this cluster; two nodes of a stack have one address or one address was moved"
mkdir -p "$base/in/releases" "$base/in/secrets" "$base/in/vllm" "$base/bin" "$base/out"
put() {
  cat >"$base/$1.tmp"
  if cmp -s "$base/$1.tmp" "$base/$1"; then rm "$base/$1.tmp"; else mv "$base/$1.tmp" "$base/$1"; fi
}
prune() { # the newest three releases of a kind stay; the one just staged counts as newest
  touch "$base/in/releases/$1"
  (cd "$base/in/releases" && find . -maxdepth 1 -name "$2" -printf '%T@ %f\\n' | sort -rn | tail -n +4 | cut -d' ' -f2 | xargs -r rm -f --)
}
printf '%s\\n' "$owner" | put owner
printf '%s\\n' "$node" | put node`;

function renderPut({ path, content }: StagedFile): string {
  if (!content.endsWith("\n")) throw new Error(`staged file ${path} must end with a newline`);
  const delimiter = `END-${createHash("sha256").update(content).digest("hex").slice(0, 12)}`;
  return `put ${shellQuote(path)} <<'${delimiter}'\n${content}${delimiter}`;
}
