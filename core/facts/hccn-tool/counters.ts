import { keyValues, reading, type ToolQuery, unknownReading, wholeNumber } from "../reading.js";

/** `-stat -g`: packet counters since the driver was loaded. */
export const statQuery: ToolQuery<Readonly<Record<string, number>>> = {
  begins: /^packet statistics\s*:/i,
  parse: (lines) => {
    const head = lines.findIndex((line) => /^packet statistics\s*:/i.test(line));
    if (head === -1) return unknownReading("no packet statistics");
    const counters = countersOf(lines.slice(head + 1));
    if (counters === undefined) return unknownReading("a counter without a number");
    if (!Object.keys(counters).some((key) => ERROR_COUNTER.test(key))) {
      return unknownReading("no counter of errors");
    }
    const errors = Object.entries(counters).filter(
      ([key, count]) => ERROR_COUNTER.test(key) && count > 0,
    );
    return errors.length === 0
      ? reading("pass", "no packet errors", counters)
      : reading("warn", errors.map(([key, count]) => `${key} ${count}`).join(", "), counters);
  },
};

/** `-hw_stats -g`: RDMA objects; more than one queue pair on an idle NPU means that somebody uses it. */
export const hwStatsQuery: ToolQuery<Readonly<Record<string, number>>> = {
  begins: /^\[\w+ \d+\]\s*pd_alloc\s*:/i,
  parse: (lines) => {
    const texts = lines.map((line) => /^\[\w+ \d+\]\s*(.*)$/.exec(line)?.[1] ?? line);
    const counters = countersOf(texts);
    if (counters === undefined) return unknownReading("a counter without a number");
    const { qp_active: queuePairs } = counters;
    if (queuePairs === undefined) return unknownReading("no count of queue pairs");
    return reading(queuePairs > 1 ? "warn" : "pass", `${queuePairs} active queue pairs`, counters);
  },
};

/** `-bandwidth -g`: traffic at this moment. */
export const bandwidthQuery: ToolQuery<{
  readonly txMbPerSec: number;
  readonly rxMbPerSec: number;
}> = {
  begins: /^Bandwidth TX\s*:/i,
  parse: (lines) => {
    const rate = (way: string) => {
      const pattern = new RegExp(`^Bandwidth ${way}\\s*:\\s*(\\d+(?:\\.\\d+)?) MB/sec$`, "i");
      const text = lines.map((line) => pattern.exec(line)?.[1]).find((found) => found);
      return text === undefined ? undefined : Number(text);
    };
    const [tx, rx] = [rate("TX"), rate("RX")];
    if (tx === undefined || rx === undefined) return unknownReading("no traffic of both ways");
    const value = { txMbPerSec: tx, rxMbPerSec: rx };
    return reading(tx + rx > 0 ? "warn" : "pass", `sends ${tx} MB/s, receives ${rx} MB/s`, value);
  },
};

/** What setters answer. */
export const setQuery: ToolQuery<undefined> = {
  begins: /^Cmd executed successfully/i,
  parse: (lines) =>
    lines.length === 1 && /^Cmd executed successfully!?$/i.test(lines[0]!)
      ? reading("pass", "executed", undefined)
      : unknownReading("no word of success"),
};

/** `...` stands in recorded excerpts for lines that were left out. */
function countersOf(lines: readonly string[]): Readonly<Record<string, number>> | undefined {
  const counters: Record<string, number> = {};
  for (const line of lines.filter((text) => text !== "...")) {
    const [[key, text] = ["", ""]] = keyValues([line]);
    const count = wholeNumber(text);
    if (key === "" || count === undefined) return undefined;
    counters[key] = count;
  }
  return counters;
}

const ERROR_COUNTER = /(^|_)(err|bad)_/;
