import { argv, exit } from "node:process";
import { say } from "./progress.mjs";
import { messageOf } from "./run.mjs";
import { ensureToolchain } from "./toolchain.mjs";

const USAGE = `usage: npm run setup [-- engine | lab]
  (nothing)  everything that the demo and all tests need
  engine     npm packages, Node 22, Pulumi CLI with its plugins
  lab        the same as nothing: the lab needs the engine too`;

const part = argv[2] ?? "lab";
if (!["engine", "lab"].includes(part)) {
  process.stderr.write(`${USAGE}\n`);
  exit(2);
}
try {
  const { summary } = await ensureToolchain({ need: { engine: true, lab: part === "lab" } });
  process.stdout.write(`${summary}\n`);
} catch (error) {
  say(messageOf(error));
  process.exitCode = 1;
}
