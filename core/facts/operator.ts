/** What the operator's machine says of itself; `undefined` for a program that is not there or did not answer. */
export interface OperatorFacts {
  /** As of `process.versions.node`. */
  readonly node: string;
  /** Output of `pulumi version`. */
  readonly pulumi: string | undefined;
  /** Output of `ssh -V`. */
  readonly ssh: string | undefined;
  readonly agent: "ready" | "empty" | "missing";
  /** Keys that the agent holds. */
  readonly agentKeys: number;
}

/** One line of `vllm-cluster doctor`. */
export interface OperatorCheck {
  readonly name: string;
  readonly result: "pass" | "warn" | "fail" | "unknown";
  readonly detail: string;
  /** Unset on a pass. */
  readonly fix?: string;
}

/** Judges the machine from which `pulumi up` and the CLI run. */
export function judgeOperator(facts: OperatorFacts): readonly OperatorCheck[] {
  return [
    judgeVersion("node", facts.node, NODE_LEAST, "install Node 20 or newer"),
    judgeVersion(
      "pulumi",
      facts.pulumi,
      PULUMI_LEAST,
      "install the Pulumi CLI: https://www.pulumi.com/docs/install/",
    ),
    judgeVersion(
      "ssh",
      sshVersion(facts.ssh),
      SSH_LEAST,
      "install OpenSSH 8.5 or newer: it pins host keys by KnownHostsCommand",
    ),
    judgeAgent(facts),
  ];
}

/** A version whose first two numbers count. */
type Least = readonly [major: number, minor: number];

function judgeVersion(
  name: string,
  text: string | undefined,
  least: Least,
  fix: string,
): OperatorCheck {
  if (text === undefined) return { name, result: "fail", detail: "it is not there", fix };
  const match = /(\d+)\.(\d+)/.exec(text);
  if (match === null) {
    return { name, result: "unknown", detail: `no version in "${text.trim()}"`, fix };
  }
  const [major, minor] = [Number(match[1]), Number(match[2])];
  const isEnough = major > least[0] || (major === least[0] && minor >= least[1]);
  const version = text.trim().replace(/^v/, "");
  return isEnough
    ? { name, result: "pass", detail: version }
    : { name, result: "fail", detail: `${version} is older than ${least.join(".")}`, fix };
}

/** `OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15 …`. */
function sshVersion(text: string | undefined): string | undefined {
  return text === undefined ? undefined : (/OpenSSH[^,]*/.exec(text)?.[0] ?? text.split(",")[0]);
}

/** sshd counts every key that is offered: with the usual `MaxAuthTries 6` the right one must come early. */
function judgeAgent({ agent, agentKeys }: OperatorFacts): OperatorCheck {
  const name = "ssh-agent";
  if (agent === "missing") {
    const fix = 'eval "$(ssh-agent)"; ssh-add <key file>; keys come from the agent only';
    return { name, result: "fail", detail: "no agent answers at SSH_AUTH_SOCK", fix };
  }
  if (agent === "empty") {
    return { name, result: "fail", detail: "it holds no key", fix: "ssh-add <key file>" };
  }
  const detail = `${agentKeys} ${agentKeys === 1 ? "key" : "keys"}`;
  if (agentKeys <= MAX_AGENT_KEYS) return { name, result: "pass", detail };
  return {
    name,
    result: "warn",
    detail: `${detail}: a host refuses after six that it does not know (MaxAuthTries)`,
    fix: "ssh-add -D, then ssh-add the key of the hosts; or an agent of its own for them",
  };
}

const NODE_LEAST: Least = [20, 0];
/** The first whose SDK has what components/ uses. */
const PULUMI_LEAST: Least = [3, 200];
const SSH_LEAST: Least = [8, 5];
const MAX_AGENT_KEYS = 5;
