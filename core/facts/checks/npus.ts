import { hardwareSeries } from "../../hardware/series.js";
import type { Check, CheckContext, Finding, KnownHost } from "../check.js";
import { deviation, unknownFact } from "../check.js";
import { isAccepted, parseVersionInfo, type VersionInfo } from "../driver-files/version-info.js";
import { firmwareVersionInfo } from "../facts-request.js";
import type { ContainerDevices, ProcessFact } from "../host-facts.js";
import { fileText } from "../host-facts.js";
import { readingFinding, smiReading } from "../npu-readings.js";
import type { NpuChip } from "../npu-smi/info.js";
import { ownContainerId } from "./network.js";

/** Whether the planned chips are there and well. */
export const npusCheck: Check = { name: "npus", needs: ["root"], judge: judgeNpus };

/** Whether nobody else uses them. */
export const freeCheck: Check = { name: "free", needs: ["root", "docker"], judge: judgeFree };

/** Whether driver and firmware fit each other, and are the same on all nodes. */
export const driverCheck: Check = { name: "driver", needs: ["root"], judge: judgeDriver };

function judgeNpus(context: CheckContext): readonly Finding[] {
  const { facts, node } = context;
  const hanging = hangingTools(context);
  const info = smiReading(facts, "all", "info");
  const chips = info.value?.chips ?? [];
  const findings: Finding[] = [...hanging];
  if (info.verdict === "unknown" && facts.npuOutputs.get("all npu-smi info")?.state !== "hangs") {
    findings.push(
      ...readingFinding(info, { code: "FACT_UNKNOWN", what: "the list of npu-smi", fix: "" }),
    );
  }
  if (info.verdict !== "unknown") {
    findings.push(...node.npus.flatMap((npu) => judgeChip(context, npu, chipOf(chips, npu))));
    findings.push(...mixedChips(context));
  }
  for (const npu of node.npus) findings.push(...judgeBoard(context, npu));
  return findings;
}

/** A tool that hangs is a fault of the driver by itself, whatever else is not known because of it. */
function hangingTools({ facts, node }: CheckContext): readonly Finding[] {
  return [...facts.npuOutputs]
    .filter(([, output]) => output.state === "hangs")
    .map(([key]) => key.split(" ") as [string, string, string])
    .filter(
      ([npu, tool], index, all) => all.findIndex(([a, b]) => a === npu && b === tool) === index,
    )
    .map(([npu, tool, query]) => ({
      code: "NPU_TOOL_HANGS",
      result: "fail",
      detail: `${tool} gives no answer to the query ${query} within its time`,
      fix: `dmesg | grep -i -e davinci -e npu; reset the NPU or reboot ${node.name} if it stays`,
      ...(npu === "all" ? {} : { npu: Number(npu) }),
    }));
}

function judgeChip(
  { plan, node }: CheckContext,
  npu: number,
  chip: NpuChip | undefined,
): readonly Finding[] {
  const { chipName } = hardwareSeries(plan.series);
  const { npuMemoryGib } = node;
  if (chip === undefined) {
    return [
      {
        code: "NPU_MISSING",
        result: "fail",
        detail: "npu-smi does not list it",
        fix: "dmesg tells why; a chip that fell off the bus needs a reboot; or plan fewer with nodes[].visibleDevices",
        npu,
      },
    ];
  }
  const findings: Finding[] = [];
  if (chip.health !== "OK") {
    findings.push({
      code: "NPU_HEALTH",
      result: chip.health === "Warning" ? "warn" : "fail",
      detail: `health ${chip.health}`,
      fix: `npu-smi info -t health -i ${chip.npuId} -c ${chip.chipId} gives the error code`,
      npu,
    });
  }
  if (!chip.name.startsWith(chipName)) {
    findings.push({
      code: "NPU_SERIES",
      result: "fail",
      detail: `the chip is a ${chip.name}, series ${plan.series} has ${chipName}`,
      fix: "correct series, and take the image of the chip's series",
      npu,
    });
  }
  if (chip.hbmTotalMb < npuMemoryGib * 1024 * 0.95) {
    findings.push({
      code: "HBM_SIZE",
      result: "fail",
      detail: `${chip.hbmTotalMb} MB of memory, ${npuMemoryGib * 1024} MB are planned`,
      fix: "plan a layout for this memory, or take other servers",
      npu,
    });
  }
  return findings;
}

