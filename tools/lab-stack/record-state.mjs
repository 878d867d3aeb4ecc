import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { labUp } from "../lab/lab.mjs";
import { ensureDist } from "../setup/dist.mjs";
import { cacheDir, repoDir } from "../setup/paths.mjs";
import { capture, messageOf } from "../setup/run.mjs";
import { ensureToolchain } from "../setup/toolchain.mjs";
import { labCluster } from "./lab-cluster.mjs";
import { LabProject } from "./project.mjs";

/**
 * `npm run record-state`: runs `pulumi up` of this commit in a lab of two hosts and keeps the state that it wrote, for
 * test/engine/state-upgrade.test.ts. To be run on the commit of a release; CONTRIBUTING.md says when else.
 */

const STACK = "lab";
/** Guards nothing but the stand-in secrets of a lab that is gone. */
const PASSPHRASE = "state-upgrade";
const FIXTURE = join(repoDir, "test", "engine", "recorded-state");
const PRODUCT = ["components", "core", "cli", "node", "index.ts", "package.json"];

try {
  await record(await cleanCommit());
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}

/** @param {string} commit */
async function record(commit) {
  const toolchain = await ensureToolchain({ need: { engine: true, lab: true } });
  await ensureDist(toolchain);
  const lab = await labUp({ nodes: 2, image: "ray" });
  const dir = join(cacheDir, "record-state");
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "passphrase"), PASSPHRASE);
  const { env } = toolchain;
  const project = new LabProject({ dir, stack: STACK, env, agentSocket: lab.agentSocket });
  try {
    await project.init();
    await project.setApiKey("a-stand-in");
    await project.setCluster(labCluster(lab));
    await project.pulumi(["up", "--yes", "--skip-preview", "--stack", STACK]);
    const { stdout } = await project.pulumi(["stack", "export", "--stack", STACK], { quiet: true });
    mkdirSync(FIXTURE, { recursive: true });
    cpSync(project.stackFile, join(FIXTURE, `Pulumi.${STACK}.yaml`));
    writeFileSync(join(FIXTURE, "state.json.gz"), gzipSync(withoutPlaces(stdout), { level: 9 }));
    const { version } = JSON.parse(readFileSync(join(repoDir, "package.json"), "utf8"));
    const about = { version, commit, passphrase: PASSPHRASE };
    writeFileSync(join(FIXTURE, "about.json"), `${JSON.stringify(about, undefined, 2)}\n`);
  } finally {
    await lab.down();
    project.remove();
  }
}

/**
 * Where in the program a resource was made is a path of this machine, and plays no part in a preview.
 * @param {string} state
 */
function withoutPlaces(state) {
  const places = new Set(["sourcePosition", "stackTrace"]);
  return JSON.stringify(JSON.parse(state, (key, value) => (places.has(key) ? undefined : value)));
}

/** A state that no commit has written could not be told from one that a release wrote. */
async function cleanCommit() {
  const git = async (/** @type {string[]} */ ...args) => {
    const { ok, stdout, stderr } = await capture("git", args, { cwd: repoDir });
    if (!ok) throw new Error(`git ${args.join(" ")}: ${stderr.trim()}`);
    return stdout.trim();
  };
  const changed = await git("status", "--porcelain", "--", ...PRODUCT);
  if (changed !== "") throw new Error(`commit these first, the state is of a commit:\n${changed}`);
  return git("rev-parse", "HEAD");
}
