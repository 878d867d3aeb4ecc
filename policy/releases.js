/**
 * What a node runs, as the stage script of the library carries it; see docs/architecture.md.
 * @typedef {object} Release
 * @property {"ray" | "serve"} kind
 * @property {string} node
 * @property {"head" | "member"} role
 * @property {Record<string, string>} env
 * @property {Record<string, string>} secretEnv
 * @property {string[] | null} command
 */

/**
 * The release files that a script puts on a host; none for other scripts.
 * @param {unknown} script standard input of a `command:remote:Command`
 * @returns {Release[]}
 */
export function releasesIn(script) {
  if (typeof script !== "string") return [];
  const files = script.matchAll(
    /^put in\/releases\/(?:ray|serve)-[0-9a-f]+\.json <<'(END-[0-9a-f]+)'\n(.*?)\n\1$/gms,
  );
  return [...files].map(([, , text]) => JSON.parse(text ?? ""));
}

/**
 * The value of a long flag.
 * @param {Release} release
 * @param {string} flag
 */
export function flagOf({ command }, flag) {
  return command?.find((word) => word.startsWith(`--${flag}=`))?.slice(flag.length + 3);
}
