// Runs the real module with a fake `ssh` that records how it was called. Does not prove that OpenSSH takes the options and
// refuses a wrong key: the lab does.
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NodeScript, runOnNode, runOnNodes } from "../../cli/ssh.js";
import { HOST_KEY } from "../support/specs.js";

const FAKE_SSH = `#!/bin/bash
here=$(dirname "$0")
host=\${@: -2:1}
printf '%s\\n' "$@" >"$here/$host.args"
cat >"$here/$host.script"
echo x >>"$here/$host.count"
. "$here/$host.answer"
`;

describe("runOnNode", () => {
  let dir: string;
  const path = process.env["PATH"];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "ssh-"));
    install("ssh", FAKE_SSH);
    install("ssh-add", "#!/bin/bash\nexit 2\n");
    process.env["PATH"] = `${dir}:${path}`;
  });

  afterEach(() => {
    process.env["PATH"] = path;
    rmSync(dir, { recursive: true });
  });

  function install(name: string, content: string): void {
    writeFileSync(join(dir, name), content);
    chmodSync(join(dir, name), 0o755);
  }

  function target(address: string, answer: string, become: "none" | "sudo" = "none") {
    writeFileSync(join(dir, `${address}.answer`), answer);
    return {
      name: `node-${address}`,
      connection: { address, user: "ops", port: 2222, hostKey: HOST_KEY, become },
    };
  }

  const recorded = (address: string, what: string) =>
    readFileSync(join(dir, `${address}.${what}`), "utf8");
  const script: NodeScript = { text: "echo 'secret canary'\n", as: "root", deadlineSec: 60 };

  it("pins the host key, offers keys of the agent only and sends the script on standard input", async () => {
    const run = await runOnNode(target("a", "echo out; echo err >&2; exit 3"), script);
    assert.deepEqual(
      [run.code, run.stdout, run.stderr, run.failure],
      [3, "out\n", "err\n", undefined],
    );
    const args = recorded("a", "args").trimEnd().split("\n");
    for (const option of [
      "StrictHostKeyChecking=yes",
      "BatchMode=yes",
      "IdentityFile=none",
      `KnownHostsCommand=/bin/echo node-a ${HOST_KEY}`,
      "ConnectTimeout=10",
    ]) {
      assert.equal(args[args.indexOf(option) - 1], "-o", option);
    }
    assert.deepEqual(args.slice(-6), ["-p", "2222", "-l", "ops", "a", "timeout -k 5 50 bash -s"]);
    assert.equal(recorded("a", "script"), script.text);
    assert.ok(!args.join().includes("canary"));
  });

  it("becomes root only where the script asks for it", async () => {
    const node = target("a", "exit 0", "sudo");
    await runOnNode(node, script);
    assert.match(recorded("a", "args"), /\nenv LC_ALL=C sudo -n timeout -k 5 50 bash -s\n$/);
    await runOnNode(node, { ...script, as: "login" });
    assert.match(recorded("a", "args"), /\na\ntimeout -k 5 50 bash -s\n$/);
  });

  it("ends a client that outlives its deadline", async () => {
    const start = Date.now();
    const run = await runOnNode(target("a", "exec sleep 30"), { ...script, deadlineSec: 1 });
    assert.equal(run.failure?.kind, "timeout");
    assert.ok(Date.now() - start < 5000);
  });

  it("hides nothing of the other nodes behind a dead one, and keeps their order", async () => {
    const runs = await runOnNodes(
      [
        target("a", "echo 'ssh: connect to host a port 22: Connection refused' >&2; exit 255"),
        target("b", "echo fine"),
        target("c", "exec sleep 30"),
      ],
      () => ({ ...script, deadlineSec: 1 }),
    );
    assert.deepEqual(
      runs.map(({ node, failure }) => [node, failure?.kind]),
      [
        ["node-a", "refused"],
        ["node-b", undefined],
        ["node-c", "timeout"],
      ],
    );
    assert.equal(runs[1]!.stdout, "fine\n");
  });

  it("asks for the agent only when the login was refused", async () => {
    const refused = "echo 'ops@a: Permission denied (publickey).' >&2; exit 255";
    assert.equal((await runOnNode(target("a", refused), script)).failure?.kind, "no-agent");
    install("ssh-add", "#!/bin/bash\nexit 0\n");
    assert.equal((await runOnNode(target("a", refused), script)).failure?.kind, "auth");
  });

  it("tries again when sshd dropped the connection before the login, and only then", async () => {
    const drop = `if [ "$(wc -l <"$here/$host.count")" -lt 2 ]; then
      echo 'kex_exchange_identification: Connection closed by remote host' >&2; exit 255; fi; echo fine`;
    const run = await runOnNode(target("a", drop), script);
    assert.deepEqual([run.stdout, run.failure], ["fine\n", undefined]);
    assert.equal(recorded("a", "count"), "x\nx\n");
    await runOnNode(target("b", "echo 'b: Permission denied (publickey).' >&2; exit 255"), script);
    assert.equal(recorded("b", "count"), "x\n");
  });

  it("hands output on while the script runs", async () => {
    const seen: string[] = [];
    const run = await runOnNode(target("a", "echo one; echo two"), {
      ...script,
      onOutput: (text) => seen.push(text),
    });
    assert.equal(seen.join(""), "one\ntwo\n");
    assert.equal(run.stdout, "");
  });

  it("tells that this machine has no ssh", async () => {
    const node = target("a", "exit 0");
    process.env["PATH"] = join(dir, "none");
    const run = await runOnNode(node, script);
    assert.equal(run.failure?.kind, "client");
    assert.match(run.failure?.cause ?? "", /ENOENT/);
    assert.equal(existsSync(join(dir, "a.args")), false);
  });
});
