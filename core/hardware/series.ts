/**
 * What differs between Ascend server series: devices, driver files, image tags.
 *
 * A new series is a new row. Source: vllm-ascend docs `tutorials/features/ray.md` (container setup) and
 * `installation.md` ("Verify Multi-Node Communication"), read 2026-08.
 */
export interface HardwareSeries {
  /** NPUs of one server; `/dev/davinci0` … `/dev/davinci<n-1>`. */
  readonly npusPerNode: number;
  /** Memory of one NPU in GiB. */
  readonly npuMemoryGib: number;
  /** How npu-smi names these chips: the beginning of the name. */
  readonly chipName: string;
  /** Query of hccn_tool that asks an NPU of another node. */
  readonly pingVerb: "ping" | "hccs_ping";
  /** Device nodes that every container needs beside its `/dev/davinciN`. */
  readonly managerDevices: readonly string[];
  /** Driver files of the host that the container needs, read-only, at the same path. */
  readonly driverMounts: readonly DriverMount[];
}

/** One driver file or directory of the host. */
export interface DriverMount {
  /** Name under `hostPaths` by which a stack overrides where the host keeps it. */
  readonly key: HostPathKey;
  /** Where the driver's installer puts it, and where the container expects it. */
  readonly path: string;
  /** A missing file that a container mounted as a path comes back as a directory. */
  readonly type: "file" | "directory";
}

export const HOST_PATH_KEYS = [
  "dcmi",
  "hccnTool",
  "npuSmi",
  "driverLib64",
  "driverVersionInfo",
  "ascendInstallInfo",
  "hccnConf",
] as const;
export type HostPathKey = (typeof HOST_PATH_KEYS)[number];

const A2_DRIVER_MOUNTS: readonly DriverMount[] = [
  { key: "dcmi", path: "/usr/local/dcmi", type: "directory" },
  { key: "hccnTool", path: "/usr/local/Ascend/driver/tools/hccn_tool", type: "file" },
  { key: "npuSmi", path: "/usr/local/bin/npu-smi", type: "file" },
  { key: "driverLib64", path: "/usr/local/Ascend/driver/lib64", type: "directory" },
  { key: "driverVersionInfo", path: "/usr/local/Ascend/driver/version.info", type: "file" },
  { key: "ascendInstallInfo", path: "/etc/ascend_install.info", type: "file" },
  // Not in the Ray guide; needed for prefill/decode split and harmless elsewhere.
  { key: "hccnConf", path: "/etc/hccn.conf", type: "file" },
];

export const HARDWARE_SERIES = {
  /** Atlas 800I A2: 8 × 910B with 64 GB. */
  A2: {
    npusPerNode: 8,
    npuMemoryGib: 64,
    chipName: "910B",
    pingVerb: "ping",
    managerDevices: ["/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"],
    driverMounts: A2_DRIVER_MOUNTS,
  },
} as const satisfies Record<string, HardwareSeries>;

export type SeriesName = keyof typeof HARDWARE_SERIES;

/** Names of all known series, for the schema. */
export const SERIES_NAMES = Object.keys(HARDWARE_SERIES) as [SeriesName, ...SeriesName[]];

/** The row of a series. */
export function hardwareSeries(name: SeriesName): HardwareSeries {
  return HARDWARE_SERIES[name];
}

/**
 * Set-up scripts of CANN inside the image; an interactive shell of the vllm-ascend image sources them in
 * `.bashrc`, a container command does not.
 */
export const CANN_ENV_SCRIPTS = [
  "/usr/local/Ascend/ascend-toolkit/set_env.sh",
  "/usr/local/Ascend/nnal/atb/set_env.sh",
] as const;
