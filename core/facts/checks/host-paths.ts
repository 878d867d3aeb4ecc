import { type DriverMount, HARDWARE_SERIES, type HostPathKey } from "../../hardware/series.js";
import type { Check, CheckContext, Finding } from "../check.js";
import { deviation, unknownFact } from "../check.js";
import { modelConfig } from "../facts-request.js";
import type { HostFacts, PathFact } from "../host-facts.js";

/** Whether the planned device nodes are there. */
export const devicesCheck: Check = { name: "devices", needs: ["root"], judge: judgeDevices };

/** Whether what the container mounts is there. */
export const mountsCheck: Check = { name: "mounts", needs: ["root"], judge: judgeMounts };

/** Whether the directory of the weights holds a model. */
export const modelCheck: Check = { name: "model", needs: ["root"], judge: judgeModel };

const CHARACTER_DEVICE = "character special file";

function judgeDevices({ node, facts }: CheckContext): readonly Finding[] {
  const { missing, unknown, found } = sortPaths(facts, node.devices);
  const wrongType = found.filter(({ type }) => type !== CHARACTER_DEVICE);
  const findings = [...unknown];
  if (missing.length > 0) {
    findings.push({
      code: "DEVICE_MISSING",
      result: "fail",
      detail: `not there: ${missing.join(", ")}`,
      fix: "see `npu-smi info` and `dmesg` for the driver of these NPUs; or plan fewer with nodes[].visibleDevices",
    });
  }
  if (wrongType.length > 0) {
    findings.push({
      code: "DEVICE_MISSING",
      result: "fail",
      detail: `no character device: ${wrongType.map(({ path, type }) => `${path} is a ${type}`).join(", ")}`,
      fix: "remove it and load the NPU driver again (a container that mounts a missing device as a path leaves a directory)",
    });
  }
  return findings;
}

function judgeMounts({ node, facts }: CheckContext): readonly Finding[] {
  // The weights have a check of their own.
  const paths = node.mounts.filter((path) => path !== node.modelPath);
  const { missing, unknown, found } = sortPaths(facts, paths);
  const isMoved = (path: string) => facts.elsewhere.has(path);
  const isDriver = (path: string) => hostPathKey(path) !== undefined;
  return [
    ...unknown,
    ...wrongTypes(found),
    ...missing.filter(isMoved).map((path) => movedMount(path, facts.elsewhere.get(path)!)),
    ...missingMounts(
      missing.filter((path) => !isMoved(path) && isDriver(path)),
      "install the NPU driver; or set hostPaths to where this host keeps these files",
    ),
    ...missingMounts(
      missing.filter((path) => !isMoved(path) && !isDriver(path)),
      "create it or mount the file system that holds it; or correct container.mounts",
    ),
  ];
}

/** `docker run -v` of a path that was missing has left a directory there. */
function wrongTypes(found: SortedPaths["found"]): readonly Finding[] {
  const wrong = found.flatMap(({ path, type }) => {
    const planned = driverMount(path)?.type;
    const isDirectory = type === "directory";
    return planned === undefined || isDirectory === (planned === "directory")
      ? []
      : [`${path} is a ${type}, not a ${planned}`];
  });
  if (wrong.length === 0) return [];
  return [
    {
      code: "MOUNT_TYPE",
      result: "fail",
      detail: wrong.join(", "),
      fix: "remove it and install the NPU driver again (a container that mounts a missing file leaves a directory)",
    },
  ];
}

function movedMount(path: string, other: string): Finding {
  return {
    code: "MOUNT_MISSING",
    result: "fail",
    detail: `${path} is not there, but ${other} is`,
    fix: `set ${mountField(path)}: ${other}`,
  };
}

/** One finding for all of one cause: without the driver, every file of it is missing. */
function missingMounts(paths: readonly string[], fix: string): readonly Finding[] {
  if (paths.length === 0) return [];
  return [{ code: "MOUNT_MISSING", result: "fail", detail: `not there: ${paths.join(", ")}`, fix }];
}

function mountField(path: string): string {
  const key = hostPathKey(path);
  return key === undefined ? "the source in container.mounts" : `hostPaths.${key}`;
}

/** The key of the stack file for a driver file, by its usual place or, where the stack moved it, by its name. */
function hostPathKey(path: string): HostPathKey | undefined {
  return driverMount(path)?.key;
}

