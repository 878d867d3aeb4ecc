import {
  firstMatch,
  keyValues,
  type Reading,
  reading,
  type ToolQuery,
  unknownReading,
} from "../reading.js";

/** The optical module of an NPU's port. */
export interface OpticalModule {
  readonly isPresent: boolean;
  readonly lanes: readonly OpticalPower[];
  /** Receiver or transmitter without light or lock, as `Rx Los Flag`. */
  readonly raisedFlags: readonly string[];
  readonly problems: readonly string[];
}

export interface OpticalPower {
  readonly direction: "Tx" | "Rx";
  /** Absent where the module tells one value for all. */
  readonly lane?: number;
  readonly milliwatt: number;
}

/**
 * `-optical -g`: one power value, or one per lane. The wording of a module that is there is not known: only `not present` is a
 * fault. Rules as in mind-cluster `npu_info_parser.py`.
 */
export const opticalQuery: ToolQuery<OpticalModule> = {
  begins: /^optical info\s*:/i,
  parse: (lines) => {
    const table = keyValues(lines).filter(([, value]) => value !== "");
    if (table.length === 0) return sentenceReading(lines);
    const present = table.find(([key]) => key === "present")?.[1];
    const lanes = table.flatMap(opticalPower);
    const flags = table.filter(([key]) => FLAG_KEYS.includes(key));
    const isWhole =
      present !== undefined &&
      lanes.some(({ direction }) => direction === "Tx") &&
      lanes.some(({ direction }) => direction === "Rx") &&
      FLAG_KEYS.every((key) => flags.some(([flag]) => flag === key)) &&
      THRESHOLDS.every((key) => table.some(([other]) => other === key));
    const isAbsent = present !== undefined && /^not present$/i.test(present);
    const raisedFlags = flags.flatMap(([key, value]) => (value === "0x0" ? [] : [key]));
    const failures = [
      ...(isAbsent ? ["module not present"] : []),
      ...lanes.flatMap((power) => outsideOf(power, table)),
      ...flags.flatMap(([key, value]) => (value === "0x0" ? [] : [`${key} ${value}`])),
    ];
    const warnings = [
      ...outside("temperature", "Temp", "C", table),
      ...outside("Vcc", "Vcc", "mV", table),
    ];
    const value = {
      isPresent: !isAbsent,
      lanes,
      raisedFlags,
      problems: [...failures, ...warnings],
    };
    if (failures.length > 0) return reading("fail", failures.join(", "), value);
    if (!isWhole) return { ...unknownReading("the table of the module is not whole"), value };
    return warnings.length > 0
      ? reading("warn", warnings.join(", "), value)
      : reading("pass", `module present, ${lanes.length} power values within limits`, value);
  },
};

/** Some modules give no table, but one sentence: their control link cannot be reached. */
function sentenceReading(lines: readonly string[]): Reading<OpticalModule> {
  const sentence = firstMatch(
    lines,
    /^((?=.*\b(?:optical|module|i2c|control)\b).*\b(?:not|cannot|can't|unable|fail\w*|unreachable|abnormal)\b.*)$/i,
  );
  return sentence === undefined
    ? unknownReading("no table of the module")
    : reading("fail", sentence, {
        isPresent: false,
        lanes: [],
        raisedFlags: [],
        problems: [sentence],
      });
}

function opticalPower([key, value]: readonly [string, string]): OpticalPower[] {
  const name = /^(Tx|Rx) Power(\d*)$/.exec(key);
  const milliwatt = quantity(value, "mW");
  if (name === null || milliwatt === undefined) return [];
  const lane = name[2] === "" ? {} : { lane: Number(name[2]) };
  return [{ direction: name[1] as "Tx" | "Rx", ...lane, milliwatt }];
}

function outsideOf({ direction, lane, milliwatt }: OpticalPower, table: Table): string[] {
  const name = `${direction} power${lane === undefined ? "" : ` of lane ${lane}`}`;
  return limits(`${direction}Power`, "mW", table).flatMap(([low, high]) =>
    milliwatt < low || milliwatt > high
      ? [`${name} ${milliwatt} mW is outside ${low}-${high} mW`]
      : [],
  );
}

function outside(key: string, threshold: string, unit: string, table: Table): string[] {
  const value = quantity(table.find(([other]) => other === key)?.[1], unit);
  if (value === undefined) return [];
  return limits(threshold, unit, table).flatMap(([low, high]) =>
    value < low || value > high
      ? [`${key} ${value} ${unit} is outside ${low}-${high} ${unit}`]
      : [],
  );
}

function limits(name: string, unit: string, table: Table): [low: number, high: number][] {
  const of = (side: string) =>
    quantity(table.find(([key]) => key === `${name} ${side} Thres`)?.[1], unit);
  const [low, high] = [of("Low"), of("High")];
  return low === undefined || high === undefined ? [] : [[low, high]];
}

function quantity(text: string | undefined, unit: string): number | undefined {
  const match = /^(-?\d+(?:\.\d+)?) (\w+)$/.exec(text ?? "");
  return match?.[2] === unit ? Number(match[1]) : undefined;
}

type Table = readonly (readonly [string, string])[];
const FLAG_KEYS = ["Tx Los Flag", "Rx Los Flag", "Tx LoL Flag", "Rx LoL Flag"];
const THRESHOLDS = [
  ...["TxPower High Thres", "TxPower Low Thres"],
  ...["RxPower High Thres", "RxPower Low Thres"],
];
