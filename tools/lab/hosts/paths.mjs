import { join } from "node:path";
import { labDir } from "../build/paths.mjs";

/** One directory per lab, named after its id. */
export const runDir = join(labDir, "run");

/** @param {string} id */
export function labPaths(id) {
  const dir = join(runDir, id);
  return {
    dir,
    /** What was asked for; written by `labUp`. */
    config: join(dir, "config.json"),
    /** The supervisor and what it holds in the kernel; written before it holds anything. */
    supervisor: join(dir, "supervisor.json"),
    supervisorLog: join(dir, "supervisor.log"),
    /** The lab as its users see it. */
    record: join(dir, "lab.json"),
    control: join(dir, "control"),
    agent: join(dir, "agent"),
    key: join(dir, "id_ed25519"),
    knownHosts: join(dir, "known_hosts"),
    /** State of the NPU network: one directory per node, visible to all hosts of the lab. */
    fabric: join(dir, "fabric"),
    /** @param {string} node */
    node: (node) => nodePaths(join(dir, "nodes", node)),
  };
}

/** @param {string} dir */
function nodePaths(dir) {
  return {
    dir,
    /** Upper directory of the host's root file system: all that the host ever wrote. */
    upper: join(dir, "upper"),
    work: join(dir, "work"),
    root: join(dir, "root"),
    docker: join(dir, "docker"),
    containerd: join(dir, "containerd"),
    console: join(dir, "console.log"),
  };
}
