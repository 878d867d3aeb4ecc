import { REQUIRED_TOOLS, SYSTEMD_DIR } from "../../../core/facts/facts-request.js";
import type { GateNode, GatePlan } from "../../../core/plan/gate-plan.js";
import { gatePlan } from "../../../core/plan/gate-plan.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import type { ClusterSpecInput } from "../../../core/spec/cluster-spec.js";
import { parseClusterSpec } from "../../../core/spec/parse.js";
import { rawCluster } from "../../support/specs.js";

export const OWNER = "organization/vllm-ascend/test";
export const OWN_CONTAINER_ID = "a".repeat(64);

/** The gate's plan of two A2 nodes, with changes to the raw cluster. */
export function aGatePlan(changes: Partial<ClusterSpecInput> = {}): GatePlan {
  const spec = parseClusterSpec({ ...rawCluster(), ...changes });
  return gatePlan(planCluster(spec, { owner: OWNER, hasApiKey: false }));
}

/** The keys of config.json that decide memory: Qwen3-235B-A22B. */
export const MODEL_CONFIG = {
  architectures: ["Qwen3MoeForCausalLM"],
  ...{ hidden_size: 4096, vocab_size: 151_936, num_hidden_layers: 94, num_attention_heads: 64 },
  ...{ num_key_value_heads: 4, head_dim: 128, num_experts: 128, moe_intermediate_size: 1536 },
};

/** What `node/facts.sh` prints on a host where nothing is wrong and this stack already runs. */
export function goodAnswer(plan: GatePlan, node: GateNode): string {
  const lines = [
    ["facts", "1"],
    ["login", node.connection.user, "0"],
    ["docker-of-login", "ok", "20.10.24"],
    ["root", "yes"],
    ...[...REQUIRED_TOOLS, "docker"].map((tool) => ["tool", tool, `/usr/bin/${tool}`]),
    ["path", SYSTEMD_DIR, "found", "directory"],
    ["docker", "ok", "20.10.24"],
    ...node.devices.map((path) => ["path", path, "found", "character special file"]),
    ...node.mounts.map((path) => ["path", path, "found", "directory"]),
    ["path", `${node.modelPath}/config.json`, "found", "regular file"],
    ["file", `${node.modelPath}/config.json`, "found", base64(JSON.stringify(MODEL_CONFIG))],
    ["weights", node.modelPath, "found", "470187269120", "-"],
    ["image", node.image.pull, "present", "sha256:0123"],
    ["link", "lo", "up"],
    ["link", node.socketInterface, "up"],
    ["address", "lo", "lo", "127.0.0.1"],
    ["address", node.socketInterface, node.socketInterface, node.connection.address],
    ["addresses", "ok"],
    ["listener", "8000", node.connection.address, "4242", "vllm", OWN_CONTAINER_ID],
    ["listener", "10005", "0.0.0.0", "4243", "ray::IDLE", OWN_CONTAINER_ID],
    ["ports", "ok"],
    ["file", `${plan.baseDir}/owner`, "found", base64(`${plan.owner}\n`)],
    ["file", `${plan.baseDir}/node`, "found", base64(`${node.name}\n`)],
    [
      ...["container", plan.containerName, "present", OWN_CONTAINER_ID, "running", "0"],
      ...[plan.owner, node.name, ""],
    ],
    ["end"],
  ];
  return `${lines.map((fields) => fields.join("\t")).join("\n")}\n`;
}

export function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
