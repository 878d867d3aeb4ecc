// What is made of a host's answer. The answers are built from the plan; that hosts answer so, and that what is said heals:
// the lab.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readNodeScripts } from "../../../cli/package-files.js";
import { loadNodeScripts } from "../../../components/node-scripts.js";
import { parseDriftAnswer } from "../../../core/drift/drift-answer.js";
import { isDrifted } from "../../../core/drift/drift-finding.js";
import { driftRequest } from "../../../core/drift/drift-request.js";
import { judgeDrift, type NodeAnswer } from "../../../core/drift/judge-drift.js";
import { parseHostFacts } from "../../../core/facts/host-facts.js";
import type { NodePlan, Release } from "../../../core/plan/cluster-plan.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { renderBootUnit } from "../../../core/render/boot-unit.js";
import { stagedFiles } from "../../../core/render/stage-script.js";
import { aClusterSpec, FAKE_SCRIPTS, PLAN_OPTIONS } from "../../support/specs.js";

const PLAN = planCluster(aClusterSpec(), PLAN_OPTIONS);
const [HEAD, MEMBER] = PLAN.nodes as [NodePlan, NodePlan];
const IMAGE_ID = `sha256:${"1".repeat(64)}`;
const STATUS = `${PLAN.baseDir}/out/status.json`;
const UNIT = `/etc/systemd/system/${PLAN.unitName}`;
const DRIVER = "/usr/local/Ascend/driver/version.info";

type Host = ReturnType<typeof untouched>;

/** What a host of an untouched cluster answers, in parts that a test changes. */
function untouched(node: NodePlan) {
  const { container } = node;
  const desired = { ray: PLAN.ray?.release ?? null, serve: PLAN.serve.release };
  return {
    container: ["present", "c0ffee", "running", "0", PLAN.owner, node.name, ""],
    inspect: {
      Image: IMAGE_ID,
      Config: { Cmd: container.command, Labels: { ...container.labels, more: "is fine" } },
      HostConfig: {
        Privileged: false,
        NetworkMode: "host",
        Runtime: "runc",
        ShmSize: container.shmSizeMib * 1024 * 1024,
        RestartPolicy: { Name: "no" },
        SecurityOpt: container.securityOptions,
        Devices: container.devices.map((PathOnHost) => ({ PathOnHost })),
        // Docker leaves out what is false.
        Mounts: container.mounts.map(({ source, target, readOnly }) => ({
          ...{ Source: source, Target: target },
          ...(readOnly ? { ReadOnly: true } : {}),
        })),
        Ulimits: container.ulimits.map(({ name, limit }) => ({
          ...{ Name: name, Soft: limit, Hard: limit },
        })),
      },
    },
    sums: new Map(
      stagedFiles(node, FAKE_SCRIPTS).map(({ path, content }) => [
        `${PLAN.baseDir}/${path}`,
        createHash("sha256").update(content).digest("hex"),
      ]),
    ),
    modes: new Map(
      (node.role === "head" ? ["group-token", "api-key"] : ["group-token"]).map((name) => [
        `${PLAN.baseDir}/in/secrets/${name}`,
        "600",
      ]),
    ),
    files: new Map([
      [STATUS, JSON.stringify({ schema: 1, state: "ready", desired })],
      [`${PLAN.baseDir}/machine`, "boot first\ndriver 25.5.1\n"],
      [UNIT, renderBootUnit(PLAN, node)],
      [DRIVER, "Version=25.5.1\nascendhal_version=7\n"],
    ]),
    unit: ["active", "enabled"],
    processes: runningOf(node),
    bootId: "first",
  };
}

function runningOf({ releases }: NodePlan) {
  const running = ({ hash, command, env }: Release) => ({
    hash,
    command: ["/usr/bin/python3", `/usr/local/bin/${command![0]}`, ...command!.slice(1)],
    env: { ...env } as Record<string, string | null>,
  });
  return new Map(
    [releases.ray, releases.serve].flatMap((release) =>
      release === null || release.command === null ? [] : [[release.kind, running(release)]],
    ),
  );
}

