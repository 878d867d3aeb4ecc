/** The known word that somebody probably meant, or `undefined` when none is near. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  // Nothing that a person mistyped is this long; the distance takes quadratic time.
  if (word.length > 100) return undefined;
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(fold(word), fold(candidate)) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.max(2, Math.floor(word.length / 3))
    ? best.candidate
    : undefined;
}

/** `max_model_len` and `max-model-len` are the same word as `maxModelLen` to a reader of vLLM's documentation. */
function fold(word: string): string {
  return word.toLowerCase().replaceAll(/[_-]/g, "");
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const substitute = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(previous[column]! + 1, current[column - 1]! + 1, substitute));
    }
    previous = current;
  }
  return previous[b.length]!;
}
