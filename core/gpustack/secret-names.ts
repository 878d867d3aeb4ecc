/**
 * Whether a variable is a secret by its name, or by a password in an address. GPUStack stores all variables in clear; here they
 * must not get into a file or a state so.
 */
export function isSecretVariable(name: string, value: string): boolean {
  return SECRET_NAME.test(name) || /^[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:[^/\s@]+@/i.test(value);
}

const SECRET_NAME = /(^|_)(TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)/i;