function answer(node: NodePlan, host: Host): NodeAnswer {
  const base64 = (value: unknown) =>
    Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64");
  const text = [
    ["facts", "1"],
    ["root", "yes"],
    ["docker", "ok", "28.5.2"],
    ["boot-id", host.bootId],
    ["container", PLAN.containerName, ...host.container],
    ["container-json", PLAN.containerName, "found", base64(host.inspect)],
    ["unit", PLAN.unitName, ...host.unit],
    ["image", node.container.image.pull, "present", IMAGE_ID],
    ...[...host.files].map(([path, content]) => ["file", path, "found", base64(content)]),
    ...[...host.sums].map(([path, sum]) => ["sum", path, sum]),
    ["sums", "done"],
    ...[...host.modes].map(([path, mode]) => ["mode", path, mode, "0"]),
    ["processes", "found", base64(Object.fromEntries(host.processes))],
    ["end"],
  ]
    .map((fields) => fields.join("\t"))
    .join("\n");
  return { node, facts: parseHostFacts(text), drift: parseDriftAnswer(text) };
}

function judged(change: (head: Host, member: Host) => void = () => undefined, plan = PLAN) {
  const [head, member] = [untouched(HEAD), untouched(MEMBER)];
  change(head, member);
  const answers = [answer(HEAD, head), answer(MEMBER, member)];
  return judgeDrift(
    plan,
    answers.map((given, index) => ({ ...given, node: plan.nodes[index]! })),
    FAKE_SCRIPTS,
  );
}

