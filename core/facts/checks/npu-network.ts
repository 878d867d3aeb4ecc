import { isSameSubnet } from "../addresses.js";
import type { Check, CheckContext, Finding, KnownHost } from "../check.js";
import { deviation, unknownFact } from "../check.js";
import { parseHccnConf } from "../driver-files/hccn-conf.js";
import type { NpuAddress } from "../hccn-tool/address.js";
import type { HccnQuery } from "../hccn-tool/queries.js";
import { fileText } from "../host-facts.js";
import { hccnReading, readingFinding, smiReading } from "../npu-readings.js";

/** Addresses, links and neighbours of the NPUs' own NICs. */
export const npuNetworkCheck: Check = { name: "npu-net", needs: ["root"], judge: judgeNpuNetwork };

/** Whether TLS is equal on all NPUs of the cluster. */
export const tlsCheck: Check = { name: "tls", needs: ["root"], judge: judgeTls };

function judgeNpuNetwork(context: CheckContext): readonly Finding[] {
  return [
    ...context.node.npus.flatMap((npu) => judgeNic(context, npu)),
    ...judgeHccnConf(context),
    ...judgeSwitches(context),
  ];
}

function judgeNic(context: CheckContext, npu: number): readonly Finding[] {
  if (isSilent(context, npu)) {
    // A tool that hangs or is missing is a finding of another column; here only what must block is repeated.
    return readingFinding(
      hccnReading(context.facts, npu, "link"),
      { code: "NPU_LINK", what: "the link", fix: LINK_FIX(npu), npu },
      { unknown: "fail" },
    );
  }
  const link = hccnReading(context.facts, npu, "link");
  const findings = [
    ...judgeAddress(context, npu),
    ...readingFinding(
      link,
      { code: "NPU_LINK", what: "the link", fix: LINK_FIX(npu), npu },
      { unknown: "fail" },
    ),
    ...judgeGateway(context, npu),
    ...judgeOptical(context, npu),
  ];
  // Behind a link that is down, nothing else can be right; the module may be why.
  if (link.verdict === "fail") return findings;
  return [
    ...findings,
    ...judgeSpeed(context, npu),
    ...simpleReading(context, npu, "link_stat"),
    ...simpleReading(context, npu, "net_health"),
    ...simpleReading(context, npu, "netdetect"),
    ...judgeLldp(context, npu),
  ];
}

function simpleReading(
  { facts }: CheckContext,
  npu: number,
  query: keyof typeof SIMPLE_QUERIES,
): readonly Finding[] {
  return readingFinding(hccnReading(facts, npu, query), { ...SIMPLE_QUERIES[query](npu), npu });
}

/** Whether the tool gave no answer to a query of the NPU: one finding for all of them. */
function isSilent({ facts }: CheckContext, npu: number): boolean {
  return NIC_QUERIES.some((query) => {
    const output = facts.npuOutputs.get(`${npu} hccn_tool ${query}`);
    return output !== undefined && output.state !== "ended";
  });
}

function judgeAddress(context: CheckContext, npu: number): readonly Finding[] {
  const { facts, node, hosts } = context;
  const reading = hccnReading(facts, npu, "ip");
  const fix = `hccn_tool -i ${npu} -ip -s address <address> netmask <mask>`;
  const finding = (detail: string): Finding => ({
    code: "NPU_ADDRESS",
    result: "fail",
    detail,
    fix,
    npu,
  });
  if (reading.value === undefined) {
    const output = facts.npuOutputs.get(`${npu} hccn_tool ip`);
    // The tool answers with nothing at all where no address is set.
    if (output?.state === "ended" && output.exitCode === 0 && output.text.trim() === "") {
      return [finding("its NIC has no address")];
    }
    return readingFinding(reading, { code: "NPU_ADDRESS", what: "the address", fix, npu });
  }
  const { address, family } = reading.value;
  const twin = hosts.flatMap((host) =>
    host.node.npus
      .filter((other) => !(host.node.name === node.name && other === npu))
      .filter((other) => hccnReading(host.facts, other, "ip").value?.address === address)
      .map((other) => `NPU ${other} of ${host.node.name}`),
  );
  if (twin.length > 0) return [finding(`${address} is the address of ${twin.join(", ")}, too`)];
  const other = deviation(context, (host) =>
    host.node.name === node.name ? String(family) : familyOf(host),
  );
  if (other === undefined) return [];
  return [
    finding(`${address} is an address of IPv${other.own}; ${other.example} has IPv${other.others}`),
  ];
}

