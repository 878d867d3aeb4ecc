// Texts were recorded with OpenSSH 9.2 and sudo 1.9 of Debian 12, unless a case says otherwise.
import assert from "node:assert/strict";
import {
  type AgentState,
  classifySshFailure,
  keyFingerprint,
  type SshEnd,
  type SshFailureKind,
  sshLine,
} from "../../../core/facts/ssh-failure.js";

// Pair made for this test; `ssh-keygen -lf` prints the fingerprint.
const HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzaRQqG+Fq0A3t7wGpLxuFvOHCxyXutAEwi61vW6qBZ";
const FINGERPRINT = "SHA256:SuuWOMprlW9QmaYDIfuuSYFXVl5zrbMC2T0HRaFPLKY";

const connection = {
  address: "10.0.0.11",
  user: "root",
  port: 2222,
  hostKey: HOST_KEY,
  become: "none",
} as const;

function end(changes: Partial<SshEnd>): SshEnd {
  return { connection, code: 255, stdout: "", stderr: "", agent: "ready", ...changes };
}

const CHANGED_KEY = `Banner text from the company
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:hu+jrvoIpAnX1vzJ0dTZew+k+B2M3SgnuYa8YFm04bY.
Please contact your system administrator.
Offending ED25519 key in KnownHostsCommand-HOSTNAME:1
  remove with:
  ssh-keygen -f "KnownHostsCommand-HOSTNAME" -R "node0"
Host key for node0 has changed and you have requested strict checking.
Host key verification failed.
`;

interface Case {
  readonly title: string;
  readonly stderr: string;
  readonly agent?: AgentState;
  readonly kind: SshFailureKind;
  readonly says: readonly string[];
}

const CASES: readonly Case[] = [
  {
    title: "a wrong host key, with both fingerprints",
    stderr: CHANGED_KEY,
    kind: "host-key",
    says: [
      "refused before login",
      `expected ${FINGERPRINT} (ssh-ed25519)`,
      "SHA256:hu+jrvoIpAnX1vzJ0dTZew+k+B2M3SgnuYa8YFm04bY\n",
      "vllm-cluster hostkeys 10.0.0.11:2222",
    ],
  },
  {
    title: "a host without a key of the pinned type",
    stderr:
      "Unable to negotiate with 10.0.0.11 port 2222: no matching host key type found. Their offer: ecdsa-sha2-nistp256\n",
    kind: "host-key",
    says: ["expected a host key of type ssh-ed25519, the host offers ecdsa-sha2-nistp256"],
  },
  {
    title: "a pinned key that ssh cannot read",
    stderr: "Host key verification failed.\n",
    kind: "host-key",
    says: ["not a usable public key"],
  },
  {
    title: "no agent",
    stderr: "Banner text from the company\nroot@10.0.0.11: Permission denied (publickey).\n",
    agent: "missing",
    kind: "no-agent",
    says: ["SSH_AUTH_SOCK", "ssh-add"],
  },
  {
    title: "an agent without keys",
    stderr: "root@10.0.0.11: Permission denied (publickey,password,keyboard-interactive).\n",
    agent: "empty",
    kind: "no-agent",
    says: ["holds no key", "ssh-add"],
  },
  {
    title: "a key that the host does not accept",
    stderr: "root@10.0.0.11: Permission denied (publickey,password).\n",
    kind: "auth",
    says: ["accepts no key of the agent for user root", "authorized_keys"],
  },
  {
    title: "more keys in the agent than sshd wants to see",
    stderr:
      "Received disconnect from 10.0.0.11 port 2222:2: Too many authentication failures\nDisconnected from 10.0.0.11 port 2222\n",
    kind: "auth",
    says: ["too many keys", "ssh-add -D"],
  },
  {
    title: "a refused connection",
    stderr: "ssh: connect to host 10.0.0.11 port 2222: Connection refused\n",
    kind: "refused",
    says: ["10.0.0.11:2222 refused", "ssh.port"],
  },
  {
    title: "a host that does not answer",
    stderr: "ssh: connect to host 10.0.0.11 port 2222: Connection timed out\n",
    kind: "unreachable",
    says: ["Connection timed out", "ping 10.0.0.11"],
  },
  {
    title: "a host without route (text of ssh.c)",
    stderr: "ssh: connect to host 10.0.0.11 port 2222: No route to host\n",
    kind: "unreachable",
    says: ["No route to host"],
  },
  {
    title: "a port that accepts and never speaks",
    stderr:
      "Connection timed out during banner exchange\nConnection to 10.0.0.11 port 2222 timed out\n",
    kind: "unreachable",
    says: ["timed out"],
  },
  {
    title: "a connection that sshd drops at its limit",
    stderr:
      "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.0.0.11 port 2222\n",
    kind: "throttled",
    says: ["before the login", "MaxStartups"],
  },
  {
    title: "a connection that breaks while the script runs",
    stderr: "Connection to 10.0.0.11 closed by remote host.\n",
    kind: "lost",
    says: ["broke while the script ran"],
  },
  {
    title: "a host that falls silent while the script runs (text of clientloop.c)",
    stderr: "Timeout, server 10.0.0.11 not responding.\n",
    kind: "lost",
    says: ["broke while the script ran"],
  },
  {
    title: "an ssh client without KnownHostsCommand (text of readconf.c)",
    stderr: "command-line: line 0: Bad configuration option: knownhostscommand\n",
    kind: "client",
    says: ["OpenSSH 8.5"],
  },
];

