/** What `node/facts.sh` saw on one host. A fact that is absent was not asked for, or the answer was cut short. */
export interface HostFacts {
  /** Whether the answer came to its end. */
  readonly isComplete: boolean;
  /** Why root's part of the answer ended early. */
  readonly rootEnd?: string;
  readonly login?: { readonly user: string; readonly uid: number };
  readonly root?: Outcome;
  /** Docker as the login user finds and reaches it, which is how Pulumi's docker provider works. */
  readonly dockerOfLogin?: Outcome & { readonly isMissing: boolean };
  /** The docker daemon as root reaches it; the text is its version. */
  readonly docker?: Outcome;
  /** Path of a tool by its name, empty when it is not there. */
  readonly tools: ReadonlyMap<string, string>;
  readonly paths: ReadonlyMap<string, PathFact>;
  /** Where else an executable of that name was found, by the path that was asked for. */
  readonly elsewhere: ReadonlyMap<string, string>;
  readonly files: ReadonlyMap<string, FileFact>;
  readonly images: ReadonlyMap<string, ImageFact>;
  readonly addressesError?: string;
  readonly links: ReadonlyMap<string, "up" | "down">;
  /** Bytes of the largest packet, by interface. */
  readonly mtus: ReadonlyMap<string, number>;
  readonly addresses: readonly AddressFact[];
  readonly portsError?: string;
  readonly areListenersKnown: boolean;
  readonly listeners: readonly ListenerFact[];
  readonly containers: ReadonlyMap<string, ContainerFact>;
  readonly units: ReadonlyMap<string, UnitFact>;
  /** The host's clock in seconds since 1970. */
  readonly clockSec?: number;
  /** As of `uname -m`. */
  readonly machine?: string;
  /** New at each boot, and never that of another machine. */
  readonly bootId?: string;
  readonly memory?: { readonly totalKib: number; readonly availableKib: number };
  readonly ephemeralPorts?: EphemeralPorts;
  /** The host's own name and the first address that it resolves to, empty for none. */
  readonly hostname?: { readonly name: string; readonly address: string };
  /** Proxy variables of a login, with what `no_proxy` says. */
  readonly proxies: ReadonlyMap<string, string>;
  /** Free bytes by the path that was asked for; `undefined` when it could not be told. */
  readonly freeBytes: ReadonlyMap<string, number | undefined>;
  readonly dockerDetails?: DockerDetails;
  readonly areContainersKnown: boolean;
  readonly containersError?: string;
  /** All containers of the host. */
  readonly containerDevices: readonly ContainerDevices[];
  readonly models: ReadonlyMap<string, ModelFact>;
  /** How fast files of the weights were read, by directory. */
  readonly storage: ReadonlyMap<string, StorageFact>;
  /** The name of an address as the host resolves it, empty for none. */
  readonly names: ReadonlyMap<string, string>;
  /** By `<npu> <tool> <query>`, the NPU being `all` for `npu-smi info`. */
  readonly npuOutputs: ReadonlyMap<string, ToolOutput>;
  /** Processes that npu-smi lists, by pid. */
  readonly npuProcesses: ReadonlyMap<number, ProcessFact>;
  readonly areHoldersKnown: boolean;
  readonly holdersError?: string;
  /** Processes that have the device node of an NPU open. */
  readonly holders: readonly HolderFact[];
}

/** What one host sees of the others. */
export interface PeerFacts {
  readonly isComplete: boolean;
  /** By `<npu> <address>`. */
  readonly npuPings: ReadonlyMap<string, ToolOutput>;
  /** By `<address> <port>`. */
  readonly tcp: ReadonlyMap<string, TcpFact>;
  /** By address. */
  readonly pathMtus: ReadonlyMap<string, { readonly state: string; readonly mtu: number }>;
}

export interface TcpFact {
  /** `refused`: the host answers and nobody listens yet; `skipped`: the host was silent on other ports. */
  readonly state: string;
  readonly text: string;
}

