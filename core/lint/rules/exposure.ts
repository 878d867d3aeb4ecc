import { plannedPorts } from "../../spec/rules.js";
import { hitIf, type LintRule } from "../lint-rule.js";

/** What others reach, and what the kernel or HCCL may take first. */
export const EXPOSURE_RULES: readonly LintRule[] = [
  {
    code: "API_KEY_MISSING",
    level: "warning",
    title: "the API has no key",
    reason: "whoever reaches the head's port may use the model",
    wayOut: "pulumi config set --secret apiKey, or accept it where a proxy guards the API",
    sources: ["vLLM docs `usage/security.md`"],
    check: (_spec, { hasApiKey }) => hitIf(!hasApiKey, "vllm-ascend:apiKey", "unset"),
  },
  {
    code: "TRUST_REMOTE_CODE",
    level: "warning",
    title: "Python code that lies beside the weights is run",
    reason: "who published the pinned revision runs code on every server",
    wayOut:
      "set serve.trustRemoteCode: false (Qwen3 and later need no code of their own), or accept it after reading the code of that revision",
    sources: ["vLLM docs `usage/security.md`"],
    check: ({ serve, model }) =>
      hitIf(
        serve.trustRemoteCode && model.revision !== undefined,
        "serve.trustRemoteCode",
        `true with revision ${model.revision}`,
      ),
  },
  {
    code: "TRUST_REMOTE_CODE_UNPINNED",
    level: "error",
    title: "Python code that lies beside the weights is run, and no revision of it is pinned",
    reason:
      "whoever can write the directory of the weights, on any node, runs code on that server at the next start",
    wayOut:
      "set serve.trustRemoteCode: false (Qwen3 and later need no code of their own), or let the nodes download a pinned model.revision (model.source), or accept it after reading the code",
    sources: ["vLLM docs `usage/security.md`"],
    check: ({ serve, model }) =>
      hitIf(
        serve.trustRemoteCode && model.revision === undefined,
        "serve.trustRemoteCode",
        `true with model.source ${model.source}`,
      ),
  },
  {
    code: "PORT_EPHEMERAL",
    level: "warning",
    title: "a planned port lies among those that the kernel gives to outgoing connections",
    reason:
      "any connection of the server may hold it when the group starts: `Address already in use`",
    wayOut: "choose a port below 32768, or reserve it with net.ipv4.ip_local_reserved_ports",
    sources: ["vllm-ascend#16237", "Linux `ip-sysctl.rst`"],
    check: (spec) =>
      plannedPorts(spec)
        .filter(({ first, last }) => last >= EPHEMERAL.first && first <= EPHEMERAL.last)
        .filter((port) => !isHcclPort(port))
        .map(({ path, first, last }) => ({ path, got: portText(first, last) })),
  },
  {
    code: "PORT_OF_HCCL",
    level: "error",
    title: "a planned port is one that HCCL listens on",
    reason: "HCCL binds 16666 and 60000-60031 by itself: `have been bound already`",
    wayOut: "choose another port",
    sources: ["vllm-ascend#405", "vllm-ascend#1253", "HCCL docs `HCCL_IF_BASE_PORT.md`"],
    check: (spec) =>
      plannedPorts(spec)
        .filter(isHcclPort)
        .map(({ path, first, last }) => ({ path, got: portText(first, last) })),
  },
];

/** Default of `net.ipv4.ip_local_port_range`. */
const EPHEMERAL = { first: 32_768, last: 60_999 };

function isHcclPort({ first, last }: { readonly first: number; readonly last: number }): boolean {
  return (first <= 16_666 && last >= 16_666) || (first <= 60_031 && last >= 60_000);
}

function portText(first: number, last: number): string {
  return first === last ? String(first) : `${first}-${last}`;
}