function driverMount(path: string): DriverMount | undefined {
  const mounts: readonly DriverMount[] = Object.values(HARDWARE_SERIES).flatMap(
    (series) => series.driverMounts,
  );
  const name = (file: string) => file.slice(file.lastIndexOf("/") + 1);
  return (
    mounts.find((mount) => mount.path === path) ??
    mounts.find((mount) => name(mount.path) === name(path))
  );
}

function judgeModel(context: CheckContext): readonly Finding[] {
  const { node, facts } = context;
  const { modelPath, isModelPresent } = node;
  // A download is staged later, and tells its own troubles.
  if (!isModelPresent) return [];
  const config = modelConfig(node);
  const directory = facts.paths.get(modelPath);
  const missing = (detail: string, fix: string): readonly Finding[] => [
    { code: "MODEL_MISSING", result: "fail", detail, fix },
  ];
  if (directory?.state === "missing") {
    return missing(
      `${modelPath} is not there`,
      "copy the weights there, mount the file system that holds them, or correct model.path",
    );
  }
  if (directory?.state === "found" && directory.type !== "directory") {
    return missing(
      `${modelPath} is a ${directory.type}`,
      "set model.path to the directory of the weights",
    );
  }
  if (facts.paths.get(config)?.state === "missing") {
    return missing(
      `${modelPath} holds no config.json`,
      "finish the copy of the weights, mount the file system, or correct model.path",
    );
  }
  const { unknown } = sortPaths(facts, [modelPath, config]);
  return unknown.length > 0 ? unknown : judgeModelFiles(context);
}

/** The weights must be the same on all nodes; a file system that all share is so by itself. */
function judgeModelFiles(context: CheckContext): readonly Finding[] {
  const { modelPath } = context.node;
  const own = context.facts.models.get(modelPath);
  if (own?.state !== "found") return [unknownFact(`files of ${modelPath}`, own?.reason)];
  const differs = (what: string): readonly Finding[] => [
    {
      code: "MODEL_DIFFERS",
      result: "fail",
      detail: `${modelPath}: ${what}`,
      fix: "finish or repeat the copy of the weights, so that all nodes have one revision",
    },
  ];
  for (const file of own.hashes.keys()) {
    const found = deviation(context, ({ facts }) => foundModel(facts, modelPath)?.hashes.get(file));
    if (found !== undefined) return differs(`${file} is not the one of ${found.example}`);
  }
  const found = deviation(context, ({ facts }) => sizeList(foundModel(facts, modelPath)));
  if (found === undefined) return [];
  return differs(`${firstDifference(found.own, found.others)}, unlike on ${found.example}`);
}

function foundModel(facts: HostFacts, path: string) {
  const model = facts.models.get(path);
  return model?.state === "found" ? model : undefined;
}

function sizeList(model: ReturnType<typeof foundModel>): string | undefined {
  if (model === undefined) return undefined;
  return [...model.sizes]
    .map(([name, size]) => `${name} has ${size} bytes`)
    .sort()
    .join("\n");
}

function firstDifference(own: string, others: string): string {
  const [ours, theirs] = [own.split("\n"), others.split("\n")];
  const extra = ours.find((line) => !theirs.includes(line));
  if (extra !== undefined) return extra === "" ? "there are no files" : extra;
  const missing = theirs.find((line) => !ours.includes(line)) ?? "";
  return `${missing.split(" has ")[0]} is missing`;
}

interface SortedPaths {
  readonly missing: readonly string[];
  readonly unknown: Finding[];
  readonly found: readonly { readonly path: string; readonly type: string }[];
}

function sortPaths(facts: HostFacts, paths: readonly string[]): SortedPaths {
  const states = paths.map((path) => ({ path, fact: facts.paths.get(path) }));
  const isUnknown = (fact: PathFact | undefined) => fact === undefined || fact.state === "error";
  return {
    missing: states.filter(({ fact }) => fact?.state === "missing").map(({ path }) => path),
    unknown: states
      .filter(({ fact }) => isUnknown(fact))
      .map(({ path, fact }) =>
        unknownFact(path, fact?.state === "error" ? fact.reason : undefined),
      ),
    found: states.flatMap(({ path, fact }) =>
      fact?.state === "found" ? [{ path, type: fact.type }] : [],
    ),
  };
}
