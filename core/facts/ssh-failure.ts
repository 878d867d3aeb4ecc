import { createHash } from "node:crypto";
import type { BastionPlan, ConnectionPlan } from "../plan/cluster-plan.js";

/** Why a script did not run, or not to its end, on a host. */
export type SshFailureKind =
  | "unreachable"
  | "refused"
  | "throttled"
  | "host-key"
  | "no-agent"
  | "auth"
  | "sudo"
  | "lost"
  | "timeout"
  | "client"
  | "shell";

export interface SshFailure {
  readonly kind: SshFailureKind;
  /** What was seen; one line, or two for keys to compare. */
  readonly cause: string;
  /** What to do about it. */
  readonly next: string;
}

/** The state of the operator's SSH agent. */
export type AgentState = "missing" | "empty" | "ready";

/** How one run of the `ssh` client ended. */
export interface SshEnd {
  readonly connection: ConnectionPlan;
  /** Exit code of the client: the script's own, or 255 for a failure of the connection; `null` when it was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Whether the client was killed because the script took too long. */
  readonly deadlineSec?: number | undefined;
  readonly agent: AgentState;
}

/**
 * Reads the end of a run of OpenSSH's client; `undefined` when the script itself ran, whatever its exit code.
 * Texts: OpenSSH 8.5 to 9.2 (`sshconnect.c`, `packet.c`), sudo 1.9 in the C locale.
 */
export function classifySshFailure(end: SshEnd): SshFailure | undefined {
  if (end.deadlineSec !== undefined) {
    return {
      kind: "timeout",
      cause: `no end after ${end.deadlineSec} s${tail(end)}`,
      next: `log in and look for a command that hangs, often a stale network mount or dockerd: ${sshLine(end.connection)}`,
    };
  }
  if (end.code === 255) return connectionFailure(end);
  if (end.code === 127 && /timeout: command not found/.test(end.stderr)) {
    return {
      kind: "shell",
      cause: "the host has no `timeout` (coreutils) on the search path of a login",
      next: "install coreutils and bash on the host",
    };
  }
  return sudoFailure(end);
}

/** The fingerprint that `ssh-keygen -l` prints for a public key line `<type> <base64>`. */
export function keyFingerprint(hostKey: string): string {
  const blob = Buffer.from(hostKey.split(" ")[1] ?? "", "base64");
  const digest = createHash("sha256").update(blob).digest("base64");
  return `SHA256:${digest.replace(/=+$/, "")}`;
}

/** The `ssh` command that a person would type for a node. */
export function sshLine({ user, address, port, bastion }: ConnectionPlan): string {
  const jump =
    bastion === undefined ? "" : `-J ${bastion.user}@${bastion.address}:${bastion.port} `;
  return `ssh ${jump}${port === 22 ? "" : `-p ${port} `}${user}@${address}`;
}

function connectionFailure(end: SshEnd): SshFailure {
  const { stderr, connection } = end;
  const { address, port } = connection;
  const where = `${address}:${port}`;
  // What the client says of a proxy that has ended; why it has, the lines before tell.
  if (connection.bastion !== undefined && /UNKNOWN port 65535/.test(stderr)) {
    return bastionFailure(end, connection.bastion);
  }
  if (/Host key verification failed|no matching host key type found/.test(stderr)) {
    return hostKeyFailure(end);
  }
  if (/Too many authentication failures/.test(stderr)) {
    return {
      kind: "auth",
      cause: `${where} refused user ${connection.user} after too many keys of the agent`,
      next: "leave only the right key in the agent: ssh-add -D; ssh-add <key file>",
    };
  }
  if (/Permission denied/.test(stderr)) return authFailure(end);
  if (/Bad configuration option|keyword .* extra arguments/.test(stderr)) {
    return {
      kind: "client",
      cause: `the ssh client of this machine is too old: ${lastLine(stderr)}`,
      next: "install OpenSSH 8.5 or newer on this machine",
    };
  }
  if (/kex_exchange_identification|Connection (reset|closed) by .* port/.test(stderr)) {
    return {
      kind: "throttled",
      cause: `sshd at ${where} closed the connection before the login`,
      next: "sshd is overloaded, restarting or limits connections (MaxStartups): look at journalctl -u ssh on the host",
    };
  }
  if (/Connection refused/.test(stderr)) {
    return {
      kind: "refused",
      cause: `${where} refused the connection: the host is up, no sshd listens there`,
      next: "start sshd on the host (systemctl start ssh), or correct ssh.port",
    };
  }
  if (/closed by remote host|Broken pipe|not responding/.test(stderr)) {
    return {
      kind: "lost",
      cause: `the connection to ${where} broke while the script ran`,
      next: "see whether the host rebooted or the network dropped, then run the command again",
    };
  }
  return {
    kind: "unreachable",
    cause: `no connection to ${where}: ${lastLine(stderr) || "ssh gave no reason"}`,
    next: `see whether the host is powered on and the address is right: ping ${address}`,
  };
}

