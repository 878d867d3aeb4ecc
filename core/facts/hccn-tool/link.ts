import { firstMatch, reading, type ToolQuery, unknownReading, wholeNumber } from "../reading.js";

/** `-link -g`: state of the RoCE port. */
export const linkQuery: ToolQuery<{ readonly status: string }> = {
  begins: /^link status\s*:/i,
  parse: (lines) => {
    const status = firstMatch(lines, /^link status\s*:\s*(\S.*)$/i);
    if (status === undefined) return unknownReading("no line with a link status");
    return reading(status.toUpperCase() === "UP" ? "pass" : "fail", `link ${status}`, { status });
  },
};

/**
 * `-net_health -g`: whether the detect address answers.
 *
 * `Init` (nothing probed yet) warns: npu-exporter counts it as healthy, the vllm-ascend guide wants success. Every other word is a
 * fault: `Socket failed`, `Receive timeout`, `Unreachable`, `Detect ip set`, `Time exceeded`, `Thread error` are known.
 */
export const netHealthQuery: ToolQuery<{ readonly status: string }> = {
  begins: /^net health status\s*:/i,
  parse: (lines) => {
    const status = firstMatch(lines, /^net health status\s*:\s*(\S.*)$/i);
    if (status === undefined) return unknownReading("no line with a health status");
    const verdict = { success: "pass", init: "warn" } as const;
    return reading(
      verdict[status.toLowerCase() as keyof typeof verdict] ?? "fail",
      `net health ${status}`,
      { status },
    );
  },
};

/** `-speed -g`. */
export const speedQuery: ToolQuery<{ readonly mbitPerSec?: number }> = {
  begins: /^speed\s*:/i,
  parse: (lines) => {
    const text = firstMatch(lines, /^speed\s*:\s*(\S.*)$/i);
    if (text === undefined) return unknownReading("no line with a speed");
    const mbitPerSec = wholeNumber(/^(\d+)\s*Mb\/s$/i.exec(text)?.[1]);
    if (mbitPerSec !== undefined) return reading("pass", `${mbitPerSec} Mb/s`, { mbitPerSec });
    return /unknown/i.test(text)
      ? reading("warn", `speed ${text}`, {})
      : unknownReading(`speed ${text}`);
  },
};

/** `-fec -g`: forward error correction; RoCE at these speeds needs it. */
export const fecQuery: ToolQuery<{ readonly mode: string }> = {
  begins: /^fec mode\s*:/i,
  parse: (lines) => {
    const mode = firstMatch(lines, /^fec mode\s*:\s*(\S.*?)\s+FEC mode$/i);
    if (mode === undefined) return unknownReading("no line with a FEC mode");
    const verdict = mode === "rs" ? "pass" : mode === "no" ? "fail" : "warn";
    return reading(verdict, `FEC mode ${mode}`, { mode });
  },
};

export interface LinkHistory {
  readonly device: number;
  /** By the clock of the NPU, which may be wrong; only distances to it mean something. */
  readonly currentTime: string;
  readonly upCount: number;
  readonly downCount?: number;
  /** Newest first. */
  readonly changes: readonly { readonly time: string; readonly state: "UP" | "DOWN" }[];
  readonly downsWithinDay: number;
}

/** `-link_stat -g`: when the link went up and down. The word of the tag differs between builds. */
export const linkStatQuery: ToolQuery<LinkHistory> = {
  begins: /^\[\w+ \d+\]\s*current time\s*:/i,
  parse: (lines) => {
    const texts = lines.map((line) => /^\[\w+ (\d+)\]\s*(.*)$/.exec(line));
    const device = wholeNumber(texts.find((text) => text !== null)?.[1]);
    const body = texts.flatMap((text) => (text?.[2] === undefined ? [] : [text[2]]));
    const currentTime = firstMatch(body, /^current time\s*:\s*(\S.*)$/i);
    const upCount = wholeNumber(firstMatch(body, /^link up count\s*:\s*(\d+)$/i));
    const downCount = wholeNumber(firstMatch(body, /^link down count\s*:\s*(\d+)$/i));
    const head = body.findIndex((line) => /^link change records\s*:/i.test(line));
    const now = currentTime === undefined ? undefined : asctimeSec(currentTime);
    if (device === undefined || currentTime === undefined || now === undefined) {
      return unknownReading("no current time");
    }
    if (upCount === undefined || head === -1 || head === body.length - 1) {
      return unknownReading("no link change records");
    }
    const records = body.slice(head + 1).map((line) => /^(.*\d)\s+LINK (UP|DOWN)$/.exec(line));
    const changes = records.map((record) => ({
      time: record?.[1] ?? "",
      sec: asctimeSec(record?.[1] ?? ""),
      state: record?.[2] === "UP" ? ("UP" as const) : ("DOWN" as const),
    }));
    if (changes.some(({ sec }) => sec === undefined)) {
      return unknownReading(
        `a record that is none: ${body.slice(head + 1)[changes.findIndex(({ sec }) => sec === undefined)]}`,
      );
    }
    const downsWithinDay = changes.filter(
      ({ state, sec }) => state === "DOWN" && now - sec! < DAY_SEC,
    ).length;
    const value: LinkHistory = {
      device,
      currentTime,
      upCount,
      ...(downCount === undefined ? {} : { downCount }),
      changes: changes.map(({ time, state }) => ({ time, state })),
      downsWithinDay,
    };
    return judgeHistory(value);
  },
};

function judgeHistory(value: LinkHistory) {
  const [newest] = value.changes;
  const ups = value.changes.filter(({ state }) => state === "UP").length;
  if (newest?.state === "DOWN") {
    return reading("fail", `link is down since ${newest.time}`, value);
  }
  if (value.downsWithinDay > MAX_DOWNS_PER_DAY) {
    return reading("fail", `link went down ${value.downsWithinDay} times within 24 h`, value);
  }
  if (value.downsWithinDay > 0) {
    return reading("warn", `link went down ${value.downsWithinDay} time(s) within 24 h`, value);
  }
  if (ups < value.upCount) {
    return reading("warn", `${ups} of ${value.upCount} link changes are on record`, value);
  }
  return reading("pass", `link is up since ${newest?.time}`, value);
}

/** `Wed Aug  2 03:09:26 2022` in seconds; the zone is unknown, so only differences mean something. */
function asctimeSec(text: string): number | undefined {
  const match = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d{2}:\d{2}:\d{2}) (\d{4})$/.exec(text);
  if (match === null) return undefined;
  const time = Date.parse(`${match[2]} ${match[1]} ${match[4]} ${match[3]} UTC`);
  return Number.isNaN(time) ? undefined : time / 1000;
}

const DAY_SEC = 86_400;
/** Our threshold: a link that flaps more often breaks collectives even when it is up now. */
const MAX_DOWNS_PER_DAY = 5;
