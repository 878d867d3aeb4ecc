import * as pulumi from "@pulumi/pulumi";

/**
 * A secret of the stack's configuration, `undefined` when it is unset.
 *
 * @throws pulumi.RunError when the stack file has it in clear, as after `pulumi config set` without `--secret`: then it is in git for
 * everybody who reads it; or when it could not be sent as an HTTP header.
 */
export function secretConfig(
  config: pulumi.Config,
  key: string,
): pulumi.Output<string> | undefined {
  const value = config.get(key);
  if (value === undefined) return undefined;
  const name = refuseClear(config, key);
  if (!/^[\x21-\x7e]+$/.test(value)) {
    throw new pulumi.RunError(
      `${name} must be one word of visible ASCII characters (it is sent as an HTTP header): pulumi config set --secret ${key}`,
    );
  }
  return config.requireSecret(key);
}

/**
 * As `secretConfig`, for a secret map.
 *
 * @throws pulumi.RunError when the stack file has it in clear.
 */
export function secretConfigObject<T>(
  config: pulumi.Config,
  key: string,
): pulumi.Output<T> | undefined {
  if (config.get(key) === undefined) return undefined;
  refuseClear(config, key);
  return config.requireSecretObject<T>(key);
}

/** The full name of the key. */
function refuseClear(config: pulumi.Config, key: string): string {
  const name = `${config.name}:${key}`;
  if (isConfigSecret(name)) return name;
  throw new pulumi.RunError(
    `${name} stands in clear in the stack file; take a new one, because this one may be known: pulumi config set --secret ${key}`,
  );
}

/** The SDK has it and leaves it out of its types. */
const { isConfigSecret } = pulumi.runtime as unknown as {
  readonly isConfigSecret: (name: string) => boolean;
};
