import type { ClusterChange, FieldGroup, Outage } from "./cluster-change.js";
import type { FieldChange } from "./field-changes.js";

/** What a reviewer reads; nothing in it is secret, because a preview holds no secrets. */
export interface Summary {
  readonly stack: string;
  readonly clusters: readonly ClusterChange[];
  /** What the program warned of: lint, memory fit. */
  readonly warnings: readonly string[];
}

/**
 * The summary as a comment of a pull request: three sentences first, details collapsed. The first line is a marker by
 * which the same comment is found and replaced.
 *
 * @returns at most 65,000 characters (GitHub refuses 65,536); details are cut first, and it says so.
 */
export function renderMarkdown(summary: Summary): string {
  const marker = `<!-- vllm-cluster summary: ${summary.stack.replaceAll("--", "-")} -->`;
  const head = [marker, `### ${code(summary.stack)}`, ""];
  if (isQuiet(summary)) return `${[...head, "Nothing changes."].join("\n")}\n`;
  const top = [
    ...head,
    ...summary.clusters.flatMap(markdownCluster),
    ...(summary.warnings.length === 0
      ? []
      : ["**Warnings**", "", ...summary.warnings.map((text) => `- ${plain(text)}`), ""]),
  ].join("\n");
  const details = summary.clusters.flatMap(({ fields }) => fields.flatMap(markdownFields));
  return cut(top, details);
}

