/** `/etc/hccn.conf`: what the driver sets the NPUs' NICs to at boot; by physical id. */
export interface HccnConf {
  readonly npus: ReadonlyMap<number, HccnConfNpu>;
  /** Lines that are no `key_N=value`. */
  readonly unknownLines: readonly string[];
}

export interface HccnConfNpu {
  readonly address?: string;
  readonly netmask?: string;
  readonly netdetect?: string;
  readonly gateway?: string;
  readonly tlsEnable?: string;
}

/** Ids and keys may be missing; keys that nobody asks for are passed over, of a key that comes twice the last counts. */
export function parseHccnConf(text: string): HccnConf {
  const npus = new Map<number, HccnConfNpu>();
  const unknownLines: string[] = [];
  for (const raw of text.split("\n")) {
    const line = raw.replaceAll("\r", "").trim();
    if (line === "" || line.startsWith("#")) continue;
    const match = /^([A-Za-z_]+?)_(\d{1,3})\s*=\s*(.*)$/.exec(line);
    if (match === null) {
      unknownLines.push(line);
      continue;
    }
    const key = KEYS[match[1] as keyof typeof KEYS];
    if (key === undefined) continue;
    const id = Number(match[2]);
    npus.set(id, { ...npus.get(id), [key]: match[3] });
  }
  return { npus, unknownLines };
}

const KEYS = {
  address: "address",
  netmask: "netmask",
  netdetect: "netdetect",
  gateway: "gateway",
  tls_enable: "tlsEnable",
} as const satisfies Record<string, keyof HccnConfNpu>;