/** The output of a driver tool; `hangs`: no answer within its time. */
export type ToolOutput =
  | { readonly state: "ended"; readonly exitCode: number; readonly text: string }
  | { readonly state: "hangs" }
  | { readonly state: "missing" };

export interface EphemeralPorts {
  readonly first: number;
  readonly last: number;
  /** As of `net.ipv4.ip_local_reserved_ports`. */
  readonly reserved: readonly (readonly [first: number, last: number])[];
}

export interface DockerDetails {
  readonly defaultRuntime: string;
  readonly runtimes: readonly string[];
  readonly rootDir: string;
}

export interface ContainerDevices {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly isPrivileged: boolean;
  readonly devices: readonly string[];
  /** Label of this product; empty on a foreign container. */
  readonly owner: string;
  /** NPUs that ascend-docker-runtime maps, as in `ASCEND_VISIBLE_DEVICES`. */
  readonly ascendVisibleDevices: string;
}

export interface ProcessFact {
  /** Empty when the host has no such process. */
  readonly name: string;
  readonly containerId: string;
}

export interface HolderFact extends ProcessFact {
  readonly npu: number;
  readonly pid: number;
}

/** The files of a model's directory. */
export type ModelFact =
  | {
      readonly state: "found";
      /** Bytes by name. */
      readonly sizes: ReadonlyMap<string, number>;
      /** SHA-256 of `config.json` and of the index, by name. */
      readonly hashes: ReadonlyMap<string, string>;
      /** Formats that the description of a quantized checkpoint names, e.g. `W8A8_DYNAMIC`; unset without description. */
      readonly formats?: readonly string[];
    }
  | { readonly state: "error"; readonly reason: string };

/** A part of the weights, read once; `small`: there is too little of them to measure. */
export type StorageFact =
  | {
      readonly state: "read";
      readonly bytes: number;
      readonly sec: number;
      /** `direct`: past the page cache; `uncached`: through it, after the file was dropped from it. */
      readonly how: string;
    }
  | { readonly state: "small" | "error"; readonly reason: string };

/** Something that worked or did not; the text is a result or a reason. */
export interface Outcome {
  readonly isOk: boolean;
  readonly text: string;
}

export type PathFact =
  | { readonly state: "found"; readonly type: string }
  | { readonly state: "missing" }
  | { readonly state: "error"; readonly reason: string };

export type FileFact =
  | { readonly state: "found"; readonly content: string }
  | { readonly state: "missing" }
  | { readonly state: "error"; readonly reason: string };

export interface ImageFact {
  readonly state:
    | "present"
    | "absent"
    | "pullable"
    | "unknown-to-registry"
    | "registry-error"
    | "error";
  /** Image id, or a reason. */
  readonly text: string;
  /** As docker names it, e.g. `arm64`; of an image that is present. */
  readonly architecture?: string;
  /** Names of the variables that the image sets. */
  readonly variables?: readonly string[];
}

export interface AddressFact {
  readonly device: string;
  /** Equal to the device, or its alias such as `eth0:1`. */
  readonly label: string;
  readonly address: string;
}

export interface ListenerFact {
  readonly port: number;
  /** `0.0.0.0`, `*`, `[::]`, or the one address that it listens on. */
  readonly address: string;
  /** Unknown for a socket whose process is in another container or the kernel. */
  readonly pid?: number;
  readonly process: string;
  /** Id of the container of the process, empty for a process of the host. */
  readonly containerId: string;
}

export type ContainerFact =
  | {
      readonly state: "present";
      readonly id: string;
      /** Docker's word: running, exited, created, … */
      readonly status: string;
      readonly exitCode: number;
      /** Labels of this product; empty on a foreign container. */
      readonly owner: string;
      readonly node: string;
      readonly error: string;
    }
  | { readonly state: "absent" }
  | { readonly state: "error"; readonly reason: string };