function familyOf({ facts, node }: KnownHost): string | undefined {
  const families = node.npus.flatMap((npu) => hccnReading(facts, npu, "ip").value?.family ?? []);
  return families.length === 0 ? undefined : [...new Set(families)].sort().join(" and ");
}

function judgeGateway(context: CheckContext, npu: number): readonly Finding[] {
  const { facts } = context;
  const own = hccnReading(facts, npu, "ip").value;
  const reading = hccnReading(facts, npu, "gateway");
  const fix = `hccn_tool -i ${npu} -gateway -s gateway <gateway>`;
  const finding = (result: "fail" | "warn", detail: string): Finding => ({
    code: "NPU_GATEWAY",
    result,
    detail,
    fix,
    npu,
  });
  const far = own === undefined ? undefined : farPeer(context, own);
  if (reading.value === undefined) {
    if (far !== undefined) return [finding("fail", `no gateway, and ${far} is in another subnet`)];
    const output = facts.npuOutputs.get(`${npu} hccn_tool gateway`);
    const isUnset = output?.state === "ended" && output.exitCode === 0 && output.text.trim() === "";
    return isUnset
      ? [finding("warn", "no gateway; all peers are in its subnet")]
      : readingFinding(reading, { code: "NPU_GATEWAY", what: "the gateway", fix, npu });
  }
  const { address, interfaceId } = reading.value;
  if (interfaceId !== npu) {
    return [finding("warn", `its gateway is on eth${interfaceId}, not on eth${npu}`)];
  }
  if (own?.netmask === undefined || isSameSubnet(own.address, address, own.netmask)) return [];
  return [
    finding(
      far === undefined ? "warn" : "fail",
      `the gateway ${address} is not in the subnet of ${own.address}/${own.prefixLength}`,
    ),
  ];
}

/** An NPU of the cluster that this one does not reach without a gateway. */
function farPeer({ hosts }: CheckContext, own: NpuAddress): string | undefined {
  if (own.netmask === undefined) return undefined;
  for (const { node, facts } of hosts) {
    for (const npu of node.npus) {
      const address = hccnReading(facts, npu, "ip").value;
      if (address?.family === 4 && !isSameSubnet(own.address, address.address, own.netmask)) {
        return `NPU ${npu} of ${node.name} (${address.address})`;
      }
    }
  }
  return undefined;
}

/** Pod boards have no module that mind-cluster would judge (`npu_info_parser.py`). */
function judgeOptical({ facts }: CheckContext, npu: number): readonly Finding[] {
  const board = smiReading(facts, npu, "board").value?.boardId.toLowerCase() ?? "";
  if (POD_BOARDS.has(board)) return [];
  const reading = hccnReading(facts, npu, "optical");
  const isUp = hccnReading(facts, npu, "link").verdict === "pass";
  const findings = readingFinding(reading, {
    code: "NPU_OPTICAL",
    what: "the optical module",
    fix: `clean or change module and fibre; hccn_tool -i ${npu} -optical -g`,
    npu,
  });
  const isContradicted = isUp && reading.value?.isPresent === false && reading.verdict === "fail";
  return isContradicted
    ? findings.map((finding) => ({
        ...finding,
        result: "warn" as const,
        detail: `${finding.detail}, although the link is UP`,
      }))
    : findings;
}

