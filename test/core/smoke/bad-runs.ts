import type { FindingCode } from "../../../core/facts/finding-codes.js";
import type { SmokeNodeRun } from "../../../core/smoke/judge-smoke.js";

/** What the two nodes print in a run that is as it should be. */
export function goodRuns(): SmokeNodeRun[] {
  return [headRun({ result: "passed", busy: {} }), run("node1")];
}

export interface BadRun {
  readonly title: string;
  readonly code: FindingCode;
  readonly runs: readonly SmokeNodeRun[];
  /** The one finding, without texts. */
  readonly about: {
    readonly node: string;
    readonly rank?: number;
    readonly npu?: number;
    readonly peer?: string;
  };
  /** Parts that a reader needs to act. */
  readonly says: readonly string[];
  /** The row of the table of field failures that it stands for, by the beginning of its symptom. */
  readonly field?: string;
}

export const BAD_RUNS: readonly BadRun[] = [
  {
    title: "a container in which no thread starts",
    code: "SMOKE_THREADS",
    runs: failed({
      stage: "threads",
      node: "node1",
      detail: "thread 1 of 64: can't start new thread",
    }),
    about: { node: "node1" },
    says: ["can't start new thread", "upgrade docker"],
    field: "Python `can't start new thread`",
  },
  {
    title: "an image whose device plugin cannot be imported",
    code: "SMOKE_IMPORT",
    runs: failed({
      stage: "engine",
      node: "node0",
      detail: "ImportError: libascendcl.so: cannot open shared object file",
      tail: ["ImportError: libascendcl.so: cannot open shared object file"],
    }),
    about: { node: "node0" },
    says: ["libascendcl.so", "compatibility table"],
    field: "`Distributed inference using vllm-ascend failed`",
  },
  {
    title: "a node that another node cannot send to",
    code: "SMOKE_HOSTS",
    runs: failed({
      stage: "hosts",
      node: "node1",
      peer: "node0",
      detail: "10.0.0.11 port 41234: timed out",
    }),
    about: { node: "node1", peer: "node0" },
    says: ["41234", "allow all TCP"],
    field: "`Did not receive response from front-end",
  },
  {
    title: "a head that a node does not reach",
    code: "SMOKE_HOSTS",
    runs: [
      ...failed({
        stage: "join",
        node: "node1",
        peer: "node0",
        detail: "did not reach the head",
      }).slice(0, 1),
      {
        node: "node1",
        stdout: '{"unreachable": "10.0.0.11 port 40111 from 10.0.0.12: timed out"}\n',
        stderr: "",
      },
    ],
    about: { node: "node1" },
    says: ["10.0.0.11 port 40111 from 10.0.0.12"],
    field: "`topo exchange agent get socket timeout!",
  },
  {
    title: "an NPU that the runtime does not open",
    code: "SMOKE_NPU",
    runs: failed({
      stage: "npu",
      node: "node1",
      rank: 11,
      detail: "matrix product: RuntimeError: Set visible device failed, invalid device=3",
    }),
    about: { node: "node1", rank: 11, npu: 3 },
    says: ["invalid device", "npu-smi info"],
    field: "`Set visible device failed",
  },
  {
    title: "an NPU that another container holds",
    code: "SMOKE_NPU",
    runs: failed({
      stage: "npu",
      node: "node0",
      rank: 0,
      detail: "matrix product: RuntimeError: dcmi module initialize failed. ret is -8005",
    }),
    about: { node: "node0", rank: 0, npu: 0 },
    says: ["-8005"],
    field: "`dcmi module initialize failed",
  },
  {
    title: "a rank that hangs between the NPUs of one node",
    code: "SMOKE_NODE",
    runs: failed({ stage: "node", node: "node1", rank: 14, detail: "hangs in matrix product" }),
    about: { node: "node1", rank: 14, npu: 6 },
    says: ["hangs"],
    field: "`No available shared memory broadcast block",
  },
  {
    title: "a pair of NPUs that get no connection",
    code: "SMOKE_PAIR",
    runs: failed({
      stage: "pairs",
      node: "node0",
      rank: 5,
      peer: "node1 rank 13",
      detail: "all-reduce: RuntimeError: Getting socket times out (EI0006)",
    }),
    about: { node: "node0", rank: 5, npu: 5, peer: "node1 rank 13" },
    says: ["EI0006", "hccn_tool"],
    field: "`Get_Socket_Timeout(EI0006)",
  },
  {
    title: "an interface that Gloo does not find",
    code: "SMOKE_PAIR",
    runs: failed({
      stage: "pairs",
      node: "node1",
      rank: 8,
      peer: "node0 rank 0",
      detail: "connect: RuntimeError: Unable to find address for: enp99",
    }),
    about: { node: "node1", rank: 8, npu: 0, peer: "node0 rank 0" },
    says: ["enp99", "GLOO_SOCKET_IFNAME"],
    field: "`Gloo connectFullMesh failed",
  },
  {
    title: "collectives over all ranks that hang although every pair works",
    code: "SMOKE_ALL",
    runs: failed({ stage: "all", node: "node1", rank: 9, detail: "hangs in all-to-all" }),
    about: { node: "node1", rank: 9, npu: 1 },
    says: ["all-to-all", "gate --full"],
    field: "2-node hang, version skew",
  },
  {
    title: "a container that does not start",
    code: "SMOKE_START",
    runs: [
      run("node0", "docker: Error response from daemon: error gathering device information\n"),
      run("node1"),
    ],
    about: { node: "node0" },
    says: ["error gathering device information", "docker logs"],
  },
];

interface Failure {
  readonly stage: string;
  readonly node: string;
  readonly detail: string;
  readonly rank?: number;
  readonly peer?: string;
  readonly tail?: readonly string[];
}

function failed({ rank = null as never, peer = null as never, tail = [], ...failure }: Failure) {
  return [
    headRun({ result: "failed", failures: [{ ...failure, rank, peer, tail }] }),
    run("node1"),
  ];
}

/** What the head prints, with the noise of a library in front. */
export function headRun(result: Readonly<Record<string, unknown>>): SmokeNodeRun {
  const report = {
    smoke: 1,
    isPartial: false,
    engine: { device: "npu", backend: "hccl", vllm: "0.23.0", torch: "2.9.0" },
    stages: [
      { name: "join", isPassed: true, sec: 0.4 },
      { name: "threads", isPassed: result["result"] !== "failed", sec: 0.1 },
    ],
    ...result,
  };
  const line = JSON.stringify(report);
  return {
    node: "node0",
    stdout: `{"listening": 40111}\nwarning of a library\n${line}\n`,
    stderr: "a warning\n",
  };
}

function run(node: string, stderr = ""): SmokeNodeRun {
  return { node, stdout: "", stderr };
}
