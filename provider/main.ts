import { readFileSync } from "node:fs";
import { log, output, type Resource, runtime } from "@pulumi/pulumi";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import { main } from "@pulumi/pulumi/provider/index.js";
import { GpustackProvider } from "./provider.js";

/** The process behind `pulumi-resource-gpustack`: the engine starts it with its own address as the argument. */
const args = process.argv.slice(2);
const engineAddress = args.find((arg) => !arg.startsWith("-"));
if (engineAddress !== undefined) {
  // Without an engine of its own the SDK's log would go to standard output, which nobody sees.
  runtime.resetOptions("", "", -1, engineAddress, "", false, "");
}
const report =
  engineAddress === undefined
    ? {}
    : {
        report: (urn: string, line: string) => {
          // A log line belongs to a resource by its URN; there is no resource object in a provider.
          const resource = { urn: output(urn) } as unknown as Resource;
          void log.info(line, resource, undefined, true);
        },
      };
readWithoutState();
await main(new GpustackProvider({ version: packageVersion(), env: process.env, ...report }), args);

/**
 * An import has no state, so the engine sends none, and the SDK's server (3.259, `provider/server.js`) fails on it before the
 * provider is asked.
 */
function readWithoutState(): void {
  type Request = InstanceType<typeof provider.ReadRequest>;
  const { prototype } = provider.ReadRequest;
  const sent = prototype.getProperties;
  const none = { toJavaScript: () => ({}) } as NonNullable<ReturnType<Request["getProperties"]>>;
  prototype.getProperties = function (this: Request) {
    return sent.call(this) ?? none;
  };
}

function packageVersion(): string {
  // From dist/provider as from provider/ the package lies two or one levels up.
  for (const path of ["../../package.json", "../package.json"]) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as {
        name: string;
        version: string;
      };
      if (manifest.name === "pulumi-vllm-ascend") return manifest.version;
    } catch {
      // Not there: the other one is.
    }
  }
  throw new Error(`no package.json of pulumi-vllm-ascend above ${import.meta.url}`);
}
