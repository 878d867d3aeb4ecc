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
  return isGuarded ? keyFromPulumi(stack) : undefined;
}

function keyFromPulumi({ name, file, projectDir, namespace }: LoadedStack): string {
  const { error, status, stdout, stderr } = spawnSync(
    "pulumi",
    [
      ...["config", "get", `${namespace}:apiKey`],
      ...["--stack", name, "--config-file", file, "--non-interactive"],
    ],
    { cwd: projectDir, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 },
  );
  if (error === undefined && status === 0) return stdout.replace(/\n$/, "");
  const cause = error?.message ?? stderr.trim().split("\n").at(-1) ?? `exit code ${status}`;
  throw new StepError(
    `the API key of stack ${name} cannot be read: pulumi config get: ${cause}\n` +
      "next: export VLLM_API_KEY; or log in to the stack's backend and export PULUMI_CONFIG_PASSPHRASE",
  );
}
