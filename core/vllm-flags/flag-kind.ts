/**
 * What a flag of `vllm serve` takes: `bare` nothing (its opposite is a flag of its own, `no-…`), `size` a number with an
 * optional suffix as in `1k`, `text` anything.
 */
export type FlagKind = "bare" | "text" | "integer" | "float" | "json" | "size";

/** Long names without `--` -> what they take. */
export type FlagTable = Readonly<Record<string, FlagKind>>;
