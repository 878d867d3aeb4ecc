import { text } from "node:stream/consumers";
import { messageOf, UsageError } from "./errors.js";

/**
 * The plan that `pulumi up` sends on standard input.
 *
 * @throws UsageError when there is none, or not one of this version.
 */
export async function planFromInput<T>(parse: (raw: unknown) => T): Promise<T> {
  if (process.stdin.isTTY) {
    throw new UsageError("nothing to check: add --stack <name>, or give a plan on standard input");
  }
  const input = await text(process.stdin);
  try {
    return parse(JSON.parse(input));
  } catch (error) {
    throw new UsageError(`the plan on standard input cannot be used: ${messageOf(error)}`);
  }
}
