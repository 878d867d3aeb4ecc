import type { PortPlan } from "../../plan/cluster-plan.js";
import type { Check, CheckContext, Finding } from "../check.js";
import { unknownFact } from "../check.js";
import type { ListenerFact } from "../host-facts.js";

/** Whether the planned interface owns the planned address. */
export const networkCheck: Check = { name: "network", needs: ["root"], judge: judgeNetwork };

/** Whether the planned ports are free; what this cluster's own container holds counts as free. */
export const portsCheck: Check = { name: "ports", needs: ["root"], judge: judgePorts };

function judgeNetwork({ node, facts }: CheckContext): readonly Finding[] {
  const { socketInterface } = node;
  const { address } = node.connection;
  if (facts.addressesError !== undefined || facts.addresses.length === 0) {
    return [unknownFact(`interface ${socketInterface}`, facts.addressesError)];
  }
  const owner = facts.addresses.find((fact) => fact.address === address);
  if (owner === undefined) {
    const known = facts.addresses.filter((fact) => fact.device !== "lo");
    return [
      {
        code: "ADDRESS_NOT_ON_INTERFACE",
        result: "fail",
        detail: `no interface of the host owns ${address}; it has ${known.map((fact) => `${fact.label} ${fact.address}`).join(", ") || "none"}`,
        fix: "set nodes[].address to an address of the host itself, not to one that a router translates",
      },
    ];
  }
  if (owner.device !== socketInterface && owner.label !== socketInterface) {
    return [
      {
        code: "ADDRESS_NOT_ON_INTERFACE",
        result: "fail",
        detail: `${address} is on ${owner.label}, not on ${socketInterface}`,
        fix: `set nodes[].socketInterface: ${owner.label} for this node`,
      },
    ];
  }
  if (facts.links.get(owner.device) === "down") {
    return [
      {
        code: "INTERFACE_DOWN",
        result: "fail",
        detail: `interface ${owner.device} is down or has no carrier`,
        fix: `ip link show ${owner.device}; see cable and switch port, then ip link set ${owner.device} up`,
      },
    ];
  }
  return [];
}

function judgePorts(context: CheckContext): readonly Finding[] {
  const { node, facts } = context;
  if (!facts.areListenersKnown) return [unknownFact("ports", facts.portsError)];
  return facts.listeners
    .filter((listener) => !isOwn(context, listener))
    .flatMap((listener) => {
      const port = node.ports.find(
        ({ first, last }) => first <= listener.port && listener.port <= last,
      );
      return port === undefined ? [] : [busyPort(context, port, listener)];
    })
    .filter(isFirstOfItsKind);
}

/** By the container id of the process: only our container's, and only when it is this stack's. */
function isOwn({ plan, facts }: CheckContext, listener: ListenerFact): boolean {
  const container = facts.containers.get(plan.containerName);
  return (
    container?.state === "present" &&
    container.owner === plan.owner &&
    container.id === listener.containerId
  );
}

function busyPort({ node }: CheckContext, port: PortPlan, listener: ListenerFact): Finding {
  const { address } = node.connection;
  // Some of Ray's processes bind all addresses and some only the planned one; a listener elsewhere may not matter.
  const collides = ANY_ADDRESS.has(listener.address) || listener.address === address;
  const where = ANY_ADDRESS.has(listener.address) ? "all addresses" : listener.address;
  return {
    code: "PORT_BUSY",
    result: collides ? "fail" : "warn",
    detail: `port ${listener.port} (${port.path}) is held on ${where} by ${holder(listener)}`,
    fix: `${stopHolder(listener)}, or set ${port.path} to a free port`,
  };
}

function holder({ process, pid, containerId }: ListenerFact): string {
  if (pid === undefined) return "a process that the host cannot name";
  const container = containerId === "" ? "" : `, container ${containerId.slice(0, 12)}`;
  return `${process} (pid ${pid}${container})`;
}

function stopHolder({ port, pid, containerId }: ListenerFact): string {
  if (containerId !== "") return `see whose container it is (docker ps), and have it stopped`;
  return pid === undefined
    ? `find the holder (ss -ltnp 'sport = :${port}')`
    : `see whose it is (ps -fp ${pid}), and have it stopped`;
}

/** A daemon that listens on IPv4 and IPv6 is one finding. */
function isFirstOfItsKind(finding: Finding, index: number, all: readonly Finding[]): boolean {
  return all.findIndex((other) => other.detail === finding.detail) === index;
}

const ANY_ADDRESS: ReadonlySet<string> = new Set(["0.0.0.0", "*", "[::]", "::"]);
