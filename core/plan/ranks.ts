import type { ClusterSpec } from "../spec/cluster-spec.js";
import { visibleDevices } from "../spec/rules.js";

/**
 * Ranks of each node in planned order, head first: with TP8 x PP2 on two nodes of 8, ranks 0-7 are the first pipeline stage
 * on the head, and with DP2 x TP8 they are the first engine. Ray may place the stages the other way round; the sets per
 * node are the same.
 */
export function assignRanks(spec: ClusterSpec): ReadonlyMap<string, readonly number[]> {
  const ranks = new Map<string, readonly number[]>();
  let next = 0;
  for (const node of spec.nodes) {
    const count = visibleDevices(spec, node).length;
    const first = next;
    ranks.set(
      node.name,
      Array.from({ length: count }, (_, index) => first + index),
    );
    next += count;
  }
  return ranks;
}
