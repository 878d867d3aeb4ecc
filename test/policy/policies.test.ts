// The rules of the policy pack on inputs as the engine hands them over, and on what the library itself plans. Does not prove that the
// engine runs the pack: test/engine/policy.test.ts does.
import assert from "node:assert/strict";
import { planCluster } from "../../core/plan/plan-cluster.js";
import { pinnedSshOptions } from "../../core/render/ssh-options.js";
import { renderStageScript } from "../../core/render/stage-script.js";
import { type ClusterSpecInput, TOPOLOGIES, type Topology } from "../../core/spec/cluster-spec.js";
import { isWithin, PRIVATE_NETWORKS } from "../../policy/networks.js";
import { POLICIES } from "../../policy/policies.js";
import { releasesIn } from "../../policy/releases.js";
import { aClusterSpec, FAKE_SCRIPTS, HOST_KEY, PLAN_OPTIONS } from "../support/specs.js";

const REMOTE = "command:remote:Command";
const LOCAL = "command:local:Command";
const CONTAINER = "docker:index/container:Container";
const IMAGE = "docker:index/remoteImage:RemoteImage";
const DOCKER = "pulumi:providers:docker";
const PINNED = { host: "10.0.0.11", hostKey: HOST_KEY };
const HARDENED = { securityOpts: ["no-new-privileges"] };

type Props = Record<string, unknown>;

/** `<policy>: <text>` of everything that is wrong with a resource. */
function violations(type: string, props: Props, settings: Props = {}): string[] {
  return POLICIES.flatMap((policy) =>
    policy.violations({ type, props, settings }).map((text) => `${policy.name}: ${text}`),
  );
}

function staged(
  change: (raw: ClusterSpecInput) => void = () => undefined,
  options: { topology?: Topology; hasApiKey?: boolean } = {},
): string[] {
  const { topology = "ray", hasApiKey = true } = options;
  const plan = planCluster(aClusterSpec(change, { topology }), { ...PLAN_OPTIONS, hasApiKey });
  return plan.nodes.map((node) => renderStageScript(plan, node, FAKE_SCRIPTS));
}

const bad: readonly (readonly [violation: string, type: string, props: Props])[] = [
  ["host-keys-pinned: connection.hostKey is not set", REMOTE, { connection: { host: "a" } }],
  [
    "host-keys-pinned: connection.hostKey is not set",
    "command:remote:CopyToRemote",
    { connection: {} },
  ],
  [
    "host-keys-pinned: connection.hostKey must be one line",
    REMOTE,
    { connection: { hostKey: "ssh-rsa AAAA" } },
  ],
  [
    "host-keys-pinned: sshOpts must have StrictHostKeyChecking=yes",
    DOCKER,
    { host: "ssh://root@10.0.0.11:22" },
  ],
  [
    "host-keys-pinned: sshOpts must have StrictHostKeyChecking=yes",
    DOCKER,
    { host: "ssh://a", sshOpts: ["-o", "StrictHostKeyChecking=no", "-o", "KnownHostsCommand=x"] },
  ],
  [
    "agent-only: connection.privateKey must not be set",
    REMOTE,
    { connection: { ...PINNED, privateKey: "canary" } },
  ],
  [
    "agent-only: connection.password must not be set",
    REMOTE,
    { connection: { ...PINNED, password: "canary" } },
  ],
  ["no-privileged-container: privileged", CONTAINER, { ...HARDENED, privileged: true }],
  [
    "no-privileged-container: capabilities.adds must be empty, got CAP_SYS_ADMIN",
    CONTAINER,
    { ...HARDENED, capabilities: { adds: ["CAP_SYS_ADMIN"] } },
  ],
  ["no-privileged-container: pidMode", CONTAINER, { ...HARDENED, pidMode: "host" }],
  ["no-privileged-container: securityOpts must have no-new-privileges", CONTAINER, {}],
  ["images-pinned: name must end with", IMAGE, { name: "quay.io/ascend/vllm-ascend:latest" }],
  ["images-pinned: image must end with", CONTAINER, { ...HARDENED, image: "nginx" }],
  [
    "no-secret-in-clear: envs has HF_TOKEN",
    CONTAINER,
    { ...HARDENED, envs: ["HF_TOKEN=canary", "A=b"] },
  ],
  [
    "no-secret-in-clear: command has --api-key",
    CONTAINER,
    { ...HARDENED, command: ["vllm", "serve", "--api-key", "canary"] },
  ],
  [
    "no-secret-in-clear: create has --password",
    REMOTE,
    { connection: PINNED, create: "docker login -u me --password=canary" },
  ],
  ["no-secret-in-clear: create has --token", LOCAL, { create: 'tool --token "canary"' }],
  [
    "no-secret-in-clear: environment has API_KEY",
    REMOTE,
    { connection: PINNED, environment: { API_KEY: "canary" } },
  ],
];

