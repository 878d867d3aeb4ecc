import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { parseArgs } from "node:util";
import { labUp, listLabs, openLab, takeDown } from "../lab/lab.mjs";
import { complete } from "../lab-stack/complete.mjs";
import { requireMemoryForFullShape, TOPOLOGIES } from "../lab-stack/full-shape.mjs";
import { labCluster } from "../lab-stack/lab-cluster.mjs";
import { planHashOf } from "../lab-stack/plan-hash.mjs";
import { LabProject } from "../lab-stack/project.mjs";
import { ensureDist } from "../setup/dist.mjs";
import { cacheDir, repoDir } from "../setup/paths.mjs";
import { duration } from "../setup/progress.mjs";
import { messageOf } from "../setup/run.mjs";
import { ensureToolchain } from "../setup/toolchain.mjs";

const USAGE = `usage: npm run demo [-- --topology ${TOPOLOGIES.join("|")}] [--full] [--profile root-debian|sudo-user]
       npm run demo:down

Brings up two lab hosts, runs \`pulumi up\` on a stack and asks the model something. The hosts, SSH, Docker, Ray and
vLLM are real; the NPUs, their network and the weights are stand-ins (docs/lab.md). Another --topology on a running demo
changes the stack in place.
The first run builds what it needs (about 25 minutes), later ones take about 2 minutes. Needs root.

  --topology  ray: TP2 x PP2 over Ray (default); data-parallel: two engines of TP2 behind one API;
              multiprocessing: TP2 x PP2, started by vLLM itself; all with expert parallelism
  --full      all 16 NPUs: TP8 x PP2, or two engines of TP8; needs 14 GB of free memory and some minutes
  --profile   what the hosts are like: root by key, or a user with sudo`;

const LAB_ID = "demo";
const PROJECT_DIR = join(cacheDir, "demo");
const STACK = "lab";
const TOTAL_STEPS = 5;

