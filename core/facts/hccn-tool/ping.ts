import { reading, type ToolQuery, unknownReading } from "../reading.js";

export interface NpuPing {
  readonly device: number;
  readonly destination: string;
  readonly sent: number;
  readonly received: number;
  readonly timesMs: readonly number[];
}

/**
 * `-ping -g address X`, and `-hccs_ping` of A3. Judged by its last line: the words for a lost packet are not known for every driver.
 * The first answer may be slow (ARP).
 */
export const pingQuery: ToolQuery<NpuPing> = {
  begins: /^device \d+ PING /i,
  parse: (lines) => {
    const head = matchOf(lines, /^device (\d+) PING (\S+)/i);
    const sum = matchOf(
      lines,
      /^(\d+) packets transmitted, (\d+) received, ([\d.]+)% packet loss/i,
    );
    if (head === undefined) return unknownReading("no first line of a ping");
    if (sum === undefined) return unknownReading(`ping of ${head[2]} without a summary`);
    const [sent, received, loss] = [Number(sum[1]), Number(sum[2]), Number(sum[3])];
    const isPlausible =
      sent > 0 && received <= sent && Math.abs(loss - (100 * (sent - received)) / sent) <= 1;
    if (!isPlausible) return unknownReading(`a summary that contradicts itself: ${sum[0]}`);
    const value: NpuPing = {
      device: Number(head[1]),
      destination: head[2]!,
      sent,
      received,
      timesMs: lines.flatMap((line) => {
        const time = /^recv seq=\d+\s*,\s*time=([\d.]+)\s*ms$/i.exec(line)?.[1];
        return time === undefined ? [] : [Number(time)];
      }),
    };
    const verdict = received === sent ? "pass" : received > 0 ? "warn" : "fail";
    return reading(verdict, `${received} of ${sent} answers from ${head[2]}`, value);
  },
};

function matchOf(lines: readonly string[], pattern: RegExp): RegExpExecArray | undefined {
  return lines.map((line) => pattern.exec(line)).find((match) => match !== null) ?? undefined;
}
