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
  /** What the files of a model's directory tell of its weights, by directory. */
  readonly weights: ReadonlyMap<string, WeightsFact>;
  readonly images: ReadonlyMap<string, ImageFact>;
  readonly addressesError?: string;
  readonly links: ReadonlyMap<string, "up" | "down">;
  readonly addresses: readonly AddressFact[];
  readonly portsError?: string;
  readonly areListenersKnown: boolean;
  readonly listeners: readonly ListenerFact[];
  readonly containers: ReadonlyMap<string, ContainerFact>;
  readonly units: ReadonlyMap<string, UnitFact>;
  /** The host's clock in seconds since 1970. */
  readonly clockSec?: number;
}

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

export type WeightsFact =
  | {
      readonly state: "found";
      /** All files of safetensors together, in bytes. */
      readonly bytes: number;
      /** Formats that the description of a quantized checkpoint names, e.g. `W8A8_DYNAMIC`; unset without description. */
      readonly formats?: readonly string[];
    }
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
    weights: new Map(),
    images: new Map(),
    links: new Map(),
    addresses: [],
    areListenersKnown: false,
    listeners: [],
    containers: new Map(),
    units: new Map(),
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
    case "weights":
      facts.weights.set(a, weightsFact(b, c, d));
      return;
    case "image":
      if (isImageState(b)) facts.images.set(a, { state: b, text: c });
      return;
    case "addresses":
      if (a !== "ok") facts.addressesError = b;
      return;
    case "link":
      facts.links.set(a, b === "up" ? "up" : "down");
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
  }
}

function pathFact(state: string, text: string): PathFact {
  if (state === "found") return { state, type: text };
  return state === "missing" ? { state } : { state: "error", reason: text };
}

function fileFact(state: string, text: string): FileFact {
  if (state === "found") return { state, content: Buffer.from(text, "base64").toString("utf8") };
  return state === "missing" ? { state } : { state: "error", reason: text };
}

function weightsFact(state: string, bytes: string, formats: string): WeightsFact {
  if (state !== "found") return { state: "error", reason: bytes };
  return {
    state,
    bytes: Number(bytes),
    ...(formats === "-" ? {} : { formats: formats.split(",").filter((format) => format !== "") }),
  };
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