describe("classifySshFailure", () => {
  for (const { title, stderr, agent, kind, says } of CASES) {
    it(`tells ${title}`, () => {
      const failure = classifySshFailure(end({ stderr, ...(agent && { agent }) }));
      assert.equal(failure?.kind, kind);
      const text = `${failure?.cause}\n${failure?.next}`;
      for (const part of says) assert.ok(text.includes(part), `${part} in ${text}`);
    });
  }

  describe("through a bastion", () => {
    const bastion = { address: "192.0.2.9", user: "jump", port: 2200, hostKey: HOST_KEY };
    // OpenSSH 9.2 says this whenever its proxy has ended.
    const ENDED = `kex_exchange_identification: Connection closed by remote host
Connection closed by UNKNOWN port 65535
`;
    const through = (stderr: string) =>
      classifySshFailure(end({ connection: { ...connection, bastion }, stderr }));

    const FAILURES: readonly [title: string, stderr: string, kind: SshFailureKind, says: RegExp][] =
      [
        [
          "a bastion without sshd",
          `ssh: connect to host 192.0.2.9 port 2200: Connection refused\r\n${ENDED}`,
          "refused",
          /^bastion: 192\.0\.2\.9:2200 refused the connection/,
        ],
        [
          "a bastion that takes no key",
          `jump@192.0.2.9: Permission denied (publickey).\r\n${ENDED}`,
          "auth",
          /^bastion: 192\.0\.2\.9 accepts no key of the agent for user jump/,
        ],
        [
          "a bastion with another key",
          `${CHANGED_KEY}${ENDED}`,
          "host-key",
          /^bastion: refused before login: wrong host key/,
        ],
        [
          "a bastion that does not reach the host",
          `channel 0: open failed: connect failed: No route to host\r\nstdio forwarding failed\r\n${ENDED}`,
          "unreachable",
          /^the bastion 192\.0\.2\.9 gets no connection to 10\.0\.0\.11:2222: connect failed: No route to host/,
        ],
        [
          "the host itself that takes no key",
          "root@10.0.0.11: Permission denied (publickey).\r\n",
          "auth",
          /^10\.0\.0\.11 accepts no key/,
        ],
      ];
    for (const [title, stderr, kind, says] of FAILURES) {
      it(`tells ${title}`, () => {
        const failure = through(stderr);
        assert.equal(failure?.kind, kind);
        assert.match(failure?.cause ?? "", says);
      });
    }

    it("names it in the command for a person", () => {
      assert.equal(
        sshLine({ ...connection, bastion }),
        "ssh -J jump@192.0.2.9:2200 -p 2222 root@10.0.0.11",
      );
    });
  });

  it("leaves the script's own exit code alone", () => {
    assert.equal(classifySshFailure(end({ code: 0 })), undefined);
    assert.equal(classifySshFailure(end({ code: 1, stderr: "Permission denied\n" })), undefined);
    assert.equal(
      classifySshFailure(end({ code: 127, stderr: "x: command not found\n" })),
      undefined,
    );
  });

  it("tells a script that was stopped at its deadline, with its last words", () => {
    const failure = classifySshFailure(end({ code: null, deadlineSec: 60, stderr: "one\ntwo\n" }));
    assert.equal(failure?.kind, "timeout");
    assert.match(failure?.cause ?? "", /^no end after 60 s; last words: two$/);
  });

  it("tells a host without coreutils", () => {
    const stderr = "bash: line 1: timeout: command not found\n";
    assert.equal(classifySshFailure(end({ code: 127, stderr }))?.kind, "shell");
  });

  const sudo = { ...connection, user: "ops", become: "sudo" } as const;
  const refusals = [
    "sudo: unable to resolve host vm: Temporary failure in name resolution\nsudo: a password is required\n",
    "sudo: sorry, you must have a tty to run sudo\n",
    "ops is not in the sudoers file.\n",
    "env: 'sudo': No such file or directory\n",
  ];
  for (const stderr of refusals) {
    it(`tells that sudo refuses: ${stderr.trim().split("\n").at(-1)}`, () => {
      const failure = classifySshFailure(end({ connection: sudo, code: 1, stderr }));
      assert.equal(failure?.kind, "sudo");
      assert.match(failure?.next ?? "", /ops ALL=\(ALL\) NOPASSWD: ALL/);
    });
  }

  it("does not take a script that failed for a refusal of sudo", () => {
    const stderr =
      "sudo: unable to resolve host vm: Temporary failure in name resolution\nno such file\n";
    assert.equal(classifySshFailure(end({ connection: sudo, code: 1, stderr })), undefined);
    const late = end({
      connection: sudo,
      code: 1,
      stdout: "the script ran",
      stderr: "sudo: a password is required\n",
    });
    assert.equal(classifySshFailure(late), undefined);
  });
});

describe("keyFingerprint", () => {
  it("is what ssh-keygen -l prints", () => {
    assert.equal(keyFingerprint(HOST_KEY), FINGERPRINT);
  });
});

describe("sshLine", () => {
  it("names the port only where it is not 22", () => {
    assert.equal(sshLine(connection), "ssh -p 2222 root@10.0.0.11");
    assert.equal(sshLine({ ...connection, port: 22 }), "ssh root@10.0.0.11");
  });
});
