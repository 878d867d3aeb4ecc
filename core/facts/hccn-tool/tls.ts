import { type Reading, reading, type ToolQuery, unknownReading } from "../reading.js";

export interface TlsSwitch {
  readonly device: number;
  readonly isEnabled: boolean;
  /** As printed; builds without `| grep switch` list them. */
  readonly certificateEnds: readonly string[];
}

/**
 * `-tls -g`. Not parsed by comma position: older builds leave out `preconfigured`, and certificate blocks may follow. All NPUs
 * of all nodes must be equal, which one output cannot show.
 */
export const tlsQuery: ToolQuery<TlsSwitch> = {
  begins: /^dev_id\s*:/i,
  parse: (lines, { nowSec }) => {
    const pattern = /^dev_id\s*:\s*(\d+), tls switch\[([01])\]/i;
    const match = lines.map((line) => pattern.exec(line)).find((found) => found !== null);
    if (match === undefined) return unknownReading("no line with a TLS switch");
    const isEnabled = match[2] === "1";
    const value: TlsSwitch = {
      device: Number(match[1]),
      isEnabled,
      certificateEnds: lines.flatMap((line) => CERTIFICATE_END.exec(line)?.[1]?.trim() ?? []),
    };
    const expiry = isEnabled ? expiryOf(lines, value, nowSec) : undefined;
    const state = `TLS ${isEnabled ? "enabled" : "disabled"}`;
    return expiry === undefined
      ? reading("pass", state, value)
      : reading(expiry.verdict, `${state}; ${expiry.detail}`, value);
  },
};

/** Certificates matter only where the switch is on. */
function expiryOf(
  lines: readonly string[],
  { certificateEnds }: TlsSwitch,
  nowSec: number | undefined,
): Pick<Reading, "verdict" | "detail"> | undefined {
  const said = lines.find((line) => EXPIRED.test(line));
  if (said !== undefined) return { verdict: "fail", detail: `certificate has expired: ${said}` };
  const thresholdDays = Number(/alarm time threshold\[(\d+)\]/.exec(lines.join("\n"))?.[1] ?? 60);
  for (const end of certificateEnds) {
    const endMs = Date.parse(end);
    if (nowSec === undefined || Number.isNaN(endMs)) continue;
    const days = Math.floor((endMs / 1000 - nowSec) / 86_400);
    if (days < 0) return { verdict: "fail", detail: `certificate has expired on ${end}` };
    if (days < thresholdDays) return { verdict: "warn", detail: `certificate ends on ${end}` };
  }
  const near = lines.find((line) => EXPIRES_SOON.test(line));
  return near === undefined ? undefined : { verdict: "warn", detail: near };
}

const CERTIFICATE_END =
  /\b(?:end time|end date|not ?after|expir\w* (?:time|date))\s*[:=]\s*(\S.*)$/i;
const EXPIRED = /^(?!.*\b(?:not|un|non)[ -]?expired\b).*\b(?:has |is )?expired\b/i;
const EXPIRES_SOON = /\b(?:expiring|about to expire|will expire|expires soon|near expiry)\b/i;