describe("drift", () => {
  it("is nothing on an untouched cluster", () => {
    assert.deepEqual(judged(), []);
    assert.equal(isDrifted([]), false);
  });

  const cases: [name: string, change: (head: Host, member: Host) => unknown, found: RegExp][] = [
    [
      "a container that is gone",
      (_, member) => member.container.splice(0, 7, "absent"),
      /^node1 container drift \S+ runs \| there is no such container \| nothing: .*--refresh/,
    ],
    [
      "a container that was stopped",
      (_, member) => member.container.splice(2, 1, "exited"),
      /^node1 container drift .* \| exited, exit code 0 \| nothing: the boot unit starts it/,
    ],
    [
      "a container from another image",
      (head) => Object.assign(head.inspect, { Image: `sha256:${"2".repeat(64)}` }),
      /^node0 image drift sha256:1+ \| the container was made from sha256:2+ /,
    ],
    [
      "a privileged container",
      (head) => Object.assign(head.inspect.HostConfig, { Privileged: true }),
      /^node0 container drift .*: privileged false \| true /,
    ],
    [
      "a further device",
      (head) => head.inspect.HostConfig.Devices.push({ PathOnHost: "/dev/davinci9" }),
      /^node0 container drift .*: devices .*davinci0.* \| .*davinci9/,
    ],
    [
      "a mount that became writable",
      (head) => Object.assign(head.inspect.HostConfig.Mounts[0]!, { ReadOnly: false }),
      /^node0 container drift .*: mounts /,
    ],
    [
      "docker's own restart policy",
      (head) => Object.assign(head.inspect.HostConfig, { RestartPolicy: { Name: "always" } }),
      /restart policy no \| always .* docker update --restart=no/,
    ],
    [
      "a changed script",
      (_, member) => member.sums.set(`${PLAN.baseDir}/bin/commit.sh`, "0".repeat(64)),
      /^node1 file drift \S+\/bin\/commit.sh \| has another content .* vllm-cluster drift --repair$/,
    ],
    [
      "a missing release",
      (_, member) =>
        member.sums.delete(`${PLAN.baseDir}/in/releases/ray-${PLAN.ray?.release}.json`),
      /^node1 file drift \S+\/ray-\w+\.json \| missing /,
    ],
    [
      "a changed unit",
      (head) => head.files.set(UNIT, "[Unit]\n"),
      /^node0 unit drift \/etc\/systemd\/system\/\S+ \| has another content /,
    ],
    [
      "a disabled unit",
      (head) => head.unit.splice(1, 1, "disabled"),
      /^node0 unit drift \S+ is enabled \| disabled /,
    ],
    [
      "a secret that others can read",
      (head) => head.modes.set(`${PLAN.baseDir}/in/secrets/api-key`, "644"),
      /^node0 secret drift \S+api-key, 0600 \| mode 644, owner 0: .* chmod 600 .* rotate/,
    ],
    [
      "another flag of the running vLLM",
      (head) => {
        const { command } = head.processes.get("serve")!;
        const index = command.findIndex((word) => word.startsWith("--max-num-seqs"));
        command[index] = "--max-num-seqs=99";
      },
      /^node0 process drift vllm serve --max-num-seqs=25 \| --max-num-seqs=99 /,
    ],
    [
      "another variable of the running Ray",
      (_, member) => Object.assign(member.processes.get("ray")!.env, { HCCL_IF_IP: "10.9.9.9" }),
      /^node1 process drift Ray has HCCL_IF_IP=10\.0\.0\.12 \| 10\.9\.9\.9 /,
    ],
    [
      "a process that does not run",
      (head) => head.processes.delete("serve"),
      /^node0 process drift vllm serve runs release \w+ \| it does not run; the group is ready /,
    ],
    [
      "another driver",
      (_, member) => member.files.set(DRIVER, "Version=26.0.rc1\n"),
      /^node1 driver drift 25\.5\.1, when this node was staged \| 26\.0\.rc1 /,
    ],
  ];
  for (const [name, change, found] of cases) {
    it(`is ${name}, and only that`, () => {
      const findings = judged(change);
      assert.equal(findings.length, 1, JSON.stringify(findings));
      const { node, kind, level, planned, found: seen, nextUp, next } = findings[0]!;
      assert.match(`${node} ${kind} ${level} ${planned} | ${seen} | ${nextUp} | ${next}`, found);
      assert.ok(isDrifted(findings));
    });
  }

  it("is no reboot, which is only told", () => {
    const findings = judged((head) => Object.assign(head, { bootId: "second" }));
    assert.deepEqual(
      findings.map(({ kind, level }) => [kind, level]),
      [["boot", "note"]],
    );
    assert.equal(isDrifted(findings), false);
  });

  it("is one pending change, not all its consequences, when the stack file has moved on", () => {
    const next = aClusterSpec((raw) => {
      raw.container = { shmSizeGib: 99 };
      raw.env = { HCCL_BUFFSIZE: "512" };
    });
    const findings = judged(undefined, planCluster(next, PLAN_OPTIONS));
    assert.deepEqual(
      findings.map(({ kind, level }) => [kind, level]),
      [["release", "pending"]],
    );
    assert.match(findings[0]!.nextUp, /stages and commits/);
  });

  it("is a release that was committed by hand, or whose commit failed", () => {
    const desired = { ray: PLAN.ray?.release, serve: "0123456789abcdef" };
    const findings = judged((head) =>
      head.files.set(STATUS, JSON.stringify({ schema: 1, state: "ready", desired })),
    );
    assert.deepEqual(
      findings.map(({ kind, level, found }) => [kind, level, found]),
      [["release", "drift", "the group was told to run serve release 0123456789abcdef"]],
    );
  });

  it("counts a host that could not be asked, and still tells of the others", () => {
    const head = untouched(HEAD);
    head.unit = ["active", "disabled"];
    const problem = { cause: "no route to host", next: "check the cable" };
    const findings = judgeDrift(
      PLAN,
      [answer(HEAD, head), { node: MEMBER, problem }],
      FAKE_SCRIPTS,
    );
    assert.deepEqual(
      findings.map(({ node, kind, level, found }) => [node, kind, level, found]),
      [
        ["node0", "unit", "drift", "disabled"],
        ["node1", "host", "unknown", "no route to host"],
      ],
    );
  });

  it("asks for no secret: variables by their planned names, secret files by their modes", () => {
    const request = driftRequest(PLAN, HEAD, FAKE_SCRIPTS);
    assert.doesNotMatch(request, /^file\t\S*secrets/m);
    assert.doesNotMatch(request, /VLLM_API_KEY/);
    assert.match(request, /^modes\t\S+api-key\t\S+group-token$/m);
  });

  it("compares with the files that `pulumi up` stages", () => {
    assert.deepEqual(readNodeScripts(), loadNodeScripts());
  });
});
