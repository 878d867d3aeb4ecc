import * as pulumi from "@pulumi/pulumi";

/** How the resources reach a server; what is left out comes from GPUSTACK_URL and GPUSTACK_API_KEY. */
export interface GpustackConnection {
  /** Base URL, `http(s)://<host>[:<port>]`. */
  readonly url?: pulumi.Input<string> | undefined;
  /** Key of scope `management`. */
  readonly apiKey?: pulumi.Input<string> | undefined;
}

/** Inputs for the engine: the connection is secret whatever the program has made of it. */
export function withSecretConnection<T extends GpustackConnection>(args: T): pulumi.Inputs {
  const inputs = Object.fromEntries(Object.entries(args));
  for (const key of ["url", "apiKey", "inferenceKey"]) {
    if (inputs[key] !== undefined) inputs[key] = pulumi.secret(inputs[key]);
  }
  return inputs;
}
