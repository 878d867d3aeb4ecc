// The firewall rules of a node: who reaches what. nftables itself has not read them here (it is no part of this machine); docs/security.md
// says how they were tried.
import assert from "node:assert/strict";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { renderFirewall } from "../../../core/render/firewall.js";
import type { ClusterSpecInput, Topology } from "../../../core/spec/cluster-spec.js";
import { TOPOLOGIES } from "../../../core/spec/cluster-spec.js";
import { assertGolden } from "../../support/golden.js";
import { aClusterSpec, PLAN_OPTIONS } from "../../support/specs.js";

function rules(
  index: number,
  clients: readonly string[] = [],
  topology: Topology = "ray",
  change: (raw: ClusterSpecInput) => void = () => undefined,
): string {
  const plan = planCluster(aClusterSpec(change, { topology }), PLAN_OPTIONS);
  return renderFirewall(plan, plan.nodes[index]!, { clients });
}

function closedPorts(text: string): readonly (readonly [number, number])[] {
  const [, list = ""] = /tcp dport \{ (.*) \} drop/.exec(text) ?? [];
  return list.split(", ").map((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return [first!, last!] as const;
  });
}

const isClosed = (text: string, port: number) =>
  closedPorts(text).some(([first, last]) => port >= first && port <= last);

describe("renderFirewall", () => {
  it("is as recorded for the head", () => {
    assertGolden("firewall/head.nft", rules(0, ["10.1.0.0/16", "10.2.0.9"]));
  });

  for (const topology of TOPOLOGIES) {
    it(`closes every planned port, HCCL's and those without a number of ${topology}`, () => {
      const plan = planCluster(
        aClusterSpec(() => undefined, { topology }),
        PLAN_OPTIONS,
      );
      for (const node of plan.nodes) {
        const text = renderFirewall(plan, node, { clients: [] });
        for (const { first, last, path } of node.ports) {
          assert.ok(isClosed(text, first) && isClosed(text, last), `${node.name} ${path}`);
        }
        for (const port of [16_666, 32_768, 60_000, 65_535]) assert.ok(isClosed(text, port));
        assert.ok(!isClosed(text, 22) && !isClosed(text, 443));
      }
    });
  }

  it("has ranges that do not overlap, because nftables refuses such a set", () => {
    const ports = closedPorts(
      rules(0, [], "ray", (raw) => {
        raw.supervisor = { port: 40_000 };
        raw.ray = { minWorkerPort: 32_000, maxWorkerPort: 33_000 };
      }),
    );
    ports.slice(1).forEach(([first], index) => {
      assert.ok(first > ports[index]![1]);
    });
  });

  it("lets only the nodes in before it closes, and clients to the API of the head alone", () => {
    const head = rules(0, ["10.1.0.0/16"]);
    assert.match(head, /ip saddr \{ 10\.0\.0\.11, 10\.0\.0\.12 \} accept/);
    assert.match(head, /ip saddr \{ 10\.1\.0\.0\/16 \} tcp dport 8000 accept/);
    assert.doesNotMatch(rules(1, ["10.1.0.0/16"]), /10\.1\.0\.0/);
    assert.doesNotMatch(rules(0), /dport 8000 accept/);
  });

  it("keeps sshd reachable when its port lies among the closed ones", () => {
    assert.doesNotMatch(rules(0), /sshd/);
    const text = rules(0, [], "ray", (raw) => {
      raw.ssh = { port: 40_022 };
    });
    assert.match(text, /tcp dport 40022 accept comment "sshd"/);
  });
});
