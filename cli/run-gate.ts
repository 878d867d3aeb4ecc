import { gateRequest, loginRequest } from "../core/facts/facts-request.js";
import { parseHostFacts, parsePeerFacts } from "../core/facts/host-facts.js";
import {
  type GateResult,
  type HostReport,
  judgeGate,
  knownHosts,
  LOGIN_CHECKS,
} from "../core/facts/judge-gate.js";
import { HOST_MOST_SEC, peerRequest } from "../core/facts/peer-request.js";
import type { GatePlan } from "../core/plan/gate-plan.js";
import { readNodeScript } from "./package-files.js";
import { runOnNode } from "./ssh.js";

/** Seconds that the two phases have taken. */
export interface GateTimes {
  readonly hostsSec: number;
  readonly peersSec: number;
}

/**
 * Asks all hosts about themselves, then those that have answered about each other: one login per host and phase. Changes nothing
 * on any host.
 */
export async function runGate(
  plan: GatePlan,
  options: { readonly isFull: boolean },
): Promise<{ readonly result: GateResult; readonly times: GateTimes }> {
  const begin = nowSec();
  const reports = await Promise.all(
    plan.nodes.map((node) => askHost(node, gateRequest(plan, node))),
  );
  const middle = nowSec();
  const hosts = knownHosts(plan, reports);
  const complete: HostReport[] = [...reports];
  await Promise.all(
    hosts.map(async (host) => {
      const asked = peerRequest(plan, host, hosts, options.isFull);
      if (asked === undefined) return;
      const run = await runOnNode(host.node, {
        text: script(asked.request),
        as: "login",
        deadlineSec: asked.limitSec + 20,
      });
      const peers = run.failure ?? parsePeerFacts(run.stdout);
      const report = complete[host.index]!;
      complete[host.index] = { ...report, peers, stderr: `${report.stderr}${run.stderr}` };
    }),
  );
  return {
    result: judgeGate(plan, complete, options),
    times: { hostsSec: middle - begin, peersSec: nowSec() - middle },
  };
}

/** Asks all hosts for no more than what a login needs. */
export async function runLogins(plan: GatePlan): Promise<GateResult> {
  const reports = await Promise.all(plan.nodes.map((node) => askHost(node, loginRequest())));
  return judgeGate(plan, reports, { isFull: false, checks: LOGIN_CHECKS });
}

async function askHost(node: GatePlan["nodes"][number], request: string): Promise<HostReport> {
  const askedSec = nowSec();
  const { stdout, stderr, failure } = await runOnNode(node, {
    text: script(request),
    // The script becomes root by itself, because it also checks what the login user can do.
    as: "login",
    deadlineSec: HOST_MOST_SEC,
  });
  return {
    stderr,
    askedSec,
    answeredSec: nowSec(),
    ...(failure === undefined ? { facts: parseHostFacts(stdout) } : { failure }),
  };
}

/** Functions first: only the last file runs something. */
function script(request: string): string {
  const parts = ["npu-facts.sh", "peer-facts.sh", "facts.sh"].map(readNodeScript);
  return `${parts.join("")}${request}`;
}

function nowSec(): number {
  return Date.now() / 1000;
}
