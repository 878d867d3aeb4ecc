import { shellJoin, shellQuote } from "../core/render/quote.js";
import { judgeSmoke, type SmokeNodeRun, type SmokeResult } from "../core/smoke/judge-smoke.js";
import {
  type SmokeNode,
  type SmokePlan,
  smokeCommand,
  smokeRequest,
} from "../core/smoke/smoke-plan.js";
import { readNodeScript } from "./package-files.js";
import { type NodeRun, runOnNode } from "./ssh.js";

/** Runs the smoke run on all nodes at once; the processes find each other through the head's. */
export async function runSmoke(
  plan: SmokePlan,
  options: { readonly isForced: boolean },
): Promise<SmokeResult> {
  const [head, ...others] = plan.nodes;
  const script = readNodeScript("smoke.py");
  const start = (
    node: SmokeNode,
    coordinatorPort: number | null,
    onOutput?: (text: string) => void,
  ) =>
    runOnNode(node, {
      text: hostScript(
        plan,
        node,
        script,
        smokeRequest(plan, node, { ...options, coordinatorPort }),
      ),
      as: "root",
      deadlineSec: plan.limitSec + 90,
      ...(onOutput === undefined ? {} : { onOutput }),
    });

  let printed = "";
  const members: Promise<NodeRun>[] = [];
  const headRun = await start(head!, null, (text) => {
    printed += text;
    const port = /^\{"listening": (\d+)\}$/m.exec(printed)?.[1];
    if (port === undefined || members.length > 0) return;
    members.push(...others.map((node) => start(node, Number(port))));
  });
  const runs: SmokeNodeRun[] = [{ ...headRun, stdout: printed }, ...(await Promise.all(members))];
  return judgeSmoke(plan, runs);
}

/** In the container that runs, else in one like it that is removed afterwards. Changes nothing else on the host. */
function hostScript(
  plan: SmokePlan,
  node: SmokeNode,
  script: string,
  request: Readonly<Record<string, unknown>>,
): string {
  const container = shellQuote(plan.containerName);
  return `main() {
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lock=${shellQuote(`${plan.baseDir}/lock`)}
if [ -e "$lock" ]; then
  exec 9>>"$lock"
  flock -w 60 9 || { echo "vllm-cluster smoke: another change holds $lock for more than 60 s; try again when it has ended" >&2; exit 1; }
fi
if [ "$(timeout -k 2 20 docker container inspect --format '{{.State.Running}}' ${container} 2>/dev/null </dev/null)" = true ]; then
  run=(docker exec -i ${container})
else
  run=(docker run --rm -i --pull=never ${shellQuote(`--name=${plan.containerName}-smoke`)} --entrypoint= ${shellJoin(node.container)})
fi
timeout -k 10 ${plan.limitSec + 60} "\${run[@]}" ${shellJoin(smokeCommand(script))} 9>&- <<'END-OF-REQUEST'
${JSON.stringify(request)}
END-OF-REQUEST
}
main
`;
}
