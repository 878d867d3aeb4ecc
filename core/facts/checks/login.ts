import type { Check, CheckContext, Finding } from "../check.js";
import { unknownFact } from "../check.js";
import { REQUIRED_TOOLS, SYSTEMD_DIR } from "../facts-request.js";
import { sshLine } from "../ssh-failure.js";

/** Whether scripts get root. */
export const rootCheck: Check = { name: "root", needs: [], judge: judgeRoot };

/** Whether the host has what the scripts call. */
export const toolsCheck: Check = { name: "tools", needs: ["root"], judge: judgeTools };

/** Whether docker answers to root and to the login user, which is how Pulumi's docker provider reaches it. */
export const dockerCheck: Check = { name: "docker", needs: ["root"], judge: judgeDocker };

function judgeRoot({ node, facts }: CheckContext): readonly Finding[] {
  const { user } = node.connection;
  if (facts.root === undefined) return [unknownFact("root", undefined)];
  if (facts.root.isOk) return [];
  return [
    {
      code: "SUDO_MISSING",
      result: "fail",
      detail: `user ${user} cannot become root without a password: ${facts.root.text}`,
      fix: `echo '${user} ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/vllm-cluster`,
    },
  ];
}

function judgeTools({ facts }: CheckContext): readonly Finding[] {
  const findings: Finding[] = [];
  const missing = REQUIRED_TOOLS.filter((tool) => facts.tools.get(tool) === "");
  const unasked = REQUIRED_TOOLS.filter((tool) => !facts.tools.has(tool));
  if (unasked.length > 0) findings.push(unknownFact(`tools ${unasked.join(", ")}`, undefined));
  if (missing.length > 0) {
    findings.push({
      code: "TOOLS_MISSING",
      result: "fail",
      detail: `not installed, or not in a standard directory: ${missing.join(", ")}`,
      fix: `install ${[...new Set(missing.map((tool) => TOOL_PACKAGE[tool]))].join(", ")}, or link the tool into /usr/local/bin`,
    });
  }
  const systemd = facts.paths.get(SYSTEMD_DIR);
  if (systemd?.state === "missing") {
    findings.push({
      code: "SYSTEMD_MISSING",
      result: "fail",
      detail: "systemd is not the init of this host, so nothing would start the container at boot",
      fix: "use a host, or a virtual machine, that systemd boots",
    });
  }
  return findings;
}

function judgeDocker(context: CheckContext): readonly Finding[] {
  const { docker, tools } = context.facts;
  if (docker === undefined) return [unknownFact("docker", undefined)];
  if (tools.get("docker") === "") {
    return [
      {
        code: "TOOLS_MISSING",
        result: "fail",
        detail: "docker is not installed, or not in a standard directory",
        fix: "install docker (Debian: docker.io, openEuler: docker-engine), or link it into /usr/bin",
      },
    ];
  }
  // One cause, one finding: a daemon that does not answer to root answers to nobody.
  if (!docker.isOk) {
    return [
      {
        code: "DOCKER_DOWN",
        result: "fail",
        detail: `the docker daemon does not answer: ${docker.text}`,
        fix: "systemctl enable --now docker; journalctl -u docker -n 50 tells why it is down",
      },
    ];
  }
  return [
    ...judgeDockerOfLogin(context),
    ...judgeDockerVersion(docker.text),
    ...judgeDockerRuntime(context),
  ];
}

/** Docker 20.10.10 is the first whose seccomp profile knows clone3 (moby#42681). */
function judgeDockerVersion(version: string): readonly Finding[] {
  const [major = Number.NaN, minor = 0, patch = 0] = version.split(".").map(Number.parseFloat);
  if (Number.isNaN(major)) return [unknownFact(`docker version ${version}`, undefined)];
  if (major * 1e6 + minor * 1e3 + patch >= 20_010_010) return [];
  return [
    {
      code: "DOCKER_OLD",
      result: "warn",
      detail: `docker ${version} answers clone3 with EPERM: programs of newer images cannot start threads`,
      fix: "upgrade docker to 20.10.10 or newer",
    },
  ];
}

function judgeDockerRuntime({ facts }: CheckContext): readonly Finding[] {
  const { dockerDetails } = facts;
  if (dockerDetails === undefined) return [unknownFact("runtimes of docker", undefined)];
  if (dockerDetails.runtimes.includes("runc")) return [];
  return [
    {
      code: "DOCKER_RUNTIME",
      result: "fail",
      detail: `docker has no runtime runc; it has ${dockerDetails.runtimes.join(", ") || "none"}`,
      fix: "restore runc in /etc/docker/daemon.json; another default runtime may stay",
    },
  ];
}

function judgeDockerOfLogin({ node, facts }: CheckContext): readonly Finding[] {
  const { dockerOfLogin } = facts;
  const { user } = node.connection;
  if (dockerOfLogin === undefined) return [unknownFact("docker of the login user", undefined)];
  if (dockerOfLogin.isOk) return [];
  if (dockerOfLogin.isMissing) {
    return [
      {
        code: "DOCKER_LOGIN",
        result: "fail",
        detail: `docker is not on the search path of a login without terminal: ${dockerOfLogin.text}`,
        fix: `ln -s ${facts.tools.get("docker") || "<path of docker>"} /usr/bin/docker`,
      },
    ];
  }
  return [
    {
      code: "DOCKER_LOGIN",
      result: "fail",
      detail: `user ${user} cannot use docker, and Pulumi's docker provider logs in as ${user}: ${dockerOfLogin.text}`,
      fix: `usermod -aG docker ${user}; then try: ${sshLine(node.connection)} docker version`,
    },
  ];
}

const TOOL_PACKAGE: Readonly<Record<(typeof REQUIRED_TOOLS)[number], string>> = {
  bash: "bash",
  timeout: "coreutils",
  base64: "coreutils",
  flock: "util-linux",
  ip: "iproute2",
  ss: "iproute2",
  systemctl: "systemd",
};
