import { keyValues, reading, type ToolQuery, unknownReading, wholeNumber } from "../reading.js";

/** Queries that answer `key : value` lines, some indented by a tab. */

/** `info -t health -i N -c 0`. */
export const healthQuery: ToolQuery<{ readonly status: string; readonly errorCode?: string }> = {
  begins: /^Health( Status)?\s*:/i,
  parse: (lines) => {
    const table = listing(lines);
    const status = table.get("Health Status") ?? table.get("Health");
    if (status === undefined || status === "") return problemOf(lines, "no health status");
    const errorCode = table.get("Error Code");
    const value = { status, ...(errorCode === undefined ? {} : { errorCode }) };
    const hasCode = errorCode !== undefined && !/^(NA|0x0|0)$/i.test(errorCode);
    const detail = `health ${status}${hasCode ? `, error code ${errorCode}` : ""}`;
    if (status === "OK" && !hasCode) return reading("pass", detail, value);
    return reading(status === "OK" || status === "Warning" ? "warn" : "fail", detail, value);
  },
};

export interface NpuBoard {
  /** Of a card: version of the driver. */
  readonly driverVersion?: string;
  readonly firmwareVersion?: string;
  /** Of a card: whether driver and firmware fit, in the words of the tool. */
  readonly compatibility?: string;
  /** Of a chip. */
  readonly chipName?: string;
  readonly boardId: string;
}

/** `info -t board -i N`, and `-c 0` for the chip on it. */
export const boardQuery: ToolQuery<NpuBoard> = {
  begins: /^NPU ID\s*:/i,
  parse: (lines) => {
    const table = listing(lines);
    const part = (key: keyof NpuBoard, name: string) => {
      const text = table.get(name);
      return text === undefined || text === "" ? {} : { [key]: text };
    };
    const boardId = /^(0x[0-9a-f]{2,}|NA)$/i.exec(table.get("Board ID") ?? "")?.[0];
    const value = {
      ...part("driverVersion", "Software Version"),
      ...part("firmwareVersion", "Firmware Version"),
      ...part("compatibility", "Compatibility"),
      ...part("chipName", "Chip Name"),
      boardId: boardId ?? "",
    } as NpuBoard;
    const isCard = value.driverVersion !== undefined && value.compatibility !== undefined;
    const isChip = table.has("Chip ID") && value.chipName !== undefined;
    if (boardId === undefined || value.firmwareVersion === undefined || !(isCard || isChip)) {
      return problemOf(lines, "the list of the board is not whole");
    }
    if (!isCard) return reading("pass", `chip ${value.chipName}`, value);
    const detail = `driver ${value.driverVersion}, firmware ${value.firmwareVersion}, compatibility ${value.compatibility}`;
    return reading(value.compatibility === "OK" ? "pass" : "fail", detail, value);
  },
};

/** `info -t usages -i N`. */
export const usagesQuery: ToolQuery<{ readonly hbmMb: number; readonly hbmUsedPercent: number }> = {
  begins: /^NPU ID\s*:/i,
  parse: (lines) => {
    const table = listing(lines);
    const hbmMb = wholeNumber(table.get("HBM Capacity(MB)"));
    const hbmUsedPercent = wholeNumber(table.get("HBM Usage Rate(%)"));
    if (hbmMb === undefined || hbmUsedPercent === undefined || hbmUsedPercent > 100) {
      return problemOf(lines, "no capacity and use of the HBM");
    }
    const value = { hbmMb, hbmUsedPercent };
    return reading("pass", `${hbmMb} MB of HBM, ${hbmUsedPercent} % used`, value);
  },
};

export interface NpuMemoryErrors {
  readonly doubleBitErrors: number;
  readonly isolatedPages: number;
  readonly singleBitErrors: number;
}

/** `info -t ecc -i N`. */
export const eccQuery: ToolQuery<NpuMemoryErrors> = {
  begins: /^NPU ID\s*:/i,
  parse: (lines) => {
    const table = listing(lines);
    const sum = (pattern: RegExp) => {
      const texts = [...table].filter(([key]) => pattern.test(key)).map(([, text]) => text);
      const counts = texts.map(wholeNumber);
      const isWhole = counts.length > 0 && counts.every((count) => count !== undefined);
      return isWhole ? counts.reduce<number>((total, count) => total + count!, 0) : undefined;
    };
    const doubleBitErrors = sum(/^(DDR|HBM) Double Bit (Error Count|Aggregate Total Err Cnt)$/i);
    const singleBitErrors = sum(/^(DDR|HBM) Single Bit (Error Count|Aggregate Total Err Cnt)$/i);
    const isolatedPages = sum(/^(DDR|HBM) (Single|Double) Bit Isolated Pages Count$/i);
    const hasHbm = table.has("HBM Double Bit Error Count");
    const hasPages = table.has("HBM Double Bit Isolated Pages Count");
    if (
      doubleBitErrors === undefined ||
      singleBitErrors === undefined ||
      isolatedPages === undefined ||
      !(hasHbm && hasPages)
    ) {
      return problemOf(lines, "the counters of memory errors are not whole");
    }
    const value = { doubleBitErrors, isolatedPages, singleBitErrors };
    const detail = `${doubleBitErrors} double-bit errors, ${isolatedPages} isolated pages`;
    if (doubleBitErrors > 0) return reading("fail", detail, value);
    return reading(isolatedPages > 0 ? "warn" : "pass", detail, value);
  },
};

export interface NpuCommon {
  readonly chipTemperatureC?: number;
  readonly aicoreMhz?: number;
  readonly powerW?: number;
}

/** `info -t common -i N`: the key `Temperature(C)` comes twice, for the chip and for its controller. */
export const commonQuery: ToolQuery<NpuCommon> = {
  begins: /^NPU ID\s*:/i,
  parse: (lines) => {
    const all = keyValues(lines);
    const mcu = all.findIndex(([key, text]) => key === "Chip Name" && text === "mcu");
    const chip = new Map(mcu === -1 ? all : all.slice(0, mcu));
    const number = (key: string) => {
      const text = chip.get(key) ?? "";
      return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
    };
    const chipTemperatureC = number("Temperature(C)");
    const aicoreMhz = number("Aicore curFreq(MHZ)") ?? number("Aicore Freq(MHZ)");
    const powerW = number("NPU Real-time Power(W)");
    if (chipTemperatureC === undefined) return problemOf(lines, "no temperature of the chip");
    return reading("pass", `${chipTemperatureC} C`, {
      chipTemperatureC,
      ...(aicoreMhz === undefined ? {} : { aicoreMhz }),
      ...(powerW === undefined ? {} : { powerW }),
    });
  },
};

/** Of a key that comes twice the first value counts. */
function listing(lines: readonly string[]): ReadonlyMap<string, string> {
  return new Map([...keyValues(lines)].reverse());
}

/** The words of npu-smi for a number that it does not know, or what is missing. */
function problemOf<T>(lines: readonly string[], missing: string) {
  const words = lines.find((line) => /^(Invalid|Error parameter|Failed)\b/i.test(line));
  return unknownReading<T>(words ?? missing);
}
