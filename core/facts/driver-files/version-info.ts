/** `version.info` of the driver or of the firmware. */
export interface VersionInfo {
  readonly version: string;
  /** Versions of the other package that this one accepts; absent when the file names none. */
  readonly accepts?: readonly VersionInterval[];
}

export interface VersionInterval {
  readonly from: string;
  readonly to: string;
}

/** Reads `Version=` and the interval list of `key`; `undefined` when there is no version. */
export function parseVersionInfo(
  text: string,
  key: "compatible_version_fw" | "compatible_version_drv",
): VersionInfo | undefined {
  const values = new Map(
    text.split("\n").map((line) => {
      const [name = "", ...rest] = line.replaceAll("\r", "").split("=");
      return [name.trim(), rest.join("=").trim()] as const;
    }),
  );
  const version = values.get("Version");
  if (version === undefined || version === "") return undefined;
  const accepts = intervals(values.get(key) ?? "");
  return { version, ...(accepts === undefined ? {} : { accepts }) };
}

/** Whether a version lies in one of the intervals, both ends included. */
export function isAccepted(version: string, accepts: readonly VersionInterval[]): boolean {
  return accepts.some(
    ({ from, to }) =>
      compareVersions(version, from) >= 0 &&
      (compareVersions(version, to) <= 0 || hasPrefix(version, to)),
  );
}

/** Component by component; `rc3` comes before the release, a missing component counts as 0. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [components(a), components(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const order = compareComponents(left[index] ?? "0", right[index] ?? "0");
    if (order !== 0) return order;
  }
  return 0;
}

/** `[7.0.0,7.1.99]` or `[a,b],[c,d]`; a single value in brackets is an interval of one. */
function intervals(text: string): readonly VersionInterval[] | undefined {
  const found = [...text.matchAll(/\[([^\],]+)(?:,([^\]]*))?\]/g)].map((match) => ({
    from: match[1]!.trim(),
    to: (match[2] ?? match[1]!).trim(),
  }));
  return found.length === 0 ? undefined : found;
}

/** The upper end `23.0.0.` means 23.0.0 with any suffix. */
function hasPrefix(version: string, to: string): boolean {
  return to.endsWith(".") && `${version}.`.startsWith(to);
}

function components(version: string): readonly string[] {
  return version.toLowerCase().replace(/\.$/, "").split(".");
}

function compareComponents(a: string, b: string): number {
  const [left, right] = [rank(a), rank(b)];
  const index = left.findIndex((value, place) => value !== right[place]);
  return index === -1 ? 0 : left[index]! < right[index]! ? -1 : 1;
}

/** Kind, number, text: candidates come before numbers (23.0.rc3 < 23.0.0), builds after (23.0.rc3 < 23.0.rc3.b060). */
function rank(component: string): readonly [number, number, string] {
  const match = /^([a-z]*)(\d*)(.*)$/.exec(component)!;
  const isNumber = match[1] === "" && match[3] === "";
  const kind = isNumber ? 1 : /^(rc|alpha|beta)$/.test(match[1]!) ? 0 : 2;
  return [kind, Number(match[2] || 0), `${match[1]}${match[3]}`];
}
