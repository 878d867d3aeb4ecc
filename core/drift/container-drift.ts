import type { HostFacts } from "../facts/host-facts.js";
import type { ClusterPlan, NodePlan } from "../plan/cluster-plan.js";
import type { DriftAnswer, InspectedContainer } from "./drift-answer.js";
import type { DriftFinding } from "./drift-finding.js";

/** The container of a node, and its image. */
export function containerDrift(
  plan: ClusterPlan,
  node: NodePlan,
  facts: HostFacts,
  drift: DriftAnswer,
): readonly DriftFinding[] {
  const name = plan.containerName;
  const seen = facts.containers.get(name);
  const base = { node: node.name, kind: "container", planned: `${name} runs` } as const;
  if (facts.docker?.isOk !== true || seen === undefined || seen.state === "error") {
    return [
      {
        ...base,
        level: "unknown",
        found: facts.docker?.isOk === false ? facts.docker.text : "docker did not tell",
        nextUp: "fails at the docker provider, if it comes to containers",
        next: "vllm-cluster gate",
      },
    ];
  }
  if (seen.state === "absent") {
    return [
      {
        ...base,
        level: "drift",
        found: "there is no such container",
        nextUp: "nothing: Pulumi looks at containers only with --refresh",
        next: "pulumi up --refresh makes it again, and the group starts (allowDowntimeFor as for any change)",
      },
    ];
  }
  const stopped: readonly DriftFinding[] =
    seen.status === "running"
      ? []
      : [
          {
            ...base,
            level: "drift",
            found: `${seen.status}, exit code ${seen.exitCode}`,
            nextUp: "nothing: the boot unit starts it",
            next: `wait 10 s; if it stays: ${`on ${node.name}: systemctl start ${plan.unitName}; journalctl -u ${plan.unitName} -n 30`}`,
          },
        ];
  const { container } = drift;
  if (container === undefined) return stopped;
  return [...stopped, ...fieldDrift(plan, node, container), ...imageDrift(node, facts, container)];
}

function imageDrift(
  node: NodePlan,
  facts: HostFacts,
  container: InspectedContainer,
): readonly DriftFinding[] {
  const { pull } = node.container.image;
  const image = facts.images.get(pull);
  const base = { node: node.name, kind: "image" } as const;
  if (image?.state !== "present") {
    return [
      {
        ...base,
        level: "note",
        planned: `${pull} is on the host`,
        found: "it is not, the container runs all the same",
        nextUp: "nothing until a container is replaced; then it is needed again",
        next: "",
      },
    ];
  }
  if (image.text === container.Image) return [];
  return [
    {
      ...base,
      level: "drift",
      planned: image.text,
      found: `the container was made from ${container.Image}`,
      ...madeByHand(node),
    },
  ];
}

function fieldDrift(
  plan: ClusterPlan,
  node: NodePlan,
  { Config, HostConfig }: InspectedContainer,
): readonly DriftFinding[] {
  const { container } = node;
  const mounts = (HostConfig.Mounts ?? []).map(
    ({ Source, Target, ReadOnly }) => `${Source} -> ${Target}${ReadOnly ? " (read-only)" : ""}`,
  );
  const fields: readonly (readonly [name: string, planned: unknown, found: unknown])[] = [
    ["command", container.command, Config.Cmd ?? []],
    ["network", "host", HostConfig.NetworkMode],
    ["privileged", false, HostConfig.Privileged ?? false],
    ["runtime", container.runtime, HostConfig.Runtime],
    ["shared memory in MiB", container.shmSizeMib, (HostConfig.ShmSize ?? 0) / 1024 / 1024],
    ["restart policy", "no", HostConfig.RestartPolicy?.Name || "no"],
    ["security options", set(container.securityOptions), set(HostConfig.SecurityOpt ?? [])],
    [
      "devices",
      set(container.devices),
      set((HostConfig.Devices ?? []).map(({ PathOnHost }) => PathOnHost)),
    ],
    [
      "mounts",
      set(
        container.mounts.map(
          ({ source, target, readOnly }) =>
            `${source} -> ${target}${readOnly ? " (read-only)" : ""}`,
        ),
      ),
      set([...mounts, ...(HostConfig.Binds ?? [])]),
    ],
    [
      "limits",
      set(container.ulimits.map(({ name, limit }) => `${name}=${limit}:${limit}`)),
      set((HostConfig.Ulimits ?? []).map(({ Name, Soft, Hard }) => `${Name}=${Soft}:${Hard}`)),
    ],
    [
      "labels",
      container.labels,
      Object.fromEntries(
        Object.keys(container.labels).map((label) => [label, Config.Labels?.[label]]),
      ),
    ],
  ];
  return fields
    .filter(([, planned, found]) => JSON.stringify(planned) !== JSON.stringify(found))
    .map(([name, planned, found]) => ({
      node: node.name,
      kind: "container",
      level: "drift",
      planned: `${plan.containerName}: ${name} ${shown(planned)}`,
      found: shown(found),
      ...(name === "restart policy"
        ? {
            nextUp: "nothing: Pulumi looks at containers only with --refresh",
            next: `on ${node.name}: docker update --restart=no ${plan.containerName}`,
          }
        : madeByHand(node, plan)),
    }));
}

/** Docker changes nothing of this in a container that exists: it is another one, which Pulumi's state does not know. */
function madeByHand(node: NodePlan, plan?: ClusterPlan) {
  const name = plan?.containerName ?? "the container";
  return {
    nextUp: "nothing: Pulumi looks at containers only with --refresh",
    next: `somebody has made it: on ${node.name}: docker rm -f ${name}; then pulumi up --refresh`,
  };
}

function set(items: readonly string[]): readonly string[] {
  return [...items].sort();
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