/** The words of systemctl; empty when it told nothing, e.g. of a unit that is not there. */
export interface UnitFact {
  readonly active: string;
  readonly enabled: string;
}

/**
 * Parses the answer of `node/facts.sh`. Never throws: lines before `facts 1` (login messages) and unknown facts (a newer
 * script) are left out.
 */
export function parseHostFacts(answer: string): HostFacts {
  const lines = answer.replaceAll("\r", "").split("\n");
  const first = lines.indexOf("facts\t1");
  const last = lines.lastIndexOf("end");
  const isComplete = first !== -1 && last > first;
  const facts = emptyFacts(isComplete);
  if (first === -1) return facts;
  for (const line of lines.slice(first + 1, isComplete ? last : lines.length)) {
    const [kind = "", ...fields] = line.split("\t");
    readFact(facts, kind, fields);
  }
  return facts;
}

/** Parses the answer to the questions about other hosts, as `parseHostFacts` does. */
export function parsePeerFacts(answer: string): PeerFacts {
  const lines = answer.replaceAll("\r", "").split("\n");
  const first = lines.indexOf("facts\t1");
  const last = lines.lastIndexOf("end");
  const facts: Draft<PeerFacts> = {
    isComplete: first !== -1 && last > first,
    npuPings: new Map(),
    tcp: new Map(),
    pathMtus: new Map(),
  };
  for (const line of first === -1 ? [] : lines.slice(first + 1)) {
    const [kind, a = "", b = "", c = "", d = ""] = line.split("\t").map((field) => field.trim());
    if (kind === "npu-ping") facts.npuPings.set(`${a} ${b}`, toolOutput(c, d));
    if (kind === "tcp") facts.tcp.set(`${a} ${b}`, { state: c, text: d });
    if (kind === "path-mtu") facts.pathMtus.set(a, { state: b, mtu: Number(c) });
  }
  return facts;
}

/** The content of a file fact, without the newline at its end. */
export function fileText(fact: FileFact | undefined): string | undefined {
  return fact?.state === "found" ? fact.content.replace(/\n$/, "") : undefined;
}

type Draft<T> = {
  -readonly [K in keyof T]: T[K] extends ReadonlyMap<infer A, infer B>
    ? Map<A, B>
    : T[K] extends readonly (infer E)[]
      ? E[]
      : T[K];
};

function emptyFacts(isComplete: boolean): Draft<HostFacts> {
  return {
    isComplete,
    tools: new Map(),
    paths: new Map(),
    elsewhere: new Map(),
    files: new Map(),
    images: new Map(),
    links: new Map(),
    mtus: new Map(),
    addresses: [],
    areListenersKnown: false,
    listeners: [],
    containers: new Map(),
    units: new Map(),
    proxies: new Map(),
    freeBytes: new Map(),
    areContainersKnown: false,
    containerDevices: [],
    models: new Map(),
    storage: new Map(),
    names: new Map(),
    npuOutputs: new Map(),
    npuProcesses: new Map(),
    areHoldersKnown: false,
    holders: [],
  };
}