function judgeSpeed(context: CheckContext, npu: number): readonly Finding[] {
  const fix = `make the switch ports equal; hccn_tool -i ${npu} -speed -g, -fec -g`;
  const own = hccnReading(context.facts, npu, "speed");
  const speeds = (host: KnownHost) =>
    host.node.npus.map((id) => hccnReading(host.facts, id, "speed").value?.mbitPerSec);
  const usual = mostFrequent(context.hosts.flatMap(speeds));
  const speed = own.value?.mbitPerSec;
  return [
    ...readingFinding(own, { code: "NPU_SPEED", what: "the speed", fix, npu }),
    ...(speed !== undefined && usual !== undefined && speed !== usual
      ? [
          {
            ...({ code: "NPU_SPEED", result: "warn" } as const),
            ...{ detail: `${speed} Mb/s, the others have ${usual} Mb/s`, fix, npu },
          },
        ]
      : []),
    ...readingFinding(hccnReading(context.facts, npu, "fec"), {
      code: "NPU_SPEED",
      what: "the FEC mode",
      fix,
      npu,
    }),
  ];
}

function judgeLldp({ facts, hosts }: CheckContext, npu: number): readonly Finding[] {
  const reading = hccnReading(facts, npu, "lldp");
  if (reading.verdict === "pass") return [];
  const fix = `cable and switch port of NPU ${npu}; LLDP of the switch`;
  const isUp = hccnReading(facts, npu, "link").verdict === "pass";
  const othersKnow = hosts.some((host) =>
    host.node.npus.some((id) => hccnReading(host.facts, id, "lldp").verdict === "pass"),
  );
  // A link that is down has no neighbour: that finding is there already.
  if (!isUp) return [];
  return othersKnow
    ? [
        {
          ...({ code: "NPU_LLDP", result: "fail" } as const),
          ...{
            detail: `no switch port is told, unlike by other NPUs: ${reading.detail}`,
            fix,
            npu,
          },
        },
      ]
    : readingFinding(reading, { code: "NPU_LLDP", what: "the switch port", fix, npu });
}

/** Different leaf switches, or frame sizes: often planned so, and often the cause. */
function judgeSwitches(context: CheckContext): readonly Finding[] {
  const of = (key: "systemName" | "maxFrameSize") => (host: KnownHost) => {
    const values = host.node.npus.flatMap(
      (npu) => hccnReading(host.facts, npu, "lldp").value?.[key] ?? [],
    );
    return values.length === 0 ? undefined : [...new Set(values)].sort().join(", ");
  };
  const [switches, frames] = [
    deviation(context, of("systemName")),
    deviation(context, of("maxFrameSize")),
  ];
  return [
    ...(switches === undefined
      ? []
      : [
          warning(
            `its NPUs are on switch ${switches.own}, those of ${switches.example} on ${switches.others}`,
            "one leaf switch for all nodes, or see that RoCE (PFC, ECN, routes) is configured between the switches",
          ),
        ]),
    ...(frames === undefined
      ? []
      : [
          warning(
            `switch ports take frames of ${frames.own} bytes, those of ${frames.example} ${frames.others}`,
            "make the frame sizes of the switch ports equal",
          ),
        ]),
  ];
}

function warning(detail: string, fix: string): Finding {
  return { code: "NPU_LLDP", result: "warn", detail, fix };
}

function judgeHccnConf({ facts, node }: CheckContext): readonly Finding[] {
  const path = node.driverPaths.hccnConf;
  const fact = facts.files.get(path);
  if (fact?.state === "missing") return [];
  const text = fileText(fact);
  if (text === undefined) {
    return [unknownFact(path, fact?.state === "error" ? fact.reason : undefined)];
  }
  const conf = parseHccnConf(text);
  const findings = node.npus.flatMap((npu): Finding[] => {
    const planned = conf.npus.get(npu)?.address;
    const own = hccnReading(facts, npu, "ip").value?.address;
    const fix = `write address_${npu}=${own ?? "<address>"} into ${path}`;
    if (planned === undefined) {
      return [
        { code: "HCCN_CONF", result: "warn", detail: `${path} has no address_${npu}`, fix, npu },
      ];
    }
    if (own === undefined || own === planned) return [];
    const detail = `${path} has ${planned}, the NIC has ${own}`;
    return [{ code: "HCCN_CONF", result: "fail", detail, fix, npu }];
  });
  const addresses = [...conf.npus].flatMap(([npu, { address }]) =>
    address === undefined ? [] : [{ npu, address }],
  );
  const twins = addresses.filter(({ address }, index) =>
    addresses.slice(0, index).some((other) => other.address === address),
  );
  return [
    ...findings,
    ...twins.map(
      ({ npu, address }): Finding => ({
        code: "HCCN_CONF",
        result: "fail",
        detail: `${path} gives ${address} to two NPUs`,
        fix: `correct address_${npu} in ${path}`,
        npu,
      }),
    ),
  ];
}

