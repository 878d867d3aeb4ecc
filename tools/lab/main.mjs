import { spawnSync } from "node:child_process";
import { argv, stdout } from "node:process";
import { parseArgs } from "node:util";
import { labUp, listLabs, openLab, removeStale, takeDown } from "./lab.mjs";

const help = `The hardware-free lab: hosts with real systemd, sshd and docker, simulated NPUs.

usage: node tools/lab/main.mjs COMMAND      (or: npm run lab -- COMMAND)

  up [--id ID] [--nodes 2] [--profile root-debian|sudo-user] [--image ray|vllm|none]
     [--npus 8] [--models DIR]       builds what is missing, boots the hosts
  down [--id ID] [--all] [--stale]   removes the lab, all labs, or what killed runs have left
  list                               labs of this checkout
  status [--id ID]                   hosts of a lab

  ssh NODE [COMMAND...]              as the node's user, through its sshd
  exec NODE -- COMMAND...            as root, beside sshd and network

  reboot NODE                        systemctl reboot; waits until the host is up again
  power-cut NODE [SECONDS]           pulls the plug, puts it back; default 1
  power-off NODE [--clean]           pulls the plug; --clean: systemctl poweroff
  power-on NODE
  link-down NODE | link-up NODE      the host's network cable

  fault NODE NPU|all|node KEY=VALUE...  what npu-smi and hccn_tool say; JSON or text. Examples:
                                          fault node1 3 link=DOWN
                                          fault node0 all tls=1
                                          fault node1 0 'ping.loss={"*":100}' hbmUsedMb=61000
                                          fault node0 node hang=hccn_tool
  fault NODE clear                   healthy again
  npu-delay NODE SECONDS|never       device nodes come so late, from the next boot on
  npu-vanish NODE NPU|all            device nodes go away now
  npu-appear NODE NPU|all            and come back

Options may stand anywhere before "--". --id may be left out when one lab is running.
All keys for faults, and what is real and what is not: docs/lab.md.
`;

try {
  process.exitCode = await main(argv.slice(2));
} catch (error) {
  process.stderr.write(`lab: ${/** @type {Error} */ (error).message}\n`);
  process.exitCode = 1;
}

/**
 * @param {string[]} args
 * @returns {Promise<number>} exit code
 */
async function main(args) {
  // What follows the node of `ssh`, or "--", is the command's.
  const own = args[0] === "ssh" ? args.slice(0, sshCommandStart(args)) : args;
  const sshCommand = args.slice(own.length).filter((word, index) => index > 0 || word !== "--");
  const { values, positionals, tokens } = parseArgs({
    args: own,
    options: {
      help: { type: "boolean", short: "h" },
      id: { type: "string" },
      nodes: { type: "string" },
      profile: { type: "string" },
      image: { type: "string" },
      npus: { type: "string" },
      models: { type: "string" },
      all: { type: "boolean" },
      stale: { type: "boolean" },
      clean: { type: "boolean" },
    },
    allowPositionals: true,
    tokens: true,
  });
  const [command, node = "", ...rest] = positionals;
  if (values.help || command === undefined || command === "help") {
    stdout.write(help);
    return 0;
  }
  const dashes = tokens.find(({ kind }) => kind === "option-terminator");
  const remote = dashes === undefined ? rest : own.slice(dashes.index + 1);
  const lab = () => openLab(values.id);
  switch (command) {
    case "up":
      return up(values);
    case "down":
      return down(values);
    case "list":
      return list();
    case "status":
      return status(values.id);
    case "ssh":
      return ssh(lab(), node, sshCommand);
    case "exec":
      if (remote.length === 0) throw new Error("what to run? lab exec NODE -- COMMAND...");
      return lab().attach(node, remote);
    case "reboot":
      await lab().reboot(node);
      break;
    case "power-cut":
      await lab().powerCut(node, number(rest[0] ?? "1", "SECONDS"));
      break;
    case "power-off":
      await lab().powerOff(node, { clean: values.clean ?? false });
      break;
    case "power-on":
      await lab().powerOn(node);
      break;
    case "link-down":
      await lab().linkDown(node);
      break;
    case "link-up":
      await lab().linkUp(node);
      break;
    case "fault":
      await fault(lab(), node, rest);
      break;
    case "npu-delay":
      await lab().npuDelay(node, rest[0] === "never" ? "never" : number(rest[0], "SECONDS"));
      break;
    case "npu-vanish":
      await lab().npuVanish(node, npu(rest[0]));
      break;
    case "npu-appear":
      await lab().npuAppear(node, npu(rest[0]));
      break;
    default:
      throw new Error(`unknown command "${command}"; see: lab --help`);
  }
  return 0;
}

