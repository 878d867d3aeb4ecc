import { firstMatch, reading, type ToolQuery, unknownReading, wholeNumber } from "../reading.js";

/** What the switch says about its port. */
export interface LldpNeighbour {
  readonly portName: string;
  readonly systemName?: string;
  readonly maxFrameSize?: number;
}

/** `-lldp -g`, whole or through `grep Ifname`. */
export const lldpQuery: ToolQuery<LldpNeighbour> = {
  begins: /^Chassis ID TLV/i,
  beginsFiltered: /^Ifname\s*:/i,
  parse: (lines) => {
    const portName = firstMatch(lines, /^Ifname\s*:\s*(\S.*)$/i);
    if (portName === undefined) return unknownReading("no name of a switch port");
    const isWhole = lines.some((line) => / TLV$/i.test(line));
    if (isWhole && !/^End of LLDPDU TLV$/i.test(lines.at(-1)!)) {
      return unknownReading(`port ${portName}, but the list breaks off`);
    }
    const systemName = lineAfter(lines, /^System Name TLV$/i);
    const maxFrameSize = wholeNumber(lineAfter(lines, /^Maximum Frame Size TLV$/i));
    const value: LldpNeighbour = {
      portName,
      ...(systemName === undefined ? {} : { systemName }),
      ...(maxFrameSize === undefined ? {} : { maxFrameSize }),
    };
    const where = systemName === undefined ? "" : ` of ${systemName}`;
    return reading("pass", `switch port ${portName}${where}`, value);
  },
};

/** Each TLV is followed by its text; another TLV in its place means that there is none. */
function lineAfter(lines: readonly string[], title: RegExp): string | undefined {
  const text = lines[lines.findIndex((line) => title.test(line)) + 1];
  if (!lines.some((line) => title.test(line)) || text === undefined) return undefined;
  return / TLV$/i.test(text) ? undefined : text;
}
