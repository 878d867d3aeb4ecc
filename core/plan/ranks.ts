import type { ClusterSpec, NodeSpec } from "../spec/cluster-spec.js";
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

/** Where a node stands among the others. */
export interface NodePlace {
  /** 0 is the head. */
  readonly index: number;
  /** First rank on it, in planned order. */
  readonly firstRank: number;
}

export function nodePlace(spec: ClusterSpec, node: NodeSpec): NodePlace {
  let places = placesBySpec.get(spec);
  if (places === undefined) {
    places = new Map(
      [...assignRanks(spec)].map(([name, [firstRank = 0]], index) => [name, { index, firstRank }]),
    );
    placesBySpec.set(spec, places);
  }
  const place = places.get(node.name);
  if (place === undefined) throw new Error(`node ${node.name} is not one of the cluster`);
  return place;
}

/** Every node asks for its place: without this, planning would take quadratic time. */
const placesBySpec = new WeakMap<ClusterSpec, ReadonlyMap<string, NodePlace>>();