/** The summary for a terminal. */
export function renderText(summary: Summary): string {
  if (isQuiet(summary)) return `${summary.stack}: nothing changes.\n`;
  const lines = [
    ...summary.clusters.flatMap((change) => [
      `${change.cluster}:`,
      ...sentences(change).map((sentence) => `  ${sentence}`),
      ...orderLines(change).map((line, index) => `  ${index + 1}. ${line}`),
      ...secretLines(change).map((line) => `  ${line}`),
      ...change.fields.flatMap(({ title, changes }) => [
        `  ${title}`,
        ...changes.map(
          ({ path, nodes, before, after }) =>
            `    ${path}${ofNodes(nodes)}: ${shown(before)} -> ${shown(after)}`,
        ),
      ]),
      ...(change.consent === undefined
        ? []
        : [`  To allow it: ${consentLine(change.consent)} in the stack file.`]),
    ]),
    ...summary.warnings.map((text) => `warning: ${text}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** The three sentences: what restarts, how long the service is out and what clients see, how to get back. */
export function sentences(change: ClusterChange): readonly [string, string, string] {
  return [whatHappens(change), clientsSee(change), wayBack(change)];
}

/** The steps in which it happens. */
export function orderLines(change: ClusterChange): string[] {
  return change.processes.map(({ process, action, nodes }) => {
    const where = nodes.join(", ");
    if (process === "container") return `the container ${action} on ${where}`;
    if (process === "deployment") {
      return `${where}: ${nodes.length === 1 ? "the deployment" : "the deployments"} ${nodes.length === 1 ? action : `${action.replace(/s$/, "")} together`}`;
    }
    return `${process === "ray" ? "Ray" : process} ${action} on ${where}${
      process === "ray" && action !== "stops" && nodes.length > 1 ? ", the head first" : ""
    }`;
  });
}

function whatHappens({ effect, nodes, head, nodesAdded, nodesRemoved }: ClusterChange): string {
  const moved = [
    ...(nodesAdded.length === 0 ? [] : [`New: ${nodesAdded.join(", ")}.`]),
    ...(nodesRemoved.length === 0 ? [] : [`Leaves: ${nodesRemoved.join(", ")}.`]),
  ].join(" ");
  switch (effect) {
    case "first-start":
      return `The cluster is started for the first time on ${nodes.join(", ")}.`;
    case "removal":
      return `The cluster is removed from ${nodes.join(", ")}.`;
    case "containers":
      return moved === ""
        ? "Containers are replaced, and with them everything that runs restarts."
        : `${moved} Everything that runs restarts.`;
    case "ray":
      return "Ray and vLLM restart on all nodes; the containers keep running.";
    case "serve":
      return `vLLM restarts on ${head}; everything else keeps running.`;
    case "deployments":
      return `${moved === "" ? "" : `${moved} `}GPUStack stops all deployments of the group, and starts them together when none runs any more.`;
    case "staged":
      return "Files or settings change; nothing that runs is touched.";
    case "nothing":
      return "Nothing changes.";
  }
}

function clientsSee({ effect, outage }: ClusterChange): string {
  switch (effect) {
    case "first-start":
      return "The API answers when `pulumi up` has ended.";
    case "removal":
      return "The API is gone for good: requests that run are cut, new ones are refused.";
    case "staged":
    case "nothing":
      return "Clients notice nothing.";
    case "deployments":
      return `The API is out for ${duration(outage)}: requests that run are cut when the deployments stop, new ones are refused until the head runs again.`;
    case "containers":
    case "ray":
    case "serve":
      return `The API is out for ${duration(outage)}: requests that run are cut when vLLM stops, new ones are refused until it has answered a completion.`;
  }
}

function duration(outage: Outage): string {
  const { expectedSec, measuredAt, basis, stopTimeoutSec, withContainers } = outage;
  if (expectedSec === undefined) return "an unknown time (no start was measured yet)";
  const measured = measuredAt === undefined ? "" : ` of ${measuredAt.slice(0, 10)}`;
  if (basis === "outage") {
    return `about ${seconds(expectedSec)} (the last measured outage of such a change${measured})`;
  }
  const more = [
    ...(stopTimeoutSec === undefined ? [] : [`up to ${seconds(stopTimeoutSec)} to stop`]),
    ...(withContainers ? ["the replacement of the containers"] : []),
  ];
  return `about ${seconds(expectedSec)} (the last measured start${measured})${more.length === 0 ? "" : `, plus ${more.join(" and ")}`}`;
}

function wayBack({ effect }: ClusterChange): string {
  switch (effect) {
    case "serve":
    case "ray":
      return "If it does not come up, the group goes back by itself to what it runs now, and `pulumi up` fails.";
    case "deployments":
      return "If it does not come up, `pulumi up` fails and nothing goes back by itself: revert the change and run `pulumi up` again.";
    case "containers":
      return "If it does not come up, nothing goes back by itself, because the old containers are gone: revert the change and run `pulumi up` again.";
    case "first-start":
      return "If it does not come up, `pulumi up` fails and says why; running it again goes on from there.";
    case "removal":
      return "There is no way back but a new `pulumi up`; images and weights stay on the hosts.";
    case "staged":
    case "nothing":
      return "Reverting the change puts back what was there.";
  }
}

function markdownCluster(change: ClusterChange): string[] {
  const order = orderLines(change);
  return [
    `**${plain(change.cluster)}**`,
    "",
    sentences(change).join(" "),
    "",
    ...(order.length === 0
      ? []
      : [
          "| step | process | nodes | |",
          "|---|---|---|---|",
          ...change.processes.map(
            ({ process, action, nodes }, index) =>
              `| ${index + 1} | ${process} | ${nodes.map(plain).join(", ")} | ${action} |`,
          ),
          "",
        ]),
    ...secretLines(change).flatMap((line) => [line, ""]),
    ...hostLines(change),
    ...(change.consent === undefined
      ? []
      : [
          `Stopping a group that serves needs consent: ${code(consentLine(change.consent))} in the stack file.`,
          "",
        ]),
  ];
}

/** What the secrets are is never said. */
function secretLines({ secretsReplaced }: ClusterChange): string[] {
  return secretsReplaced.length === 0 ? [] : [`Other secrets on ${secretsReplaced.join(", ")}.`];
}

/** Where the operator's machine connects to, and whom it trusts, is never collapsed. */
function hostLines({ fields }: ClusterChange): string[] {
  const hosts = fields.find(({ title }) => title === "Hosts");
  return hosts === undefined
    ? []
    : [
        "**How hosts are reached changes:**",
        "",
        ...hosts.changes.map((change) => `- ${markdownField(change)}`),
        "",
      ];
}

function markdownFields({ title, changes }: FieldGroup): string[] {
  if (title === "Hosts") return [];
  return [
    "<details>",
    `<summary>${title}: ${changes.length} ${changes.length === 1 ? "field" : "fields"}</summary>`,
    "",
    ...changes.map((change) => `- ${markdownField(change)}`),
    "",
    "</details>",
    "",
  ];
}

function markdownField({ path, nodes, before, after }: FieldChange): string {
  return `${code(path)}${ofNodes(nodes)}: ${markdownValue(before)} → ${markdownValue(after)}`;
}

function ofNodes(nodes: readonly string[]): string {
  return nodes.length === 0 ? "" : ` (${nodes.join(", ")})`;
}

function markdownValue(value: string | undefined): string {
  return value === undefined ? "not set" : code(shown(value));
}

/** A value on one line, cut where it is long; an image id keeps its first digits only by being cut. */
function shown(value: string | undefined): string {
  if (value === undefined) return "not set";
  const line = JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"');
  if (line === "") return '""';
  return line.length > MAX_VALUE ? `${line.slice(0, MAX_VALUE)}…` : line;
}

/** Code in markdown, whatever the text holds; a fence longer than any in it. */
function code(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return longest === 0 ? `\`${text}\`` : `${fence} ${text} ${fence}`;
}

/** Text that neither markdown nor HTML takes for anything else. */
function plain(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/[\\`*_{}[\]<>#|@]/g, (char) => `\\${char}`);
}

function seconds(value: number): string {
  if (value < 90) return `${Math.max(1, Math.round(value))} s`;
  const minutes = Math.round(value / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

function consentLine(hash: string): string {
  return `vllm-ascend:allowDowntimeFor: ${hash}`;
}

function isQuiet({ clusters, warnings }: Summary): boolean {
  return warnings.length === 0 && clusters.every(({ effect }) => effect === "nothing");
}

/** Whole lines of the details, as many as fit, with their HTML closed. */
function cut(top: string, details: readonly string[]): string {
  const whole = [top, ...details].join("\n");
  if (whole.length <= MAX_MARKDOWN) return `${whole.trimEnd()}\n`;
  const note = "\nThe rest is cut; `vllm-cluster summary` prints all of it in a terminal.\n";
  const close = "\n\n</details>\n";
  const room = MAX_MARKDOWN - note.length - close.length;
  let text = top.slice(0, room);
  let isOpen = false;
  for (const line of details) {
    if (text.length + line.length + 1 > room) break;
    text += `\n${line}`;
    if (line === "<details>") isOpen = true;
    if (line === "</details>") isOpen = false;
  }
  return `${text}${isOpen ? close : "\n"}${note}`;
}

const MAX_MARKDOWN = 65_000;
const MAX_VALUE = 200;
