// What can be known to be wrong is said before anything starts: node, step, cause, next action, all hosts in one table, and
// nothing touched. Then the same `pulumi up` heals once the cause is gone.
import assert from "node:assert/strict";
import { BASE_DIR, CONTAINER, type CommandResult, LabStack } from "../support/lab-stack.js";

describe("pulumi up on hosts that are not ready", function () {
  this.timeout(300_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "ray" });
  });
  after(() => stack?.dispose());

  /** `up` must fail in the preflight, say what the patterns say, and leave every host as it was. */
  async function refused(...patterns: RegExp[]): Promise<void> {
    const result = await stack.up();
    await untouched(result, ...patterns);
  }

  async function untouched({ code, text }: CommandResult, ...patterns: RegExp[]): Promise<void> {
    assert.notEqual(code, 0, text);
    for (const pattern of patterns) assert.match(text, pattern);
    for (const { name } of stack.lab.nodes) {
      const { stdout } = await stack.lab.exec(
        name,
        "ls -d /var/lib/vllm-cluster /etc/systemd/system/vllm-* 2>/dev/null; docker ps -a --format '{{.Names}}' 2>/dev/null",
      );
      assert.equal(stdout, "", `${name} was touched`);
    }
  }

  it("refuses a host with another host key before it authenticates", async () => {
    const other = stack.lab.nodes[0]!.hostKey;
    const logins = async () =>
      (
        await stack.lab.must(
          stack.worker,
          "journalctl -q -u ssh --no-pager | grep -c Accepted || true",
        )
      ).trim();
    const before = await logins();
    await stack.withChange(
      (cluster) => {
        cluster.nodes[1]!.hostKey = other;
      },
      () => refused(/node1/, /HOST_KEY/, /SHA256:/),
    );
    assert.equal(await logins(), before);
  });

  it("says that there is no agent", async () => {
    const socket = stack.project.env["SSH_AUTH_SOCK"];
    delete stack.project.env["SSH_AUTH_SOCK"];
    try {
      await refused(/node0/, /node1/, /ssh-add/);
    } finally {
      stack.project.env["SSH_AUTH_SOCK"] = socket;
    }
  });

  const hostFaults: [
    name: string,
    break_: () => Promise<unknown>,
    mend: () => Promise<unknown>,
    patterns: RegExp[],
  ][] = [
    [
      "a key that a host does not accept",
      () => stack.lab.must(stack.worker, "mv /root/.ssh/authorized_keys /root/.ssh/off"),
      () => stack.lab.must(stack.worker, "mv /root/.ssh/off /root/.ssh/authorized_keys"),
      [/node1/, /key/i],
    ],
    [
      "a host that is down",
      () => stack.lab.linkDown(stack.worker),
      () => stack.lab.linkUp(stack.worker),
      [/node1/, /NODE_UNREACHABLE/],
    ],
    [
      "a docker daemon that is down",
      () => stack.lab.must(stack.worker, "systemctl stop docker.socket docker"),
      () =>
        stack.lab.must(stack.worker, "systemctl start docker.socket docker", { timeoutSec: 90 }),
      [/node1/, /DOCKER_DOWN/],
    ],
    [
      "an NPU that is missing on one node",
      () => stack.lab.npuVanish(stack.worker, 1),
      () => stack.lab.npuAppear(stack.worker, 1),
      [/node1/, /DEVICE_MISSING/, /\/dev\/davinci1/],
    ],
    [
      "a port that a foreign process holds",
      () =>
        stack.lab.must(
          stack.head,
          `systemd-run --quiet --unit foreign-listener python3 -c "
import socket, time
s = socket.create_server(('0.0.0.0', 8000)); time.sleep(600)"
for i in $(seq 50); do ss -ltn | grep -q ':8000 ' && exit 0; sleep 0.1; done; exit 1`,
        ),
      () => stack.lab.must(stack.head, "systemctl stop foreign-listener"),
      [/node0/, /PORT_BUSY/, /8000/, /python3/],
    ],
  ];
  for (const [name, breakIt, mend, patterns] of hostFaults) {
    it(`refuses ${name}`, async () => {
      await breakIt();
      try {
        await refused(...patterns);
      } finally {
        await mend();
      }
    });
  }

  it("refuses an image that no host has, naming both hosts in one table", async () => {
    await stack.withChange(
      (cluster) => {
        cluster.image.id = `sha256:${"0".repeat(64)}`;
      },
      () =>
        refused(
          /node0.*IMAGE_MISSING|IMAGE_MISSING.*node0/,
          /node1.*IMAGE_MISSING|IMAGE_MISSING.*node1/,
        ),
    );
  });

  it("refuses a model directory that is not there", async () => {
    await stack.withChange(
      (cluster) => {
        cluster.model.path = "/srv/models/no-such-model";
      },
      () => refused(/MODEL_MISSING/, /no-such-model/),
    );
  });

  it("says the last lines of the rank when serve does not get ready in time, and heals on the next up", async () => {
    // The stand-in's own knob: it hangs while it "loads".
    const faults = "/vllm-cluster/in/standin-faults.json";
    await stack.lab.must(
      stack.head,
      `mkdir -p ${BASE_DIR}/in && echo '{"hangAt": "load"}' > ${BASE_DIR}/in/standin-faults.json`,
    );
    await stack.withChange(
      (cluster) => {
        cluster.timeouts = { ...cluster.timeouts, serveStartSec: 25 };
        cluster.env = { ...cluster.env, VLLM_STANDIN_FAULTS: faults };
      },
      async () => {
        const { code, text } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(text, /node0/);
        assert.match(text, /no completion after 25 s/);
      },
    );
    await stack.mustUp();
    await stack.complete();
  });

  it("counts its own ports as free when the hosts are checked again", async () => {
    const { code, text } = await stack.vllmCluster("gate");
    assert.equal(code, 0, text);
  });

  it("reports a container that cannot start, with its node, and heals on the next up", async () => {
    // Behind docker's back: the unit is stopped and the container gone, as after a careless clean-up.
    await stack.lab.must(stack.worker, `systemctl stop ${CONTAINER}; docker rm -f ${CONTAINER}`, {
      timeoutSec: 120,
    });
    await stack.change((cluster) => {
      cluster.serve.maxNumSeqs = 9;
    });
    const first = await stack.pulumi("up", "--yes", "--skip-preview", "--refresh");
    assert.equal(first.code, 0, first.text);
    await stack.complete();
  });
});
