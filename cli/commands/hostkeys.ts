import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Command } from "commander";
import { keyFingerprint } from "../../core/facts/ssh-failure.js";
import { EXIT_FINDING, EXIT_OK, StepError, UsageError } from "../errors.js";

/** `vllm-cluster hostkeys`: the host keys that hosts show, to be compared before they are trusted. */
export function addHostkeysCommand(program: Command): void {
  program
    .command("hostkeys")
    .summary("the host keys that hosts show, for hostKey in the stack file")
    .description(
      "Asks hosts for their public host keys and prints them as lines for the stack file, with fingerprints.\n" +
        "What the network shows proves nothing: compare each fingerprint on the console of its host. Writes no file.",
    )
    .argument("<address...>", "address or address:port of a host's sshd")
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster hostkeys 192.0.2.11 192.0.2.12
  vllm-cluster hostkeys 192.0.2.11:2222

On the console of the host, not over this network:
  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`,
    )
    .action(async (addresses: readonly string[]) => {
      const targets = addresses.map(parseTarget);
      const scans = await Promise.all(targets.map(scanHost));
      process.stdout.write(`${scans.map(renderScan).join("\n\n")}\n`);
      if (scans.some(({ keys }) => keys.length > 0)) process.stderr.write(`\n${WARNING}\n`);
      process.exitCode = scans.every(({ keys }) => keys.length > 0) ? EXIT_OK : EXIT_FINDING;
    });
}

interface ScanTarget {
  readonly address: string;
  readonly port: number;
}

interface Scan extends ScanTarget {
  /** `<type> <base64>`, the recommended type first. */
  readonly keys: readonly string[];
  readonly reason: string;
}

/** Host names are not taken: the stack file names addresses, and a name could resolve to another host. */
function parseTarget(text: string): ScanTarget {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? 22);
  if (match?.[1] === undefined || port < 1 || port > 65535) {
    throw new UsageError(
      `must be an IPv4 address, or address:port as in 192.0.2.11:2222, got "${text}"`,
    );
  }
  return { address: match[1], port };
}

async function scanHost(target: ScanTarget): Promise<Scan> {
  const { address, port } = target;
  const args = ["-T", "10", "-t", "ed25519,ecdsa", "-p", String(port), address];
  try {
    const { stdout, stderr } = await promisify(execFile)("ssh-keyscan", args, { timeout: 30_000 });
    return { ...target, ...readScan(stdout, stderr) };
  } catch (error) {
    // ssh-keyscan ends with 1 when a host does not answer, and says so on standard error.
    const { stderr, code } = error as { readonly stderr?: string; readonly code?: unknown };
    if (code === "ENOENT") throw new StepError("ssh-keyscan is not installed on this machine");
    return { ...target, ...readScan("", stderr ?? "") };
  }
}

/** Lines `<address or [address]:port> <type> <base64>`; comments begin with `#`. */
function readScan(stdout: string, stderr: string): Pick<Scan, "keys" | "reason"> {
  const keys = stdout
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(" ").slice(1, 3).join(" "))
    .sort((a, b) => Number(b.startsWith("ssh-ed25519")) - Number(a.startsWith("ssh-ed25519")));
  const reason = stderr
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .at(-1);
  return { keys, reason: reason ?? "no sshd answers there" };
}

/** YAML that can be pasted: the first key as the value, other types as comments. */
function renderScan({ address, port, keys, reason }: Scan): string {
  const where = port === 22 ? address : `${address}:${port}`;
  if (keys.length === 0) return `# ${where}: no host key: ${reason}`;
  const lines = keys.flatMap((key, index) => [
    `${index === 0 ? "" : "# or: "}hostKey: ${key}`,
    `# ${keyFingerprint(key)} (${key.split(" ")[0]})`,
  ]);
  return [`# ${where}`, ...lines].join("\n");
}

const WARNING =
  "Compare before use: whoever sits between you and a host can answer in its place. On the console of each\n" +
  "host run `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`; only an equal fingerprint belongs into a stack file.";