function readFact(facts: Draft<HostFacts>, kind: string, fields: readonly string[]): void {
  const [a = "", b = "", c = "", d = "", e = ""] = fields.map((field) => field.trim());
  switch (kind) {
    case "login":
      facts.login = { user: a, uid: Number(b) };
      return;
    case "root":
      // `no` after `yes`: sudo worked, and the part that runs as root broke off.
      if (a === "no" && facts.root?.isOk === true) {
        facts.isComplete = false;
        facts.rootEnd = b;
      } else {
        facts.root = { isOk: a === "yes", text: b };
      }
      return;
    case "docker-of-login":
      facts.dockerOfLogin = { isOk: a === "ok", isMissing: a === "missing", text: b };
      return;
    case "docker":
      facts.docker = { isOk: a === "ok", text: b };
      return;
    case "tool":
      facts.tools.set(a, b);
      return;
    case "path":
      facts.paths.set(a, pathFact(b, c));
      return;
    case "elsewhere":
      facts.elsewhere.set(a, b);
      return;
    case "file":
      facts.files.set(a, fileFact(b, c));
      return;
    case "image":
      if (isImageState(b)) facts.images.set(a, imageFact(b, c, d, e));
      return;
    case "addresses":
      if (a !== "ok") facts.addressesError = b;
      return;
    case "link":
      facts.links.set(a, b === "up" ? "up" : "down");
      if (c !== "") facts.mtus.set(a, Number(c));
      return;
    case "address":
      facts.addresses.push({ device: a, label: b, address: c });
      return;
    case "ports":
      facts.areListenersKnown = a === "ok";
      if (a !== "ok") facts.portsError = b;
      return;
    case "listener":
      facts.listeners.push({
        port: Number(a),
        address: b,
        ...(c === "" ? {} : { pid: Number(c) }),
        process: d,
        containerId: e,
      });
      return;
    case "container":
      facts.containers.set(a, containerFact(fields.slice(1)));
      return;
    case "unit":
      facts.units.set(a, { active: b, enabled: c });
      return;
    case "clock":
      facts.clockSec = Number(a);
      return;
    default:
      readSystemFact(facts, kind, [a, b, c, d, e]);
      readNpuFact(facts, kind, fields);
  }
}

function readSystemFact(facts: Draft<HostFacts>, kind: string, fields: readonly string[]): void {
  const [a = "", b = "", c = "", d = "", e = ""] = fields;
  switch (kind) {
    case "machine":
      if (a !== "") facts.machine = a;
      return;
    case "boot-id":
      if (a !== "") facts.bootId = a;
      return;
    case "memory":
      if (a !== "" && b !== "") facts.memory = { totalKib: Number(a), availableKib: Number(b) };
      return;
    case "ephemeral-ports": {
      const [range, ...others] = portRanges(a);
      if (range !== undefined && others.length === 0) {
        facts.ephemeralPorts = { first: range[0], last: range[1], reserved: portRanges(b) };
      }
      return;
    }
    case "hostname":
      facts.hostname = { name: a, address: b };
      return;
    case "proxy":
      facts.proxies.set(a, b);
      return;
    case "disk":
      facts.freeBytes.set(a, b === "found" ? Number(c) : undefined);
      return;
    case "docker-details":
      facts.dockerDetails = { defaultRuntime: a, runtimes: listOf(b), rootDir: c };
      return;
    case "model":
      facts.models.set(a, modelFact(b, c));
      return;
    case "storage":
      facts.storage.set(a, storageFact(b, c, d, e));
      return;
    case "name":
      facts.names.set(a, b);
      return;
  }
}

