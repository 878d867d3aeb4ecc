import type { GateNode, GatePlan } from "../plan/gate-plan.js";
import type { HostFacts } from "./host-facts.js";

/** Stable names of findings: docs/preflight.md explains each, and a later release may accept one by its name. */
export const FINDING_CODES = [
  "NODE_UNREACHABLE",
  "HOST_KEY",
  "SSH_AGENT",
  "SSH_KEY",
  "SSH_CLIENT",
  "FACTS_INCOMPLETE",
  "FACT_UNKNOWN",
  "SUDO_MISSING",
  "TOOLS_MISSING",
  "SYSTEMD_MISSING",
  "DOCKER_DOWN",
  "DOCKER_LOGIN",
  "DEVICE_MISSING",
  "MOUNT_MISSING",
  "MODEL_MISSING",
  "MODEL_LAYOUT",
  "MEMORY_FIT",
  "MEMORY_TIGHT",
  "MEMORY_UNKNOWN",
  "IMAGE_MISSING",
  "IMAGE_UNKNOWN",
  "ADDRESS_NOT_ON_INTERFACE",
  "INTERFACE_DOWN",
  "PORT_BUSY",
  "OWNER_FOREIGN",
  "NODE_MOVED",
  "CONTAINER_FOREIGN",
] as const;
export type FindingCode = (typeof FINDING_CODES)[number];

/** What a check has found on one host. `unknown` is never a pass: it could not be judged, and says why. */
export interface Finding {
  readonly code: FindingCode;
  readonly result: "fail" | "warn" | "unknown";
  /** What was seen, with names and values. */
  readonly detail: string;
  /** What to do: a command for the host, or a field of the stack file. */
  readonly fix: string;
}

export interface CheckContext {
  readonly plan: GatePlan;
  readonly node: GateNode;
  readonly facts: HostFacts;
}

/** One column of the gate's table. */
export interface Check {
  readonly name: string;
  /** Facts without which it cannot be judged; whoever is missing says so in a column of its own. */
  readonly needs: readonly ("root" | "docker")[];
  /** No finding = pass. */
  readonly judge: (context: CheckContext) => readonly Finding[];
}

/** For a fact that should be there and is not, or that the host could not tell. */
export function unknownFact(what: string, reason: string | undefined): Finding {
  return {
    code: "FACT_UNKNOWN",
    result: "unknown",
    detail: `${what} could not be judged: ${reason === undefined || reason === "" ? "the host gave no answer" : reason}`,
    fix: "run the check by hand on the host; the start goes on and may fail there",
  };
}
