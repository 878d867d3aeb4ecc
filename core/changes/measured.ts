import { parseManifest } from "./manifest.js";

/** What the commits of the last `up` have measured; what was never measured is absent. */
export interface MeasuredTimes {
  /** Seconds until Ray had all its nodes and NPUs. */
  readonly rayStartSec?: number;
  /** Seconds until vLLM had answered a completion. */
  readonly serveStartSec?: number;
  /** The last outage of each class of change. */
  readonly outages: Readonly<Partial<Record<OutageClass, MeasuredOutage>>>;
}

/** From the moment in which a group that served was told to stop until it had answered again. */
export interface MeasuredOutage {
  /** How long, in seconds. */
  readonly sec: number;
  /** When it ended, ISO 8601. */
  readonly at: string;
}

/** What was restarted; as the effects of `ClusterChange`. */
export type OutageClass = "containers" | "ray" | "serve";

/** Reads what `supervisor commit` has printed for Ray and for serve (docs/supervisor.md). */
export function measuredTimes(ray: unknown, serve: unknown): MeasuredTimes {
  const [rayFacts, serveFacts] = [printedFacts(ray), printedFacts(serve)];
  const rayStartSec = seconds(rayFacts?.["readyAfterSec"]);
  const serveStartSec = seconds(serveFacts?.["readyAfterSec"]);
  // Both commits print the whole table of the head; serve's is the later one.
  const table = (serveFacts?.["outages"] ?? {}) as Readonly<Record<string, unknown>>;
  const outages = OUTAGE_CLASSES.flatMap((name) => {
    const { sec, at } = (table[name] ?? {}) as Readonly<Record<string, unknown>>;
    const [length, end] = [seconds(sec), seconds(at)];
    return length === undefined || end === undefined
      ? []
      : [[name, { sec: length, at: new Date(end * 1000).toISOString() }] as const];
  });
  return {
    ...(rayStartSec === undefined ? {} : { rayStartSec }),
    ...(serveStartSec === undefined ? {} : { serveStartSec }),
    outages: Object.fromEntries(outages),
  };
}

const OUTAGE_CLASSES = ["containers", "ray", "serve"] as const;

/** The facts are the last line. */
function printedFacts(text: unknown) {
  return typeof text === "string" ? parseManifest(text.trim().split("\n").at(-1)) : undefined;
}

function seconds(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}