function mixedChips(context: CheckContext): readonly Finding[] {
  const { chipName } = hardwareSeries(context.plan.series);
  const other = deviation(context, ({ facts, node }) => {
    const chips = smiReading(facts, "all", "info").value?.chips ?? [];
    const names = node.npus.flatMap((npu) => chipOf(chips, npu)?.name ?? []);
    // A chip of another series is a finding of its own.
    return names.length === 0 || !names.every((name) => name.startsWith(chipName))
      ? undefined
      : [...new Set(names)].sort().join(", ");
  });
  if (other === undefined) return [];
  return [
    {
      code: "NPU_SERIES",
      result: "warn",
      detail: `chips ${other.own} here, ${other.others} on ${other.example}: the slower ones decide the speed`,
      fix: "group servers with the same chips",
    },
  ];
}

function judgeBoard({ facts }: CheckContext, npu: number): readonly Finding[] {
  // A tool that hangs or is missing is a finding of its own.
  const isSilent = (query: string) => {
    const output = facts.npuOutputs.get(`${npu} npu-smi ${query}`);
    return output !== undefined && output.state !== "ended";
  };
  const board = smiReading(facts, npu, "board");
  const ecc = smiReading(facts, npu, "ecc");
  const install = "install the firmware that belongs to the driver";
  const replace = "have the NPU replaced; leave it out with nodes[].visibleDevices";
  return [
    ...(isSilent("board")
      ? []
      : readingFinding(board, { code: "DRIVER_FIRMWARE", what: "the board", fix: install, npu })),
    ...(isSilent("ecc")
      ? []
      : readingFinding(ecc, { code: "NPU_ECC", what: "memory errors", fix: replace, npu })),
  ];
}

function judgeFree(context: CheckContext): readonly Finding[] {
  return [...judgeProcesses(context), ...judgeHolders(context), ...judgeContainers(context)];
}

function judgeProcesses({ plan, node, facts }: CheckContext): readonly Finding[] {
  const info = smiReading(facts, "all", "info");
  if (info.value === undefined || info.verdict === "unknown") {
    return [unknownFact("use of the NPUs", info.detail)];
  }
  const { chips, processes } = info.value;
  if (processes === undefined) return [unknownFact("processes on the NPUs", "npu-smi lists none")];
  const own = ownContainerId(plan, facts);
  return node.npus.flatMap((npu) => {
    const chip = chipOf(chips, npu);
    const rows = processes.filter(
      ({ npuId, chipId }) => npuId === chip?.npuId && chipId === chip.chipId,
    );
    const foreign = rows.filter(({ pid }) => {
      const containerId = facts.npuProcesses.get(pid)?.containerId ?? "";
      return own === undefined || containerId !== own;
    });
    const held = foreign.map(({ pid, name, memory, memoryUnit }): Finding => {
      const known = facts.npuProcesses.get(pid);
      return {
        code: "NPU_BUSY",
        result: "fail",
        detail: `used by ${processText(pid, known ?? { name: "", containerId: "" }, name)}, ${memory} ${memoryUnit}`,
        fix: stopText(pid, known),
        npu,
      };
    });
    const isLeftOver =
      rows.length === 0 && own === undefined && (chip?.hbmUsedMb ?? 0) >= IDLE_HBM_MB;
    if (!isLeftOver) return held;
    return [
      {
        code: "HBM_USED",
        result: "warn",
        detail: `${chip!.hbmUsedMb} of ${chip!.hbmTotalMb} MB are in use although no process is listed`,
        fix: "look again after a minute; what stays needs a reset of the NPU or a reboot of the host",
        npu,
      },
    ];
  });
}

/** Those that npu-smi does not show, such as one that is just starting. */
function judgeHolders({ plan, node, facts }: CheckContext): readonly Finding[] {
  if (!facts.areHoldersKnown) {
    return [unknownFact("processes that hold the device nodes", facts.holdersError)];
  }
  const own = ownContainerId(plan, facts);
  return facts.holders
    .filter(({ containerId }) => own === undefined || containerId !== own)
    .filter(({ npu, pid }) => node.npus.includes(npu) && !facts.npuProcesses.has(pid))
    .map(({ npu, pid, ...process }) => ({
      code: "NPU_BUSY",
      result: "fail",
      detail: `/dev/davinci${npu} is held open by ${processText(pid, process, "")}`,
      fix: stopText(pid, process),
      npu,
    }));
}

/** A chip that a container has opened cannot be used from another one. A stopped one of this product will start again. */
function judgeContainers({ plan, node, facts }: CheckContext): readonly Finding[] {
  if (!facts.areContainersKnown) return [unknownFact("containers", facts.containersError)];
  return facts.containerDevices
    .filter(({ id, name }) => id !== ownContainerId(plan, facts) && name !== plan.containerName)
    .flatMap((container) => {
      const npus = node.npus.filter((npu) => maps(container, npu));
      const isActive = ["running", "paused", "restarting"].includes(container.status);
      if (npus.length === 0) return [];
      const by = container.owner === "" ? "" : ` of stack ${container.owner}`;
      return npus.map(
        (npu): Finding => ({
          code: "NPU_CLAIMED",
          result: isActive || container.owner !== "" ? "fail" : "warn",
          detail: `container ${container.name}${by} maps it (${container.status})`,
          fix: "have that container removed by its owner, or take other NPUs with nodes[].visibleDevices",
          npu,
        }),
      );
    });
}