async function main() {
  const { values, positionals } = parseArgs({
    args: argv.slice(2),
    allowPositionals: true,
    options: {
      profile: { type: "string", default: "root-debian" },
      topology: { type: "string", default: "ray" },
      full: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return;
  }
  if (positionals[0] === "down") {
    await down();
    return;
  }
  const topology = TOPOLOGIES.find((known) => known === values.topology);
  if (topology === undefined) {
    throw new Error(`--topology must be ${TOPOLOGIES.join(", ")}, got "${values.topology}"`);
  }
  if (values.full) requireMemoryForFullShape();
  await up(/** @type {"root-debian" | "sudo-user"} */ (values.profile), {
    topology,
    isFull: values.full,
  });
}

/**
 * @param {"root-debian" | "sudo-user"} profile
 * @param {import("../lab-stack/lab-cluster.mjs").LabShape} shape
 */
async function up(profile, shape) {
  const begin = Date.now();
  const toolchain = await numbered(1, "set-up of this machine", () =>
    ensureToolchain({ need: { engine: true, lab: true } }),
  );
  process.stdout.write(`${toolchain.summary}\n`);
  await ensureDist(toolchain);

  const lab = await numbered(2, "two lab hosts, booted by systemd", () => labOf(profile));
  const project = projectOf(toolchain, lab);
  await numbered(3, "stack on a copy of its own", async () => {
    await project.init();
    const cluster = labCluster(lab, shape);
    await project.setCluster(cluster);
    await project.setApiKey(apiKey());
    // Another topology on a running demo stops what serves; whoever asked for it has agreed.
    await project.setConfig("allowDowntimeFor", await planHashOf(cluster, STACK));
  });
  const steps = ["files", "containers", ...(shape.topology === "ray" ? ["Ray"] : []), "vLLM"];
  await numbered(4, `pulumi up: ${steps.join(", ")}, a completion`, () =>
    project.pulumi(["up", "--yes", "--skip-preview", "--stack", STACK]),
  );
  const outputs = await project.outputs();
  const answer = await numbered(5, "a completion from outside", () =>
    complete(outputs, { apiKey: apiKey(), maxTokens: 12, timeoutMs: 300_000 }),
  );
  process.stdout.write(report({ outputs, answer, project, seconds: (Date.now() - begin) / 1000 }));
}

async function down() {
  const running = listLabs().some(({ id }) => id === LAB_ID);
  if (existsSync(PROJECT_DIR)) {
    const toolchain = await ensureToolchain({ need: { engine: true } });
    if (running) {
      const project = projectOf(toolchain, openLab(LAB_ID));
      // The lab goes away in any case; a stack that cannot be destroyed must not keep it.
      await project.pulumi(["destroy", "--yes", "--skip-preview", "--stack", STACK], {
        allowFailure: true,
      });
      project.remove();
    } else {
      new LabProject({
        dir: PROJECT_DIR,
        stack: STACK,
        env: toolchain.env,
        agentSocket: "",
      }).remove();
    }
  }
  if (running) await takeDown(LAB_ID);
  process.stdout.write("demo: taken down; what set-up has built stays in .cache\n");
}

/** @param {"root-debian" | "sudo-user"} profile */
async function labOf(profile) {
  const running = listLabs().find(({ id, state }) => id === LAB_ID && state === "running");
  if (running === undefined) {
    return labUp({ id: LAB_ID, nodes: 2, profile, image: "vllm", owned: false });
  }
  const lab = openLab(LAB_ID);
  if (lab.record.profile !== profile) {
    throw new Error(
      `the demo runs with profile ${lab.record.profile}; run \`npm run demo:down\` before another profile`,
    );
  }
  return lab;
}

/**
 * @param {import("../setup/toolchain.mjs").Toolchain} toolchain
 * @param {import("../lab/lab.mjs").Lab} lab
 */
function projectOf(toolchain, lab) {
  return new LabProject({
    dir: PROJECT_DIR,
    stack: STACK,
    env: toolchain.env,
    agentSocket: lab.agentSocket,
  });
}

function apiKeyFile() {
  return join(PROJECT_DIR, "api-key");
}

/** Kept between runs, so that a second demo on the same lab changes nothing. */
function apiKey() {
  const file = apiKeyFile();
  if (!existsSync(file)) writeFileSync(file, randomBytes(24).toString("hex"), { mode: 0o600 });
  return readFileSync(file, "utf8");
}

/**
 * @template T
 * @param {number} index
 * @param {string} title
 * @param {() => Promise<T>} work
 */
async function numbered(index, title, work) {
  const begin = Date.now();
  process.stdout.write(`\n[${index}/${TOTAL_STEPS}] ${title}\n`);
  const result = await work();
  process.stdout.write(
    `[${index}/${TOTAL_STEPS}] ${title}: done (${duration((Date.now() - begin) / 1000)})\n`,
  );
  return result;
}

/** @param {{outputs: Record<string, any>, answer: any, project: LabProject, seconds: number}} facts */
function report({ outputs, answer, project, seconds }) {
  const nodes = outputs["nodes"].map(
    (/** @type {Record<string, string>} */ node) =>
      `  ${node["name"]}  ${node["address"]}  ${node["role"]}, NPUs ${node["npus"]}, ranks ${node["ranks"]}\n`,
  );
  const environment = [
    `export PATH=${join(cacheDir, "engine", "bin")}:$PATH`,
    `PULUMI_HOME=${project.env["PULUMI_HOME"]}`,
    `PULUMI_BACKEND_URL=${project.env["PULUMI_BACKEND_URL"]}`,
    `PULUMI_CONFIG_PASSPHRASE_FILE=${project.env["PULUMI_CONFIG_PASSPHRASE_FILE"]}`,
    `SSH_AUTH_SOCK=${project.env["SSH_AUTH_SOCK"]}`,
  ].join(" ");
  return `
The cluster answered in ${duration(seconds)}:
  prompt     "the quick"
  completion ${JSON.stringify(answer.choices[0].text)} (${answer.usage.completion_tokens} tokens; the weights are random)

What was created
${nodes.join("")}  endpoint ${outputs["endpoint"]}, model ${outputs["model"]}

Where to look
  ${environment}
  cd ${project.dir}
  pulumi stack --stack ${STACK}
  node dist/cli/main.js status --stack ${STACK}
  node dist/cli/main.js logs --stack ${STACK} --process serve
  export VLLM_API_KEY=$(cat ${apiKeyFile()})
  ${outputs["curl"]}
  node ${join(repoDir, "tools", "lab", "main.mjs")} ssh node0 --id ${LAB_ID}

Take it down
  npm run demo:down
`;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`demo: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