/** @param {Record<string, string | boolean | undefined>} values */
async function up(values) {
  const image = /** @type {"ray" | "vllm" | "none"} */ (values["image"] ?? "none");
  // Only here: `down` shall work whatever state the set-up is in.
  const { ensureLab } = await import("./setup.mjs");
  await ensureLab({ images: image === "none" ? [] : [image] });
  const begin = Date.now();
  const lab = await labUp({
    id: text(values["id"]),
    nodes: number(values["nodes"] ?? "2", "--nodes"),
    profile: /** @type {"root-debian" | "sudo-user"} */ (values["profile"] ?? "root-debian"),
    image,
    npus: number(values["npus"] ?? "8", "--npus"),
    models: text(values["models"]),
    owned: false,
  });
  const first = lab.nodes[0]?.name;
  stdout.write(
    `lab ${lab.id} is up after ${((Date.now() - begin) / 1000).toFixed(1)} s\n` +
      lab.nodes.map(({ name, user, address }) => `  ${name}  ${user}@${address}\n`).join("") +
      `  export SSH_AUTH_SOCK=${lab.agentSocket}\n` +
      `  ssh -o UserKnownHostsFile=${lab.knownHosts} ${lab.nodes[0]?.user}@${lab.nodes[0]?.address}\n` +
      `  or: npm run lab -- ssh ${first} --id ${lab.id}; take it down: npm run lab -- down --id ${lab.id}\n`,
  );
  return 0;
}

/** @param {Record<string, string | boolean | undefined>} values */
async function down(values) {
  for (const id of await removeStale())
    stdout.write(`lab ${id}: leftovers of a killed run removed\n`);
  if (values["stale"]) return 0;
  const labs = listLabs();
  const ids = values["all"] ? labs.map(({ id }) => id) : [text(values["id"]) ?? onlyId(labs)];
  for (const id of ids) {
    if (id === undefined) continue;
    await takeDown(id);
    stdout.write(`lab ${id} is down\n`);
  }
  return 0;
}

/** @param {ReturnType<typeof listLabs>} labs */
function onlyId(labs) {
  if (labs.length <= 1) return labs[0]?.id;
  const ids = labs.map(({ id }) => id).join(", ");
  throw new Error(`several labs are there, name one with --id or take --all: ${ids}`);
}

function list() {
  for (const { id, state, record } of listLabs()) {
    const what =
      record === null
        ? ""
        : `  ${record.nodes.length} nodes  ${record.profile}  image ${record.image}  ${record.subnet}`;
    stdout.write(`${id}  ${state}${what}\n`);
  }
  return 0;
}

/** @param {string | undefined} id */
async function status(id) {
  const lab = openLab(id);
  stdout.write(`lab ${lab.id}  ${lab.record.profile}  image ${lab.record.image}\n`);
  for (const { name, state, reason, boots, linkUp } of await lab.status()) {
    const { address, user } = lab.node(name);
    const cable = linkUp ? "" : "  cable unplugged";
    stdout.write(`  ${name}  ${user}@${address}  ${state}: ${reason}, boot ${boots}${cable}\n`);
  }
  return 0;
}

/** @param {import("./lab.mjs").Lab} lab @param {string} node @param {string[]} command */
function ssh(lab, node, command) {
  const args = command.length === 0 ? ["-t", ...lab.sshArgs(node)] : lab.sshArgs(node);
  const { status } = spawnSync("ssh", [...args, ...command], { stdio: "inherit" });
  return status ?? 255;
}

/** @param {import("./lab.mjs").Lab} lab @param {string} node @param {string[]} args */
async function fault(lab, node, [target, ...pairs]) {
  if (target === "clear") return lab.clearFaults(node);
  if (pairs.length === 0) throw new Error("which fault? lab fault NODE NPU|all|node KEY=VALUE...");
  const values = Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
      if (key === undefined) throw new Error(`"${pair}" is not KEY=VALUE`);
      return [key, jsonOrText(value ?? "")];
    }),
  );
  await lab.fault(node, target === "node" ? "node" : npu(target), values);
}

/** @param {string} value */
function jsonOrText(value) {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** @param {string | undefined} value @returns {number | "all"} */
function npu(value) {
  return value === "all" ? value : number(value, "NPU");
}

/** @param {unknown} value @param {string} name */
function number(value, name) {
  if (typeof value === "string" && /^\d+(\.\d+)?$/.test(value)) return Number(value);
  throw new Error(`${name} must be a number, got "${value ?? ""}"`);
}

/** @param {string | boolean | undefined} value */
function text(value) {
  return typeof value === "string" ? value : undefined;
}

/** @param {string[]} args index of the first word after `ssh [--id ID] NODE [--id ID]` */
function sshCommandStart(args) {
  let index = 1;
  let nodeSeen = false;
  for (; index < args.length; index += 1) {
    const word = /** @type {string} */ (args[index]);
    if (word === "--id") index += 1;
    else if (word.startsWith("--id=") || word === "--help" || word === "-h") continue;
    else if (nodeSeen) break;
    else nodeSeen = true;
  }
  return index;
}
