/**
 * Ids of ranks or NPUs as people read them: neighbours become a range, `[0, 1, 2, 5]` is `0-2,5`.
 * Any other order is kept, because the order of visible NPUs is that of the ranks on them.
 */
export function idRanges(ids: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const id of ids) {
    const range = ranges.at(-1);
    if (range !== undefined && id === range[1] + 1) range[1] = id;
    else ranges.push([id, id]);
  }
  return ranges
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
    .join(",");
}
