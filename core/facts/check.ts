import type { GateNode, GatePlan } from "../plan/gate-plan.js";
import type { FindingCode } from "./finding-codes.js";
import type { HostFacts, PeerFacts } from "./host-facts.js";

/** What a check has found on one host. `unknown` is never a pass: it could not be judged, and says why. */
export interface Finding {
  readonly code: FindingCode;
  readonly result: "fail" | "warn" | "unknown";
  /** What was seen, with names and values. */
  readonly detail: string;
  /** What to do: a command for the host, or a field of the stack file. */
  readonly fix: string;
  /** Physical id of the NPU that it is about. */
  readonly npu?: number;
  /** The output that could not be understood. */
  readonly raw?: string;
}

/** A host that has answered. */
export interface KnownHost {
  readonly node: GateNode;
  readonly facts: HostFacts;
  /** When the question was sent and the answer was there, by the operator's clock, in seconds since 1970. */
  readonly askedSec: number;
  readonly answeredSec: number;
  /** What it sees of the others; absent before the second phase. */
  readonly peers?: PeerFacts;
}

export interface CheckContext extends KnownHost {
  readonly plan: GatePlan;
  /** All hosts that have answered, this one among them, in the order of the plan. */
  readonly hosts: readonly KnownHost[];
  /** Whether every NPU has pinged every NPU of the other nodes. */
  readonly isFull: boolean;
}

/** One column of the gate's table. */
export interface Check {
  readonly name: string;
  /** Facts without which it cannot be judged; whoever is missing says so in a column of its own. */
  readonly needs: readonly ("root" | "docker" | "peers")[];
  /** No finding = pass. */
  readonly judge: (context: CheckContext) => readonly Finding[];
}

/** For a fact that should be there and is not, or that the host could not tell. */
export function unknownFact(what: string, reason: string | undefined): Finding {
  return {
    code: "FACT_UNKNOWN",
    result: "unknown",
    detail: `${what} could not be judged: ${reason === undefined || reason === "" ? "the host gave no answer" : reason}`,
    fix: "run the check by hand on the host; the start goes on and may fail there",
  };
}

/**
 * Whether a value of this host differs from the others': from the one that most hosts have, and from the first host's where there is
 * no most. Reported on the hosts that differ only. Hosts without the value do not count.
 */
export function deviation(
  { node, hosts }: CheckContext,
  read: (host: KnownHost) => string | undefined,
): { readonly own: string; readonly others: string; readonly example: string } | undefined {
  const values = hosts.flatMap((host): { readonly name: string; readonly value: string }[] => {
    const value = read(host);
    return value === undefined ? [] : [{ name: host.node.name, value }];
  });
  const own = values.find(({ name }) => name === node.name)?.value;
  const counts = new Map<string, number>();
  for (const { value } of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const most = [...counts].reduce<readonly [string, number] | undefined>(
    (best, entry) => (best === undefined || entry[1] > best[1] ? entry : best),
    undefined,
  );
  if (own === undefined || most === undefined || own === most[0]) return undefined;
  return {
    own,
    others: most[0],
    example: values.find(({ value }) => value === most[0])!.name,
  };
}
