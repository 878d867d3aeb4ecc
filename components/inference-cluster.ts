import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { type MeasuredTimes, measuredTimes } from "../core/changes/measured.js";
import { expiredAcceptances } from "../core/facts/acceptance.js";
import { fitOfPlan } from "../core/fit/plan-fit.js";
import {
  blockingFindings,
  type LintFinding,
  lintCluster,
  renderFinding,
} from "../core/lint/lint-cluster.js";
import type { ClusterPlan } from "../core/plan/cluster-plan.js";
import { gatePlan } from "../core/plan/gate-plan.js";
import { planCluster } from "../core/plan/plan-cluster.js";
import { idRanges } from "../core/render/id-ranges.js";
import { stableJson } from "../core/render/stable-json.js";
import { smokePlan } from "../core/smoke/smoke-plan.js";
import type { ClusterSpecInput } from "../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../core/spec/parse.js";
import { ClusterSpecError } from "../core/spec/spec-issue.js";
import { AscendNode } from "./ascend-node.js";
import { ContainerRuntime } from "./container-runtime.js";
import { downtimeConsent } from "./downtime-consent.js";
import { loadNodeScripts } from "./node-scripts.js";
import { createPreflight } from "./preflight.js";
import { RayCluster } from "./ray-cluster.js";
import { VllmServe } from "./vllm-serve.js";

/** What an `InferenceCluster` is made from. */
export interface InferenceClusterArgs {
  /**
   * The cluster as under the key `<project>:cluster` of a stack file; plain data and no `Input`, because it decides which
   * resources exist. Its `name` is part of all resource names.
   */
  readonly cluster: ClusterSpecInput;
  /**
   * Key that guards `/v1` of the API (`VLLM_API_KEY`). Unset = anybody who reaches the head may use it.
   * @see vLLM 0.23 `docs/usage/security.md`: only `/v1`, `/v2` and `/inference` are guarded
   */
  readonly apiKey?: pulumi.Input<string> | undefined;
  /**
   * Consent to stop the group while it serves: the plan hash that the preview and `vllm-cluster summary` print. It holds for that
   * plan only, so a line that is left behind allows nothing later. Unset = a change that would stop it is refused.
   */
  readonly allowDowntimeFor?: string | undefined;
}

/** What a node of the cluster is for. */
export interface NodeOutput {
  /** As in the spec. */
  readonly name: string;
  /** IPv4 address. */
  readonly address: string;
  /** `head`: runs `vllm serve` and answers requests; `worker`: runs ranks only. */
  readonly role: string;
  /** Ranks in planned order, e.g. `0-7`; Ray may swap equal pipeline stages between nodes. */
  readonly ranks: string;
  /** Physical NPU ids, e.g. `0-7` or `0,2`. */
  readonly npus: string;
}

/**
 * A model served by vLLM on a group of Ascend servers.
 *
 * ```ts
 * const cluster = new InferenceCluster({ cluster: config.requireObject("cluster") });
 * export const endpoint = cluster.endpoint;
 * ```
 *
 * @throws pulumi.RunError with every problem of the configuration; nothing is created then.
 */
export class InferenceCluster extends pulumi.ComponentResource {
  /** Type in URNs. */
  static readonly token = "vllm-ascend:index:InferenceCluster";
  /** Base URL of the OpenAI-compatible API. Resolves after a completion was answered. */
  readonly endpoint: pulumi.Output<string>;
  /** Name of the model in the API. */
  readonly model: pulumi.Output<string>;
  /** The nodes with their planned ranks, the head first. */
  readonly nodes: pulumi.Output<readonly NodeOutput[]>;
  /** A request to paste into a shell on a machine that reaches the head. */
  readonly curl: pulumi.Output<string>;
  /** What the last `up` has measured: how long starts took, and how long the API was out; the next preview tells it. */
  readonly measured: pulumi.Output<MeasuredTimes>;

  constructor(args: InferenceClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    const { plan, warnings } = planFromArgs(args);
    super(InferenceCluster.token, plan.names.cluster, {}, opts);
    for (const warning of warnings) void pulumi.log.warn(renderFinding(warning), this);

    const preflight = createPreflight(plan.names.preflight, gatePlan(plan), this);
    logMemoryFit(plan, preflight, this);
    const staged = createNodes(plan, args, preflight, this);
    const barrier = [preflight, ...[...staged.values()].flatMap((node) => node.staged)];
    const runtimes = new Map(
      plan.nodes.map((node) => [
        node.name,
        new ContainerRuntime(
          node.names.runtime,
          { plan, node, staged: staged.get(node.name)!, barrier },
          { parent: this },
        ),
      ]),
    );
    const containers = byNode(runtimes, (runtime) => runtime.containerId);
    const started = [...barrier, ...[...runtimes.values()].flatMap((runtime) => runtime.ready)];
    const smoke = createSmoke(plan, started, this);
    const consent = downtimeConsent(plan);
    const ray =
      plan.ray === null
        ? undefined
        : new RayCluster(
            plan.names.ray,
            { plan, containers, dependsOn: [...started, smoke], consent },
            { parent: this },
          );
    const serve = new VllmServe(
      plan.names.serve,
      {
        plan,
        containers,
        secrets: byNode(staged, (node) => node.secretsId),
        dependsOn: ray === undefined ? [...started, smoke] : [ray.commit],
        consent,
      },
      { parent: this },
    );

    this.endpoint = serve.endpoint;
    this.model = pulumi.output(plan.endpoint.model);
    this.curl = pulumi.output(plan.endpoint.curl);
    this.nodes = pulumi.output(plan.nodes.map(nodeOutput));
    this.measured = pulumi
      .all([ray?.printed, serve.printed])
      .apply(([rayFacts, serveFacts]) => measuredTimes(rayFacts, serveFacts));
    this.registerOutputs({
      endpoint: this.endpoint,
      model: this.model,
      nodes: this.nodes,
      curl: this.curl,
      measured: this.measured,
    });
  }
}