describe("the policy pack", () => {
  for (const [violation, type, props] of bad) {
    it(`says ${violation}, and no value that could be secret`, () => {
      const found = violations(type, props);
      assert.equal(found.length, 1, found.join("\n"));
      assert.ok(found[0]!.startsWith(violation), found[0]);
      assert.ok(!found[0]!.includes("canary"));
    });
  }

  it("has a case above, or below, for every policy", () => {
    const tried = new Set(bad.map(([violation]) => violation.split(":")[0]!));
    assert.deepEqual(
      POLICIES.map(({ name }) => name).filter((name) => !tried.has(name)),
      ["api-key-set", "no-public-binding"],
    );
  });

  for (const topology of TOPOLOGIES) {
    it(`finds nothing in what the library stages with ${topology}`, () => {
      for (const stdin of staged(() => undefined, { topology })) {
        assert.ok(releasesIn(stdin).length > 0);
        assert.deepEqual(violations(REMOTE, { connection: PINNED, stdin }), []);
      }
    });
  }

  it("misses the API key on the head, and asks no other node for it", () => {
    const [head, worker] = staged(() => undefined, { hasApiKey: false });
    assert.deepEqual(violations(REMOTE, { connection: PINNED, stdin: head }), [
      "api-key-set: vllm serve on node0 has no API key: pulumi config set --secret apiKey",
    ]);
    assert.deepEqual(violations(REMOTE, { connection: PINNED, stdin: worker }), []);
  });

  it("finds a secret in the environment of a plan, by its name", () => {
    const [head] = staged((raw) => {
      raw.env = { HF_TOKEN: "canary", RAY_TOKEN_FILE: "/a", HCCL_BUFFSIZE: "1" };
    });
    const found = violations(REMOTE, { connection: PINNED, stdin: head });
    assert.deepEqual(found, [
      "no-secret-in-clear: env of ray on node0 has HF_TOKEN: previews and files show it",
      "no-secret-in-clear: env of serve on node0 has HF_TOKEN: previews and files show it",
    ]);
  });

  it("refuses an address of the internet, unless the pack's configuration allows its network", () => {
    const [head] = staged((raw) => {
      raw.nodes[0]!.address = "203.0.113.7";
    });
    const props = { connection: PINNED, stdin: head };
    const found = violations(REMOTE, props);
    assert.equal(found.length, 2, found.join("\n"));
    assert.match(found[1]!, /^no-public-binding: serve on node0 listens on 203\.0\.113\.7/);
    assert.deepEqual(violations(REMOTE, props, { allowedNetworks: ["203.0.113.0/24"] }), []);
  });

  it("refuses Ray's dashboard", () => {
    const [head] = staged();
    const stdin = head!.replace("--include-dashboard=false", "--include-dashboard=true");
    assert.match(
      violations(REMOTE, { connection: PINNED, stdin }).join(),
      /^no-public-binding: Ray's dashboard runs on node0/,
    );
  });

  it("accepts docker over SSH as the library pins it, which the engine hands over as a JSON text", () => {
    const sshOpts = JSON.stringify(pinnedSshOptions("node0", { hostKey: HOST_KEY }));
    assert.deepEqual(violations(DOCKER, { host: "ssh://root@10.0.0.11:22", sshOpts }), []);
  });

  it("passes over what only the update will know", () => {
    class UnknownValueError extends Error {}
    const props = {
      ...HARDENED,
      get image(): string {
        throw new UnknownValueError("unknown");
      },
    };
    assert.deepEqual(violations(CONTAINER, props), []);
  });

  it("knows which addresses are private", () => {
    for (const address of ["10.1.2.3", "172.31.255.255", "192.168.0.1", "100.64.0.1"]) {
      assert.ok(isWithin(address, PRIVATE_NETWORKS), address);
    }
    for (const address of ["0.0.0.0", "8.8.8.8", "172.32.0.1", "::", "", "10.0.0", "300.1.1.1"]) {
      assert.ok(!isWithin(address, PRIVATE_NETWORKS), address);
    }
  });
});
