import type { PortPlan } from "../../plan/cluster-plan.js";
import type { GatePlan } from "../../plan/gate-plan.js";
import type { Check, CheckContext, Finding } from "../check.js";
import { deviation, unknownFact } from "../check.js";
import type { EphemeralPorts, HostFacts, ListenerFact } from "../host-facts.js";

/** Whether the planned interface owns the planned address. */
export const networkCheck: Check = { name: "network", needs: ["root"], judge: judgeNetwork };

/** Whether the planned ports are free; what this cluster's own container holds counts as free. */
export const portsCheck: Check = { name: "ports", needs: ["root"], judge: judgePorts };

function judgeNetwork(context: CheckContext): readonly Finding[] {
  return [
    ...judgeInterface(context),
    ...judgeMtu(context),
    ...judgeNames(context),
    ...judgeProxies(context),
  ];
}

function judgeInterface({ node, facts }: CheckContext): readonly Finding[] {
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

/** Bytes of the largest packet of the interface that owns the node's address. */
export function nodeMtu({ node, facts }: Pick<CheckContext, "node" | "facts">): number | undefined {
  const owner = facts.addresses.find(({ address }) => address === node.connection.address);
  return owner === undefined ? undefined : facts.mtus.get(owner.device);
}

function judgeMtu(context: CheckContext): readonly Finding[] {
  const other = deviation(context, (host) => nodeMtu(host)?.toString());
  if (other === undefined) return [];
  return [
    {
      code: "MTU_DIFFERS",
      result: "warn",
      detail: `${context.node.socketInterface} has MTU ${other.own}, that of ${other.example} has ${other.others}`,
      fix: `ip link set ${context.node.socketInterface} mtu ${other.others}, for good in the network configuration of the host`,
    },
  ];
}

function judgeNames({ node, facts, plan }: CheckContext): readonly Finding[] {
  const findings: Finding[] = [];
  const { hostname } = facts;
  if (hostname === undefined) return [unknownFact("the host's own name", undefined)];
  if (!/^\d/.test(hostname.address) || hostname.address.startsWith("127.")) {
    findings.push({
      code: "HOSTNAME_LOOPBACK",
      result: "warn",
      detail: `the host's name ${hostname.name} resolves to ${/^\d/.test(hostname.address) ? hostname.address : "nothing"}`,
      fix: `write "${node.connection.address} ${hostname.name}" into /etc/hosts, in place of a line with 127.0.1.1`,
    });
  }
  const nameless = plan.nodes
    .map(({ connection }) => connection.address)
    .filter((address) => facts.names.get(address) === "");
  if (nameless.length > 0) {
    findings.push({
      code: "ADDRESS_WITHOUT_NAME",
      result: "warn",
      detail: `no name for ${nameless.join(", ")}`,
      fix: "write address and name of each node into /etc/hosts",
    });
  }
  return findings;
}

const PROXY_VARIABLES: ReadonlySet<string> = new Set([
  ...["http_proxy", "https_proxy", "all_proxy"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"],
]);

/** The supervisor's children inherit what the image sets; requests between the nodes must not go through a proxy. */
function judgeProxies({ node, facts }: CheckContext): readonly Finding[] {
  const ofImage = (facts.images.get(node.image.pull)?.variables ?? []).filter((name) =>
    PROXY_VARIABLES.has(name),
  );
  const ofLogin = [...facts.proxies].filter(
    ([, exceptions]) => !exceptions.split(",").includes(node.connection.address),
  );
  const where = [
    ...(ofImage.length === 0 ? [] : [`the image sets ${ofImage.join(", ")}`]),
    ...(ofLogin.length === 0
      ? []
      : [
          `a login has ${ofLogin.map(([name]) => name).join(", ")} without ${node.connection.address} in no_proxy`,
        ]),
  ];
  if (where.length === 0) return [];
  return [
    {
      code: "PROXY_SET",
      result: "warn",
      detail: where.join("; "),
      fix: 'set env.no_proxy to the addresses of all nodes, or the variables to "" in env',
    },
  ];
}

function judgePorts(context: CheckContext): readonly Finding[] {
  return [...judgeListeners(context), ...judgeEphemeral(context)];
}

/** A planned port in the kernel's range for outgoing connections may be taken at the moment of the start. */
function judgeEphemeral({ node, facts }: CheckContext): readonly Finding[] {
  const { ephemeralPorts } = facts;
  if (ephemeralPorts === undefined) return [unknownFact("range of ephemeral ports", undefined)];
  const within = node.ports.filter((port) => isUnreserved(port, ephemeralPorts));
  if (within.length === 0) return [];
  const text = ({ first, last }: PortPlan) => (first === last ? `${first}` : `${first}-${last}`);
  const kept = ephemeralPorts.reserved.map(([first, last]) => text({ path: "", first, last }));
  return [
    {
      code: "PORT_EPHEMERAL",
      result: "warn",
      detail: `${within.map((port) => `${text(port)} (${port.path})`).join(", ")} within ${ephemeralPorts.first}-${ephemeralPorts.last}, from which the kernel takes ports for outgoing connections`,
      fix: `sysctl -w net.ipv4.ip_local_reserved_ports=${[...kept, ...within.map(text)].join(",")}, and the same line in /etc/sysctl.d/`,
    },
  ];
}

function isUnreserved(port: PortPlan, { first, last, reserved }: EphemeralPorts): boolean {
  for (let number = Math.max(port.first, first); number <= Math.min(port.last, last); number += 1) {
    if (!reserved.some(([from, to]) => from <= number && number <= to)) return true;
  }
  return false;
}

function judgeListeners(context: CheckContext): readonly Finding[] {
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
  return listener.containerId !== "" && ownContainerId(plan, facts) === listener.containerId;
}

/** The id of this stack's container on a host; a foreign one of our name is not ours. */
export function ownContainerId(plan: GatePlan, facts: HostFacts): string | undefined {
  const container = facts.containers.get(plan.containerName);
  return container?.state === "present" && container.owner === plan.owner
    ? container.id
    : undefined;
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
