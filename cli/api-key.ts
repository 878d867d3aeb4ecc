import { spawnSync } from "node:child_process";
import { StepError } from "./errors.js";
import type { LoadedStack } from "./stack.js";

/**
 * The key that guards a stack's API: `VLLM_API_KEY`, else the secret `<namespace>:apiKey` of the stack, decrypted by
 * pulumi. Never an argument: other users of this machine could read it.
 *
 * @returns `undefined` when the API is open.
 * @throws StepError when the API is guarded and the key cannot be read.
 */
export function readApiKey(stack: LoadedStack): string | undefined {
  const key = process.env["VLLM_API_KEY"];
  if (key !== undefined && key !== "") return key;
  const isGuarded = stack.plan.nodes[0]!.releases.serve.secretEnv["VLLM_API_KEY"] !== undefined;
  return isGuarded
    ? configValue(stack, "apiKey", { what: "the API key", variable: "VLLM_API_KEY" })
    : undefined;
}

/**
 * A value of the stack's configuration, decrypted by pulumi where it is a secret.
 *
 * @param key without namespace; then for the message what it is, and the variable that may be set instead
 * @throws StepError when it cannot be read.
 */
export function configValue(
  {
    name,
    file,
    projectDir,
    namespace,
  }: Pick<LoadedStack, "name" | "file" | "projectDir" | "namespace">,
  key: string,
  { what, variable }: { readonly what: string; readonly variable: string },
): string {
  const { error, status, stdout, stderr } = spawnSync(
    "pulumi",
    [
      ...["config", "get", `${namespace}:${key}`],
      ...["--stack", name, "--config-file", file, "--non-interactive"],
    ],
    { cwd: projectDir, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 },
  );
  if (error === undefined && status === 0) return stdout.replace(/\n$/, "");
  const cause = error?.message ?? stderr.trim().split("\n").at(-1) ?? `exit code ${status}`;
  throw new StepError(
    `${what} of stack ${name} cannot be read: pulumi config get: ${cause}\n` +
      `next: export ${variable}; or log in to the stack's backend and export PULUMI_CONFIG_PASSPHRASE`,
  );
}