function judgeTls(context: CheckContext): readonly Finding[] {
  const { facts, node, hosts } = context;
  const fix = (npu: number) =>
    `hccn_tool -i ${npu} -tls -s enable 0 (or 1 on all NPUs of all nodes)`;
  const states = hosts.flatMap((host) =>
    host.node.npus.flatMap((npu) => {
      const isEnabled = hccnReading(host.facts, npu, "tls").value?.isEnabled;
      return isEnabled === undefined ? [] : [{ name: host.node.name, npu, isEnabled }];
    }),
  );
  const [on, off] = [
    states.filter(({ isEnabled }) => isEnabled),
    states.filter(({ isEnabled }) => !isEnabled),
  ];
  // Told where the fewer ones are; where it is half and half, those that have it on.
  const odd = on.length === 0 || off.length === 0 ? [] : off.length < on.length ? off : on;
  return node.npus.flatMap((npu) => {
    const reading = hccnReading(facts, npu, "tls");
    const isOdd = odd.some((state) => state.name === node.name && state.npu === npu);
    const mixed: readonly Finding[] = isOdd
      ? [
          {
            code: "NPU_TLS",
            result: "fail",
            detail: `TLS is ${reading.value?.isEnabled ? "enabled" : "disabled"}, unlike on the others; enabled: ${npuList(on)}; disabled: ${npuList(off)}`,
            fix: fix(npu),
            npu,
          },
        ]
      : [];
    return [
      ...mixed,
      ...readingFinding(
        reading,
        { code: "NPU_TLS", what: "the TLS switch", fix: fix(npu), npu },
        { unknown: "fail" },
      ),
    ];
  });
}

/** `node0 0-7, node1 0 2`: by node, with ranges. */
function npuList(states: readonly { readonly name: string; readonly npu: number }[]): string {
  const names = [...new Set(states.map(({ name }) => name))];
  return names
    .map(
      (name) =>
        `${name} ${npuRange(states.filter((state) => state.name === name).map(({ npu }) => npu))}`,
    )
    .join(", ");
}

/** `0-3 5` of physical ids. */
export function npuRange(npus: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const npu of [...npus].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === npu - 1) last[1] = npu;
    else ranges.push([npu, npu]);
  }
  return ranges
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
    .join(" ");
}

function mostFrequent(values: readonly (number | undefined)[]): number | undefined {
  const counts = new Map<number, number>();
  for (const value of values)
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
}

const LINK_FIX = (npu: number) =>
  `cable, module and switch port; hccn_tool -i ${npu} -link -g, -link_stat -g`;

const SIMPLE_QUERIES = {
  link_stat: (npu: number) => ({
    code: "NPU_LINK_HISTORY" as const,
    what: "the history of the link",
    fix: `a loose cable or module; hccn_tool -i ${npu} -link_stat -g`,
  }),
  net_health: (npu: number) => ({
    code: "NPU_NET_HEALTH" as const,
    what: "the network health",
    fix: `hccn_tool -i ${npu} -netdetect -g: an address that answers, usually the gateway`,
  }),
  netdetect: (npu: number) => ({
    code: "NPU_NET_HEALTH" as const,
    what: "the detect address",
    fix: `hccn_tool -i ${npu} -netdetect -s address <gateway>`,
  }),
};

const NIC_QUERIES: readonly HccnQuery[] = [
  ...(["link", "net_health", "netdetect", "gateway", "ip", "tls"] as const),
  ...(["lldp", "optical", "link_stat", "speed", "fec"] as const),
];
const POD_BOARDS: ReadonlySet<string> = new Set(["0x30", "0x31", "0x32", "0x34"]);
