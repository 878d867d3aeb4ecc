import type { Check, CheckContext, Finding } from "../check.js";
import { unknownFact } from "../check.js";
import { nodeFile, ownerFile, stagedFile } from "../facts-request.js";
import { type FileFact, fileText } from "../host-facts.js";

/** Whether the name of the cluster is free on the host, or taken by this stack and this node. */
export const ownershipCheck: Check = { name: "owner", needs: ["root"], judge: judgeOwnership };

function judgeOwnership(context: CheckContext): readonly Finding[] {
  return [
    ...judgeOwnerFile(context),
    ...judgeNodeFile(context),
    ...judgeAddress(context),
    ...judgeContainer(context),
    ...judgeMachine(context),
  ];
}

function judgeOwnerFile({ plan, facts }: CheckContext): readonly Finding[] {
  const path = ownerFile(plan);
  const fact = facts.files.get(path);
  const owner = fileText(fact);
  if (isUnknown(fact)) return [unknownFact(path, reasonOf(fact))];
  if (owner === undefined || owner === "" || owner === plan.owner) return [];
  return [
    {
      code: "OWNER_FOREIGN",
      result: "fail",
      detail: `cluster name ${plan.cluster} belongs to stack ${owner} on this host, not to ${plan.owner}`,
      fix: "choose another name for the cluster, or destroy that stack first",
    },
  ];
}

function judgeNodeFile({ plan, node, facts }: CheckContext): readonly Finding[] {
  const path = nodeFile(plan);
  const fact = facts.files.get(path);
  const seen = fileText(fact);
  if (isUnknown(fact)) return [unknownFact(path, reasonOf(fact))];
  if (seen === undefined || seen === "" || seen === node.name) return [];
  return [
    {
      code: "NODE_MOVED",
      result: "fail",
      detail: `this host is already node ${seen} of cluster ${plan.cluster}`,
      fix: `give ${node.name} the address of its own host; a new machine is a new node name`,
    },
  ];
}

/**
 * A node name whose address leads to another machine now. The docker provider would only connect elsewhere: the container on
 * the old machine would stay and belong to nobody, and the new machine would get none.
 */
function judgeAddress({ plan, node, facts, hosts }: CheckContext): readonly Finding[] {
  if (fileText(facts.files.get(nodeFile(plan))) === node.name) return [];
  const { address } = node.connection;
  for (const host of hosts) {
    // Without a container nothing was left on the old machine: an address was only mistyped.
    const container = host.facts.containers.get(plan.containerName);
    if (container?.state !== "present" || container.owner !== plan.owner) continue;
    const before = stagedAddress(fileText(host.facts.files.get(stagedFile(plan))), node.name);
    if (before === undefined || before === address) continue;
    return [
      {
        code: "NODE_MOVED",
        result: "fail",
        detail: `${node.name} was ${before}, and the host at ${address} was never ${node.name}`,
        fix: `give the new machine a new node name; ${before} is cleaned up when ${node.name} leaves the stack file`,
      },
    ];
  }
  return [];
}

function stagedAddress(text: string | undefined, node: string): string | undefined {
  try {
    const { nodes } = JSON.parse(text ?? "") as { nodes?: Readonly<Record<string, unknown>> };
    const address = nodes?.[node];
    return typeof address === "string" ? address : undefined;
  } catch {
    return undefined;
  }
}

/** Two addresses of one machine; told by the second node. */
function judgeMachine({ node, facts, hosts }: CheckContext): readonly Finding[] {
  const first = hosts.find((host) => host.facts.bootId === facts.bootId);
  if (facts.bootId === undefined) return [unknownFact("identity of the machine", undefined)];
  if (first === undefined || first.node.name === node.name) return [];
  return [
    {
      code: "SAME_MACHINE",
      result: "fail",
      detail: `${node.connection.address} is the same machine as ${first.node.name} (${first.node.connection.address})`,
      fix: `give ${node.name} the address of a host of its own`,
    },
  ];
}

function judgeContainer({ plan, facts }: CheckContext): readonly Finding[] {
  const name = plan.containerName;
  const container = facts.containers.get(name);
  // Without docker its own column fails; the files above can be judged all the same.
  if (facts.docker?.isOk !== true) return [];
  if (container === undefined) return [unknownFact(`container ${name}`, undefined)];
  if (container.state === "error") return [unknownFact(`container ${name}`, container.reason)];
  if (container.state === "absent" || container.owner === plan.owner) return [];
  return [
    {
      code: "CONTAINER_FOREIGN",
      result: "fail",
      detail: `container ${name} is there, ${container.owner === "" ? "made by hand or by another tool" : `made by stack ${container.owner}`} (${container.status})`,
      fix: `choose another name for the cluster, or have its owner remove it: docker rm -f ${name}`,
    },
  ];
}

function isUnknown(fact: FileFact | undefined): boolean {
  return fact === undefined || fact.state === "error";
}

function reasonOf(fact: FileFact | undefined): string | undefined {
  return fact?.state === "error" ? fact.reason : undefined;
}
