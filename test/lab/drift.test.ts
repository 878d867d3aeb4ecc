// Each kind of drift is provoked by hand on a host of the lab, found and named; what is said to put it right does, and then
// nothing is found. Real engine, docker and systemd. Drivers and boots of the lab are stand-ins.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { DriftFinding } from "../../core/drift/drift-finding.js";
import { BASE_DIR, CONTAINER, LabStack } from "../support/lab-stack.js";

const AGAIN_SEC = 150;

describe("drift", function () {
  this.timeout(600_000);
  let stack: LabStack;

  before(async () => {
    stack = await LabStack.create({ image: "ray" });
    await stack.mustUp();
  });
  after(() => stack?.dispose());

  /** What differs, as `node kind level`, after the exit code was checked against it. */
  async function drift(...options: readonly string[]): Promise<readonly DriftFinding[]> {
    const { code, text } = await stack.vllmCluster("drift", "--json", ...options);
    const { findings } = JSON.parse(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1)) as {
      findings: readonly DriftFinding[];
    };
    assert.equal(code, findings.some(({ level }) => level !== "note") ? 1 : 0, text);
    return findings;
  }
  const names = (findings: readonly DriftFinding[]) =>
    findings.map(({ node, kind, level, found }) => `${node} ${kind} ${level}: ${found}`);

  async function servesWithoutDrift(afterEpoch: number): Promise<void> {
    await stack.servesAgain(afterEpoch, AGAIN_SEC);
    assert.deepEqual(names(await drift()), []);
  }

  it("is not found on an untouched cluster, and looking changes nothing", async () => {
    const before = await stack.running();
    assert.deepEqual(names(await drift()), []);
    const { code, text } = await stack.vllmCluster("drift");
    assert.deepEqual([code, text], [0, "cluster lab: no drift\n"]);
    assert.deepEqual(await stack.running(), before);
  });

  it("of files, units, modes and driver is found where it is, and repaired without a restart", async () => {
    const before = await stack.running();
    await stack.lab.must(
      stack.worker,
      `echo '# by hand' >> ${BASE_DIR}/bin/commit.sh
       rm ${BASE_DIR}/in/staged.json
       sed -i 's/^driver .*/driver 1.0/' ${BASE_DIR}/machine
       echo '# by hand' >> /etc/systemd/system/${CONTAINER}.service`,
    );
    await stack.lab.must(
      stack.head,
      `systemctl --quiet disable ${CONTAINER}.service; chmod 644 ${BASE_DIR}/in/secrets/api-key`,
    );
    const found = await drift();
    const shown = names(found).map((name) => name.replace(/: (mode|\d).*/, ": …"));
    assert.deepEqual(shown.sort(), [
      "node0 secret drift: …",
      "node0 unit drift: disabled",
      "node1 driver drift: …",
      "node1 file drift: has another content",
      "node1 file drift: missing",
      "node1 unit drift: has another content",
    ]);
    // The engine sees none of it, as every finding says.
    for (const { nextUp } of found) assert.match(nextUp, /^nothing/);
    assert.match(await stack.mustUp(), / unchanged/);
    assert.equal((await drift()).length, found.length);

    const left = await drift("--repair");
    assert.deepEqual(
      left.map(({ kind }) => kind),
      ["secret"],
    );
    const [, command = ""] = /on node0: (.*); then rotate/.exec(left[0]!.next) ?? [];
    await stack.lab.must(stack.head, command);
    assert.deepEqual(names(await drift()), []);
    assert.deepEqual(await stack.running(), before);
    assert.equal(
      (await stack.lab.must(stack.head, `systemctl is-enabled ${CONTAINER}.service`)).trim(),
      "enabled",
    );
  });

  it("of a stopped container is told, and ends by itself", async () => {
    const { epoch } = (await stack.status()).serve;
    await stack.lab.must(
      stack.worker,
      `systemctl stop ${CONTAINER}.service; docker ps -aq -f name=^${CONTAINER}$ -f status=exited | grep -q .`,
      { timeoutSec: 120 },
    );
    const stopped = await drift();
    assert.match(names(stopped).join("\n"), /^node1 container drift: exited/m);
    assert.match(names(stopped).join("\n"), /^node1 unit drift: inactive/m);
    assert.ok(names(stopped).every((name) => !name.includes("unknown")));
    await drift("--repair");
    await servesWithoutDrift(epoch ?? 0);
  });

  it("of a removed container is told, and `pulumi up --refresh` makes it again", async () => {
    const { epoch } = (await stack.status()).serve;
    await stack.lab.must(
      stack.worker,
      `systemctl stop ${CONTAINER}.service; docker rm -f ${CONTAINER}`,
      { timeoutSec: 120 },
    );
    const removed = (await drift()).find(({ kind }) => kind === "container");
    assert.equal(removed?.found, "there is no such container");
    assert.match(removed?.nextUp ?? "", /^nothing/);
    assert.match(await stack.mustUp(), /unchanged/);
    assert.equal((await drift()).find(({ kind }) => kind === "container")?.level, "drift");
    assert.match(removed?.next ?? "", /^pulumi up --refresh/);
    const { code, text } = await stack.pulumi("up", "--refresh", "--yes", "--skip-preview");
    assert.equal(code, 0, text);
    await servesWithoutDrift(epoch ?? 0);
  });

  it("of a container that somebody has made is told field by field, and the way back works", async () => {
    const { epoch } = (await stack.status()).serve;
    await stack.lab.must(
      stack.worker,
      `systemctl stop ${CONTAINER}.service
       image=$(docker inspect -f '{{.Image}}' ${CONTAINER}); docker rm -f ${CONTAINER}
       docker run -d --name ${CONTAINER} --privileged --network none --restart always "$image" sleep infinity`,
      { timeoutSec: 120 },
    );
    const fields = (await drift())
      .filter(({ kind }) => kind === "container")
      .map(({ planned }) => planned);
    for (const field of ["command", "network", "privileged", "restart policy", "mounts"]) {
      assert.ok(
        fields.some((planned) => planned.includes(`: ${field} `)),
        `${field}: ${fields.join("\n")}`,
      );
    }
    await stack.lab.must(stack.worker, `docker rm -f ${CONTAINER}`, { timeoutSec: 60 });
    const { code, text } = await stack.pulumi("up", "--refresh", "--yes", "--skip-preview");
    assert.equal(code, 0, text);
    await servesWithoutDrift(epoch ?? 0);
  });

  it("of a process is found by its command line and its environment", async () => {
    const release = `${BASE_DIR}/in/releases/serve-${(await stack.status()).serve.hash}.json`;
    const { pid, epoch } = (await stack.status()).serve;
    await stack.lab.must(
      stack.head,
      `sed -i 's/--max-num-seqs=25/--max-num-seqs=7/; s/"OMP_NUM_THREADS": "1"/"OMP_NUM_THREADS": "3"/' ${release}
       docker exec ${CONTAINER} kill -9 ${pid}`,
    );
    await stack.servesAgain(epoch ?? 0, AGAIN_SEC);
    const found = names(await drift()).join("\n");
    assert.match(found, /^node0 file drift: has another content$/m);
    assert.match(found, /^node0 process drift: --max-num-seqs=7$/m);
    assert.match(found, /^node0 process drift: 3$/m);
    await drift("--repair");
    const again = (await stack.status()).serve.epoch;
    await stack.vllmCluster("stop");
    await stack.vllmCluster("start");
    await servesWithoutDrift(again ?? 0);
  });

  it("is told from a change of the stack file that was not deployed, which --repair refuses to stage", async () => {
    await stack.withChange(
      (cluster) => {
        cluster.serve.maxNumSeqs = 12;
      },
      async () => {
        const findings = await drift();
        assert.deepEqual(
          findings.map(({ kind, level }) => [kind, level]),
          [["release", "pending"]],
        );
        const { code, text } = await stack.vllmCluster("drift", "--repair");
        assert.equal(code, 1, text);
        assert.match(text, /nothing was repaired/);
      },
    );
    assert.deepEqual(names(await drift()), []);
  });

  it("is not what a reboot is, and a host that is off is named", async () => {
    const { epoch } = (await stack.status()).serve;
    await stack.lab.powerOff(stack.worker);
    await sleep(1000);
    assert.match(names(await drift()).join("\n"), /^node1 host unknown: /m);
    await stack.lab.powerOn(stack.worker);
    await stack.servesAgain(epoch ?? 0, AGAIN_SEC);
    assert.deepEqual(names(await drift()), [
      "node1 boot note: was rebooted; the boot unit has started the container",
    ]);
  });
});