function readNpuFact(facts: Draft<HostFacts>, kind: string, all: readonly string[]): void {
  const fields = all.map((field) => field.trim());
  const [a = "", b = "", c = "", d = "", e = "", f = "", g = ""] = fields;
  switch (kind) {
    case "npu":
      facts.npuOutputs.set(`${a} ${b} ${c}`, toolOutput(d, e));
      return;
    case "npu-process":
      facts.npuProcesses.set(Number(a), { name: b, containerId: c });
      return;
    case "holders":
      facts.areHoldersKnown = a === "ok";
      if (a !== "ok") facts.holdersError = b;
      return;
    case "holder":
      facts.holders.push({ npu: Number(a), pid: Number(b), name: c, containerId: d });
      return;
    case "containers":
      facts.areContainersKnown = a === "ok";
      if (a !== "ok") facts.containersError = b;
      return;
    case "container-devices":
      facts.containerDevices.push({
        id: a,
        name: b.replace(/^\//, ""),
        status: c,
        isPrivileged: d === "true",
        devices: listOf(e),
        owner: f,
        ascendVisibleDevices: g,
      });
      return;
  }
}

function toolOutput(status: string, text: string): ToolOutput {
  if (status === "missing") return { state: "missing" };
  if (!/^\d+$/.test(status)) return { state: "hangs" };
  return {
    state: "ended",
    exitCode: Number(status),
    text: Buffer.from(text, "base64").toString("utf8"),
  };
}

function imageFact(state: ImageFact["state"], text: string, arch: string, env: string): ImageFact {
  return {
    state,
    text,
    ...(arch === "" ? {} : { architecture: arch }),
    ...(state === "present" ? { variables: listOf(env) } : {}),
  };
}

/** All files of safetensors together, in bytes. */
export function weightsBytes({ sizes }: { readonly sizes: ReadonlyMap<string, number> }): number {
  return [...sizes]
    .filter(([name]) => name.endsWith(".safetensors"))
    .reduce((sum, [, size]) => sum + size, 0);
}

/** Lines `<type> TAB <bytes> TAB <name>` of stat, then `<hash>  <name>` of sha256sum, then `formats TAB <name>,…`. */
function modelFact(state: string, text: string): ModelFact {
  if (state !== "found") return { state: "error", reason: text };
  const sizes = new Map<string, number>();
  const hashes = new Map<string, string>();
  let formats: readonly string[] | undefined;
  for (const line of Buffer.from(text, "base64").toString("utf8").split("\n")) {
    const file = /^regular(?: empty)? file\t(\d+)\t(.+)$/.exec(line);
    if (file !== null) sizes.set(file[2]!, Number(file[1]));
    const hash = /^([0-9a-f]{64}) [ *](.+)$/.exec(line);
    if (hash !== null) hashes.set(hash[2]!, hash[1]!);
    const described = /^formats\t(.*)$/.exec(line)?.[1];
    if (described !== undefined) formats = listOf(described);
  }
  return { state, sizes, hashes, ...(formats === undefined ? {} : { formats }) };
}

function storageFact(state: string, bytes: string, sec: string, how: string): StorageFact {
  if (state === "small") return { state, reason: bytes };
  if (state !== "read") return { state: "error", reason: bytes };
  const fact = { bytes: Number(bytes), sec: Number(sec) };
  const isTime = fact.bytes > 0 && fact.sec > 0;
  return isTime
    ? { state, ...fact, how }
    : { state: "error", reason: `${bytes} bytes in ${sec} s` };
}

/** `60000-60031,7000`, as in the files of `/proc/sys/net/ipv4`. */
function portRanges(text: string): [first: number, last: number][] {
  return listOf(text).flatMap((range): [number, number][] => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    return match === null ? [] : [[Number(match[1]), Number(match[2] ?? match[1])]];
  });
}

function listOf(text: string): string[] {
  return text.split(",").filter((item) => item !== "");
}

function pathFact(state: string, text: string): PathFact {
  if (state === "found") return { state, type: text };
  return state === "missing" ? { state } : { state: "error", reason: text };
}

function fileFact(state: string, text: string): FileFact {
  if (state === "found") return { state, content: Buffer.from(text, "base64").toString("utf8") };
  return state === "missing" ? { state } : { state: "error", reason: text };
}

function containerFact(fields: readonly string[]): ContainerFact {
  const [state, id = "", status = "", exitCode = "", owner = "", node = "", error = ""] =
    fields.map((field) => field.trim());
  if (state === "present") {
    return { state, id, status, exitCode: Number(exitCode), owner, node, error };
  }
  return state === "absent" ? { state } : { state: "error", reason: id };
}

function isImageState(state: string): state is ImageFact["state"] {
  return IMAGE_STATES.some((known) => known === state);
}

const IMAGE_STATES: readonly ImageFact["state"][] = [
  "present",
  "absent",
  "pullable",
  "unknown-to-registry",
  "registry-error",
  "error",
];