/** The plan, and what a preview shall warn of. */
function planFromArgs(args: InferenceClusterArgs): {
  readonly plan: ClusterPlan;
  readonly warnings: readonly LintFinding[];
} {
  const spec = fromStackFile(() => parseClusterSpec(args.cluster));
  const hasApiKey = args.apiKey !== undefined;
  const findings = lintCluster(spec, { hasApiKey });
  const blocking = blockingFindings(findings);
  if (blocking.length > 0) {
    throw new pulumi.RunError(
      [
        "the cluster configuration is refused; accept a code under lint.accept with a reason if it is right here:",
        ...blocking.map((finding) => `  ${renderFinding(finding)}`),
      ].join("\n"),
    );
  }
  const plan = planCluster(spec, {
    owner: `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`,
    hasApiKey,
    allowDowntimeFor: args.allowDowntimeFor,
  });
  fromStackFile(() => checkAcceptances(plan));
  return {
    plan,
    warnings: findings.filter(({ level, accepted }) =>
      accepted === null ? level === "warning" : level === "error",
    ),
  };
}

/** Mistakes in the stack file without a stack trace: they are not in the program. */
function fromStackFile<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof ClusterSpecError) throw new pulumi.RunError(error.message);
    throw error;
  }
}

/** Accepted failures are told at every run, also when nothing makes the preflight run again. */
function checkAcceptances({ accept }: ClusterPlan): void {
  const expired = expiredAcceptances(accept, new Date().toISOString().slice(0, 10));
  if (expired.length > 0) throw new ClusterSpecError(expired);
  accept.forEach(({ code, node, npu, reason, until }, index) => {
    const where = `${node === undefined ? "" : ` on ${node}`}${npu === undefined ? "" : ` NPU ${npu}`}`;
    void pulumi.log.warn(
      `preflight.accept[${index}]: ${code}${where} is accepted until ${until}: ${reason}`,
    );
  });
}

/**
 * Tries NPUs and network in the new containers, before the first commit lets anything load. Where the containers stay, the group
 * still serves here: then it tries what needs no NPU. What has passed once is not run again.
 */
function createSmoke(
  plan: ClusterPlan,
  started: readonly pulumi.Resource[],
  parent: pulumi.Resource,
): command.local.Command {
  return new command.local.Command(
    plan.names.smoke,
    {
      create: "npx --no vllm-cluster smoke",
      stdin: stableJson(smokePlan(plan), 1),
      addPreviousOutputInEnv: false,
      logging: "stderr",
    },
    { parent, dependsOn: [...started] },
  );
}

/**
 * Shows whether the model fits: by its name at once, and by the files of the hosts as the preflight has found it. A fit that is
 * bad by name only warns, because the files may be another model; the preflight refuses.
 */
function logMemoryFit(
  plan: ClusterPlan,
  preflight: command.local.Command,
  cluster: pulumi.Resource,
): void {
  const { verdict, text } = fitOfPlan(plan);
  const log = verdict === "no" || verdict === "tight" ? pulumi.log.warn : pulumi.log.info;
  void log(text, cluster);
  preflight.stderr.apply((report) => {
    // With the lines that the report has wrapped.
    const found = /^memory fit: .*(\n {2}\S.*)*/m.exec(report ?? "")?.[0];
    if (found === undefined) return;
    void pulumi.log.info(`on the hosts: ${found.replaceAll("\n ", "")}`, cluster);
  });
}

function createNodes(
  plan: ClusterPlan,
  args: InferenceClusterArgs,
  preflight: pulumi.Resource,
  parent: pulumi.Resource,
): ReadonlyMap<string, AscendNode> {
  const scripts = loadNodeScripts();
  const apiKey = args.apiKey === undefined ? undefined : pulumi.secret(args.apiKey);
  const nodes = new Map<string, AscendNode>();
  let groupToken: pulumi.Output<string> | undefined;
  for (const node of plan.nodes) {
    const staged = new AscendNode(
      node.names.node,
      {
        plan,
        node,
        scripts,
        preflight,
        ...(groupToken === undefined ? {} : { groupToken }),
        ...(apiKey === undefined || node.role !== "head" ? {} : { apiKey }),
      },
      { parent },
    );
    groupToken ??= staged.groupToken;
    nodes.set(node.name, staged);
  }
  return nodes;
}

function byNode<T, V>(
  items: ReadonlyMap<string, T>,
  value: (item: T) => V,
): Readonly<Record<string, V>> {
  return Object.fromEntries([...items].map(([name, item]) => [name, value(item)]));
}

function nodeOutput(node: ClusterPlan["nodes"][number]): NodeOutput {
  return {
    name: node.name,
    address: node.connection.address,
    role: node.role,
    ranks: idRanges(node.ranks),
    npus: idRanges(node.visibleDevices),
  };
}