function bastionFailure(end: SshEnd, bastion: BastionPlan): SshFailure {
  const { address, port } = end.connection;
  const forwarding = /(?:open failed: |stdio forwarding failed)(.*)/.exec(end.stderr)?.[1];
  if (forwarding !== undefined) {
    return {
      kind: "unreachable",
      cause: `the bastion ${bastion.address} gets no connection to ${address}:${port}: ${forwarding.trim() || "forwarding failed"}`,
      next: `on the bastion: see whether it reaches ${address}, and whether its sshd allows forwarding (AllowTcpForwarding, PermitOpen)`,
    };
  }
  const own = end.stderr
    .split("\n")
    .filter((line) => !/UNKNOWN port 65535|^kex_exchange/.test(line));
  const failure = connectionFailure({
    ...end,
    stderr: own.join("\n"),
    connection: { ...bastion, become: "none" },
  });
  return { ...failure, cause: `bastion: ${failure.cause}` };
}

function hostKeyFailure({ stderr, connection }: SshEnd): SshFailure {
  const { address, port, hostKey } = connection;
  const [type = ""] = hostKey.split(" ");
  const expected = `${keyFingerprint(hostKey)} (${type})`;
  const seen =
    /The fingerprint for the \S+ key sent by the remote host is\s+(SHA256:\S+?)\.?\s/.exec(
      stderr,
    )?.[1];
  const offer = /no matching host key type found\. Their offer: (\S+)/.exec(stderr)?.[1];
  const next = `if the host was reinstalled, compare the output of \`vllm-cluster hostkeys ${address}${port === 22 ? "" : `:${port}`}\` with the host's console and correct hostKey; else somebody answers in its place`;
  if (offer !== undefined) {
    return {
      kind: "host-key",
      cause: `refused before login: expected a host key of type ${type}, the host offers ${offer}`,
      next,
    };
  }
  if (seen === undefined) {
    return {
      kind: "host-key",
      cause: `refused before login: hostKey is not a usable public key of type ${type} (${keyFingerprint(hostKey)})`,
      next: `copy the whole line that \`vllm-cluster hostkeys ${address}\` prints, after comparing it with the host's console`,
    };
  }
  return {
    kind: "host-key",
    cause: `refused before login: wrong host key\nexpected ${expected}\nseen     ${seen}`,
    next,
  };
}

function authFailure({ connection, agent }: SshEnd): SshFailure {
  const { user, address } = connection;
  if (agent === "missing") {
    return {
      kind: "no-agent",
      cause: "no SSH agent: SSH_AUTH_SOCK is not set, or nothing answers there",
      next: 'start one and add the key: eval "$(ssh-agent)"; ssh-add <key file>',
    };
  }
  if (agent === "empty") {
    return {
      kind: "no-agent",
      cause: "the SSH agent holds no key",
      next: "add the key: ssh-add <key file>",
    };
  }
  return {
    kind: "auth",
    cause: `${address} accepts no key of the agent for user ${user}`,
    next: `put the public key (ssh-add -L) into ~${user}/.ssh/authorized_keys on the host, or correct ssh.user`,
  };
}

/** Only when nothing of the script can have run: sudo prints its refusal and starts nothing. */
function sudoFailure({ connection, code, stdout, stderr }: SshEnd): SshFailure | undefined {
  if (connection.become !== "sudo" || code === 0 || stdout !== "") return undefined;
  const reason =
    /^sudo: ((?:a password is required|a terminal is required|sorry, you must have a tty|no tty present).*)$/m.exec(
      stderr,
    )?.[1] ??
    /^(.* is not (?:in the sudoers file|allowed to (?:run sudo|execute)).*)$/m.exec(stderr)?.[1] ??
    (/sudo: command not found|'sudo': No such file/.test(stderr) ? "sudo is not installed" : null);
  if (reason === null || reason === undefined) return undefined;
  return {
    kind: "sudo",
    cause: `user ${connection.user} cannot become root without a password: ${reason}`,
    next: `allow it on the host: echo '${connection.user} ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/vllm-cluster`,
  };
}

function tail({ stderr }: SshEnd): string {
  const line = lastLine(stderr);
  return line === "" ? "" : `; last words: ${line}`;
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1)?.trim() ?? "";
}
