import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { stringify } from "yaml";
import { labUp } from "../lab/lab.mjs";
import { labCluster } from "../lab-stack/lab-cluster.mjs";
import { ensureDist } from "../setup/dist.mjs";
import { repoDir } from "../setup/paths.mjs";
import { capture, messageOf } from "../setup/run.mjs";
import { ensureToolchain } from "../setup/toolchain.mjs";

/**
 * `npm run bench:preflight`: what `vllm-cluster gate` takes on eight hosts of a lab with all NPUs, beyond the tools of the driver: the
 * same queries and pings are asked by bare loops on all hosts at once, and the difference is ours. Ends with 1 when it is 5 s or more.
 */

/** @typedef {import("../lab/lab.mjs").Lab} Lab */

const NODES = 8;
const NPUS = 8;
const RUNS = 3;
const LIMIT_SEC = 5;
const QUERIES = "link net_health netdetect gateway ip tls lldp optical link_stat speed fec";
const HCCN_TOOL = "/usr/local/Ascend/driver/tools/hccn_tool";

try {
  const toolchain = await ensureToolchain({ need: { lab: true } });
  await ensureDist(toolchain);
  const lab = await labUp({ nodes: NODES, image: "ray" });
  const dir = mkdtempSync(join(tmpdir(), "bench-preflight-"));
  try {
    const file = join(dir, "Pulumi.bench.yaml");
    const cluster = labCluster(lab, { isFull: true });
    writeFileSync(file, stringify({ config: { "vllm-ascend:cluster": cluster } }));
    await bench(lab, file);
  } finally {
    rmSync(dir, { recursive: true, force: true });
    await lab.down();
  }
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}

/** @param {Lab} lab @param {string} file */
async function bench(lab, file) {
  const scripts = await toolScripts(lab);
  const times = { tools: /** @type {number[]} */ ([]), gate: /** @type {number[]} */ ([]) };
  const logins = /** @type {number[]} */ ([]);
  for (let run = 0; run < RUNS; run += 1) {
    times.tools.push(await seconds(() => askTools(lab, scripts)));
    times.gate.push(await seconds(() => vllmCluster(lab, ["gate", "--file", file])));
    logins.push(await seconds(() => vllmCluster(lab, ["doctor", "--file", file])));
  }
  const [tools, gate] = [median(times.tools), median(times.gate)];
  const ours = gate - tools;
  process.stdout.write(
    [
      `${NODES} hosts, ${NPUS} NPUs each, median of ${RUNS} runs, in seconds`,
      `tools of the driver alone  ${tools.toFixed(1)}`,
      `vllm-cluster gate          ${gate.toFixed(1)}`,
      `beyond the tools           ${ours.toFixed(1)}`,
      `vllm-cluster doctor        ${median(logins).toFixed(1)}`,
      "",
    ].join("\n"),
  );
  if (ours >= LIMIT_SEC) {
    process.stdout.write(`too slow: less than ${LIMIT_SEC} s beyond the tools are ours\n`);
    process.exitCode = 1;
  }
}

/**
 * What the preflight asks of the tools: NPUs in parallel, each by one query after the other, then the pings.
 * @param {Lab} lab
 * @returns {Promise<Map<string, readonly [facts: string, pings: string]>>}
 */
async function toolScripts(lab) {
  /** @type {string[][]} */
  const rails = [];
  for (const { name } of lab.nodes) {
    const text = await lab.must(name, "grep -h ^address_ /etc/hccn.conf");
    rails.push(Array.from(text.matchAll(/^address_\d+=(\S+)$/gm), ([, address = ""]) => address));
  }
  const ids = Array.from({ length: NPUS }, (_, id) => id);
  const facts = `for npu in ${ids.join(" ")}; do (
  for query in ${QUERIES}; do ${HCCN_TOOL} -i "$npu" "-$query" -g; done
  npu-smi info -t board -i "$npu"; npu-smi info -t ecc -i "$npu") & done >/dev/null 2>&1; npu-smi info >/dev/null; wait`;
  return new Map(
    lab.nodes.map(({ name }, own) => {
      const pings = ids.map((npu) => {
        const others = rails.filter((_, at) => at !== own).map((rail) => rail[npu]);
        const cross = rails[(own + 1) % NODES]?.[(npu + 1) % NPUS];
        const asked = [...others, cross].join(" ");
        return `(for to in ${asked}; do ${HCCN_TOOL} -i ${npu} -ping -g address "$to"; done) &`;
      });
      return [name, [facts, `{ ${pings.join("\n")} } >/dev/null 2>&1; wait`]];
    }),
  );
}

/** @param {Lab} lab @param {Awaited<ReturnType<typeof toolScripts>>} scripts */
async function askTools(lab, scripts) {
  for (const phase of /** @type {const} */ ([0, 1])) {
    await Promise.all(
      lab.nodes.map(({ name }) => lab.must(name, scripts.get(name)?.[phase] ?? "false")),
    );
  }
}

/** @param {Lab} lab @param {string[]} args */
async function vllmCluster(lab, args) {
  const { stdout, stderr, ok } = await capture(
    process.execPath,
    [join(repoDir, "dist", "cli", "main.js"), ...args],
    {
      cwd: repoDir,
      env: { ...process.env, SSH_AUTH_SOCK: lab.agentSocket },
      timeoutMs: 600_000,
    },
  );
  // A warning is fine; a host that was not asked would be quick.
  if (!ok) throw new Error(`vllm-cluster ${args.join(" ")} failed:\n${stdout}${stderr}`);
}

/** @param {() => Promise<unknown>} work */
async function seconds(work) {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

/** @param {number[]} times */
function median(times) {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
}
