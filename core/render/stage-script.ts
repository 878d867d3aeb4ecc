import { createHash } from "node:crypto";
import type { ClusterPlan, NodePlan, Release } from "../plan/cluster-plan.js";
import { RAY_NON_CARRY_OVER_ENV } from "../plan/node-env.js";
import { shellQuote } from "./quote.js";
import { contentHash, stableJson } from "./stable-json.js";

/** One file to put on a host, below the cluster's directory. */
export interface StagedFile {
  readonly path: string;
  readonly content: string;
}

/** The static files of `node/` that are staged; read by whoever has a file system. */
export interface NodeScripts {
  /** Scripts of the host, by file name. */
  readonly host: Readonly<Record<HostScriptName, string>>;
  /** The modules of the Python package `supervisor`, by path below it. */
  readonly supervisor: Readonly<Record<string, string>>;
}
export const HOST_SCRIPT_NAMES = [
  ...(["commit.sh", "secrets.sh", "token.sh", "boot.sh"] as const),
  ...(["image.sh", "model.sh", "fetch_model.py"] as const),
];
export type HostScriptName = (typeof HOST_SCRIPT_NAMES)[number];

/**
 * Everything that is staged on one node, in this order; nothing in it disturbs what runs. The supervisor's modules go into
 * a folder that is named by their content, and only then the launcher names that folder: what starts in the middle of a
 * staging reads the modules of one version.
 */
export function stagedFiles(node: NodePlan, scripts: NodeScripts): readonly StagedFile[] {
  return [
    ...releasesOf(node).map((release) => ({
      path: `in/releases/${releaseFile(release)}`,
      content: `${stableJson(release, 1)}\n`,
    })),
    stagedTogether(node),
    ...(node.releases.ray === null ? [] : [RAY_NON_CARRY_OVER_FILE]),
    ...HOST_SCRIPT_NAMES.map((name) => ({ path: `bin/${name}`, content: scripts.host[name] })),
    ...Object.entries(scripts.supervisor)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, content]) => ({
        path: `in/${supervisorFolder(scripts)}/supervisor/${name}`,
        content,
      })),
    { path: "in/supervisor", content: supervisorLauncher(supervisorFolder(scripts)) },
  ];
}

/** Where this host keeps the version of its NPU driver. */
export function driverVersionFile({ container }: NodePlan): string {
  return container.mounts.find(({ target }) => target === DRIVER_VERSION)?.source ?? DRIVER_VERSION;
}

const DRIVER_VERSION = "/usr/local/Ascend/driver/version.info";

/**
 * Which releases belong together: a commit of Ray takes this serve along where a group has served. And where the nodes were: a
 * node name that moves to another machine is refused by it.
 */
function stagedTogether({ releases: { ray, serve } }: NodePlan): StagedFile {
  const nodes = Object.fromEntries(serve.nodes.map(({ name, address }) => [name, address]));
  const staged = { ray: ray?.hash ?? null, serve: serve.hash, nodes };
  return { path: "in/staged.json", content: `${stableJson(staged)}\n` };
}

/** The folder below `in/` that holds this version of the package `supervisor`. */
function supervisorFolder({ supervisor }: NodeScripts): string {
  return `supervisor-${contentHash(supervisor)}`;
}

/** What `python3 /vllm-cluster/in/supervisor` runs: one small file, replaced by one rename. */
function supervisorLauncher(folder: string): string {
  return `# Runs the version of the supervisor that was staged last.
import os
import sys

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "${folder}")
from supervisor.__main__ import main

sys.exit(main())
`;
}

/**
 * The script that stages a node, sent on standard input to `bash -s`. It is one function called on its last line, so
 * that a stream cut on the way runs nothing; each file is written beside its place and renamed, so that it is the
 * old one or the new one.
 */
export function renderStageScript(plan: ClusterPlan, node: NodePlan, scripts: NodeScripts): string {
  const files = stagedFiles(node, scripts);
  const folder = supervisorFolder(scripts);
  const folders = new Set(files.map(({ path }) => path.slice(0, path.lastIndexOf("/"))));
  return [
    `# Stages node ${node.name} of cluster ${plan.cluster}; changes nothing that runs.`,
    "main() {",
    "set -euo pipefail",
    "export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "umask 077",
    `base=${shellQuote(plan.baseDir)}`,
    `owner=${shellQuote(plan.owner)}`,
    `node=${shellQuote(node.name)}`,
    `driver=${shellQuote(driverVersionFile(node))}`,
    STAGE_PRELUDE,
    `(cd "$base" && mkdir -p ${[...folders].sort().map(shellQuote).join(" ")})`,
    ...files.map(renderPut),
    ...releasesOf(node).map(
      (release) => `prune in/releases ${shellQuote(releaseFile(release))} '${release.kind}-*.json'`,
    ),
    `prune in ${folder} 'supervisor-*'`,
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
mkdir -p "$base/in/secrets" "$base/out"
put() {
  cat >"$base/$1.tmp"
  if cmp -s "$base/$1.tmp" "$base/$1"; then rm "$base/$1.tmp"; return; fi
  sync "$base/$1.tmp" # else a power cut can leave the new name with nothing in it
  mv "$base/$1.tmp" "$base/$1"
}
is_desired() { # is_desired FILE: a release that the group runs, or would go back to; members know it from their status
  local hash=\${1##*-}
  grep -qsF "\${hash%.json}" "$base/out/desired.json" "$base/out/status.json"
}
prune() { # prune FOLDER NAME PATTERN: the newest three of a kind stay; the one just staged counts as newest
  local old
  touch "$base/$1/$2"
  while read -r old; do
    is_desired "$old" || rm -rf -- "\${base:?}/$1/$old"
  done < <(cd "$base/$1" && find . -maxdepth 1 -name "$3" -printf '%T@ %f\\n' | sort -rn | tail -n +4 | cut -d' ' -f2)
}
printf '%s\\n' "$owner" | put owner
printf '%s\\n' "$node" | put node
# For vllm-cluster drift: what this host was when it was staged last.
{
  printf 'boot %s\\n' "$(cat /proc/sys/kernel/random/boot_id)"
  sed -n 's/^Version=/driver /p' "$driver" 2>/dev/null || true
} | put machine`;

function renderPut({ path, content }: StagedFile): string {
  if (!content.endsWith("\n")) throw new Error(`staged file ${path} must end with a newline`);
  const delimiter = `END-${createHash("sha256").update(content).digest("hex").slice(0, 12)}`;
  return `put ${shellQuote(path)} <<'${delimiter}'\n${content}${delimiter}`;
}