function maps({ devices, ascendVisibleDevices }: ContainerDevices, npu: number): boolean {
  return (
    devices.includes(`/dev/davinci${npu}`) ||
    ascendVisibleDevices.split(",").some((part) => {
      const [first, last = first] = part.split("-").map((text) => Number(text || Number.NaN));
      return first !== undefined && first <= npu && npu <= last!;
    })
  );
}

function processText(pid: number, { name, containerId }: ProcessFact, shown: string): string {
  const container = containerId === "" ? "" : `, container ${containerId.slice(0, 12)}`;
  if (name !== "") return `${name} (pid ${pid}${container})`;
  return `${shown || "a process"} (pid ${pid}, which is gone or not visible on the host)`;
}

function stopText(pid: number, process: ProcessFact | undefined): string {
  return process !== undefined && process.containerId !== ""
    ? "see whose container it is (docker ps), and have it stopped"
    : `see whose it is (ps -fp ${pid}), and have it stopped`;
}

function judgeDriver(context: CheckContext): readonly Finding[] {
  const { node, facts } = context;
  const { driverVersionInfo } = node.driverPaths;
  const driver = versionInfo(context, driverVersionInfo, "compatible_version_fw");
  const firmware = versionInfo(context, firmwareVersionInfo(node), "compatible_version_drv");
  const running = smiReading(facts, "all", "info").value?.version;
  return [
    ...(driver === undefined ? [unknownFact(driverVersionInfo, "no version in it")] : []),
    ...(driver === undefined || firmware === undefined ? [] : judgePair(driver, firmware)),
    ...(driver !== undefined && firmware === undefined
      ? [unknownFact(firmwareVersionInfo(node), "no version in it")]
      : []),
    ...(driver !== undefined && running !== undefined && running !== driver.version
      ? [otherRunning(driver.version, running)]
      : []),
    ...driverDiffers(context),
  ];
}

/** The files name the installed driver, npu-smi the one that runs. */
function otherRunning(installed: string, running: string): Finding {
  return {
    code: "DRIVER_DIFFERS",
    result: "warn",
    detail: `driver ${installed} is installed, npu-smi tells ${running}`,
    fix: "reboot the host after the installation of a driver",
  };
}

function judgePair(driver: VersionInfo, firmware: VersionInfo): readonly Finding[] {
  const sides = [
    driver.accepts === undefined ? undefined : isAccepted(firmware.version, driver.accepts),
    firmware.accepts === undefined ? undefined : isAccepted(driver.version, firmware.accepts),
  ];
  if (!sides.includes(false)) return [];
  const isBoth = !sides.includes(true);
  const who = isBoth
    ? "neither accepts the other"
    : sides[0] === false
      ? "the driver does not accept the firmware"
      : "the firmware does not list the driver";
  return [
    {
      code: "DRIVER_FIRMWARE",
      result: isBoth ? "fail" : "warn",
      detail: `driver ${driver.version} and firmware ${firmware.version}: ${who}`,
      fix: "install driver and firmware of one release",
    },
  ];
}

function driverDiffers(context: CheckContext): readonly Finding[] {
  const version = (host: KnownHost) =>
    versionInfo(host, host.node.driverPaths.driverVersionInfo, "compatible_version_fw")?.version;
  const other = deviation(context, version);
  if (other === undefined) return [];
  return [
    {
      code: "DRIVER_DIFFERS",
      result: "fail",
      detail: `driver ${other.own}, ${other.example} has ${other.others}`,
      fix: "install one version of the driver on all nodes",
    },
  ];
}

function versionInfo(
  { facts }: Pick<KnownHost, "facts">,
  path: string,
  key: Parameters<typeof parseVersionInfo>[1],
): VersionInfo | undefined {
  return parseVersionInfo(fileText(facts.files.get(path)) ?? "", key);
}

/** By physical id where npu-smi tells it (A3), else the NPU's own id. */
function chipOf(chips: readonly NpuChip[], npu: number): NpuChip | undefined {
  return chips.find(({ npuId, physicalId }) => (physicalId ?? npuId) === npu);
}

/** An idle chip shows 2.8 to 4.6 GB, the share of the driver. */
const IDLE_HBM_MB = 5000;
