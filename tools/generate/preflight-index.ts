import { FINDING_CODES, FINDINGS, type FindingDoc } from "../../core/facts/finding-codes.js";
import { GATE_CHECKS, SSH_COLUMN } from "../../core/facts/judge-gate.js";

/** docs/preflight.md: how the preflight works, and every code in the order of the columns. */
export function preflightIndex(): string {
  const columns = [SSH_COLUMN, ...GATE_CHECKS.map(({ name }) => name), "any", "smoke"];
  return [INTRODUCTION, ...columns.map(columnSection), FIELD_INTRODUCTION, fieldTable()].join("\n");
}

function columnSection(column: string): string {
  const rows = FINDING_CODES.filter((code) => FINDINGS[code].column === column).map((code) => {
    const { meaning, fix, isAcceptable } = FINDINGS[code];
    return `| \`${code}\` | ${meaning} | ${fix} | ${isAcceptable ? "yes" : "no"} |`;
  });
  if (rows.length === 0) return "";
  return [
    SECTION_TITLES[column] ?? `Column \`${column}\`:`,
    "",
    "| code | meaning | usual cause and fix | may be accepted |",
    "|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

const SECTION_TITLES: Readonly<Record<string, string>> = {
  any: "Any column:",
  smoke: "Smoke run:",
};

function fieldTable(): string {
  const rows = FINDING_CODES.flatMap((code) => {
    const { seenAs = [], threads = [] }: FindingDoc = FINDINGS[code];
    if (seenAs.length === 0) return [];
    return [`| ${seenAs.join("<br>")} | \`${code}\` | ${threads.map(threadLink).join(", ")} |`];
  });
  return ["| without the check | code | threads |", "|---|---|---|", ...rows, ""].join("\n");
}

function threadLink(thread: string): string {
  return `[${thread}](https://github.com/${thread.replace("#", "/issues/")})`;
}

const INTRODUCTION = `<!-- Written by \`npm run generate\` from core/facts/finding-codes.ts and tools/generate/preflight-index.ts. -->

# Preflight

\`pulumi up\` checks all hosts before anything starts, and so does \`vllm-cluster gate\`. The checks read; they change
nothing on any host. One table shows every fault of every host; a failure stops the update before anything that runs
is touched.

\`\`\`
asking 2 nodes, then 2 pings per NPU: usually 12 s, at most 413 s
preflight of cluster qwen FAILED on node1 (1 of 2 nodes); nothing was changed on any host

node   ssh  root  tools  docker  host  devices  mounts  model  memory  storage  image  network
node0  ok   ok    ok     ok      ok    ok       ok      ok     ok      ok       ok     ok
node1  ok   ok    ok     ok      ok    ok       ok      ok     ok      ok       ok     ok

node   ports  owner  consent  npus  free  driver  npu-net  tls   npu-ping  tcp
node0  ok     ok     ok       ok    ok    ok      ok       ok    FAIL      ok
node1  ok     ok     ok       ok    ok    ok      ok       FAIL  FAIL      ok

FAIL  node1 NPU 5  NPU_TLS: TLS is enabled, unlike on the others; enabled: node1 5; disabled: node0
      0-7, node1 0-4 6-7
      fix: hccn_tool -i 5 -tls -s enable 0 (or 1 on all NPUs of all nodes)
\`\`\`

| cell | meaning |
|---|---|
| \`ok\` | checked, nothing found |
| \`FAIL\` | must be repaired, or accepted: exit code 1 |
| \`?\` | could not be judged; the reason, and the output where there is one, are below the table. Never counted as \`ok\`. It stops nothing, except for link, ping and TLS of NPUs, where it is a \`FAIL\` |
| \`warn\` | may become a problem, or was accepted; stops nothing |
| \`-\` | not judged, because an earlier column failed |

What this stack's own container holds (ports, NPUs, memory) counts as free, so the checks can run while the cluster serves.
In \`pulumi up\` they run when something that they look at has changed: addresses, devices, mounts, image, ports, what is
accepted. At any other time run \`vllm-cluster gate --stack <name>\`.

## Two phases

1. **Hosts.** One login per host, all hosts at once: one script asks everything, each tool called by its path with a limit of its
   own. The NPUs are asked in parallel, each by one query after the other; a tool that hangs, even where the kernel cannot end it,
   is a finding of its NPU and delays nobody else.
   Where the weights lie on the host already, 2 GiB of their largest file are read meanwhile, for at most 15 s, past the page cache (direct I/O),
   or with the file dropped from it where the file system has no direct I/O; caches of the storage itself cannot be told from it. From bytes and
   speed follows how long loading takes, and whether \`timeouts.serveStartSec\` leaves enough (\`STORAGE_SLOW\`). Each node reads alone
   against its own checkpoint; servers that all nodes share are slower when it matters, for which half as much again is added.
2. **Between the hosts.** One more login per host that has answered. From every NPU to the NPU in the same place of every other node
   (\`npu-ping\`, a failure), and as a sample to the next NPU of the next node (a warning); both directions, because both hosts ask.
   \`--full\` pings all NPUs of all other nodes. To every planned port of every other node, the ends of ranges and three ephemeral
   ports: a refusal counts as reached, because it comes from the host itself (a firewall that answers with a TCP reset looks the
   same). A packet of the interface's MTU with "do not fragment", where the host has \`ping\`.

What it takes at most is printed first. NPUs ping in parallel, one after the other per NPU: with 16 nodes that are 16 pings per NPU.

## Smoke run

What reading cannot tell is tried, in the planned containers with the planned environment and before any weights are loaded: 64 threads;
the import of vLLM and of its device plugin; 1 MiB over TCP from every node to every other; a matrix product on each NPU; then all-reduce
and all-to-all within each node, between the ranks of the same place of two nodes (all pairs of up to four nodes, three partners each
beyond), and over all ranks: HCCL on NPUs, what the device plugin names elsewhere. No stage begins before every rank has ended the one
before, so the rank that fails or hangs is named, not those that wait for it. \`timeouts.smokeSec\` (120 s) bounds it.

\`pulumi up\` runs it after the containers and before the first commit, when image, NPUs, addresses, interface, environment or the driver are
others than when it last passed. It never stops a group that serves: where the containers stay and the NPUs are busy, it tries threads,
import and the hosts' part of the collectives (Gloo, one process a node), says so, and tries the NPUs at the next change that finds them
free. \`vllm-cluster smoke --stack <name>\` runs it at any time, also before the first \`up\` (the image must be on the nodes).

## Accepting a failure

\`\`\`yaml
preflight:
  accept:
    - code: NPU_OPTICAL
      node: node1        # unset = every node
      npu: 4             # unset = whatever the NPU
      reason: module is on order, link is UP
      until: 2027-01-31  # last day, in UTC
\`\`\`

The failure becomes a warning that is printed every time, by \`gate\` and by every \`pulumi preview\` and \`up\`. After its last day the
entry is refused with its path, so that nobody forgets it. Only a code with "yes" below can be accepted; the others would fail in
the next step anyway, or touch what is not ours.

## Codes
`;

const FIELD_INTRODUCTION = `## Seen in the field

What people saw where nobody checked, and where they asked.
`;
