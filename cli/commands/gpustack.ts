import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { Command } from "commander";
import { type Document, parseDocument } from "yaml";
import { AdoptError, type Adoption, adoptGroup } from "../../core/gpustack/adopt.js";
import { shellQuote } from "../../core/render/quote.js";
import { StepError, UsageError } from "../errors.js";
import { fromServer, gpustackFromEnv } from "../gpustack-connection.js";
import { positiveInteger } from "../numbers.js";
import { addStackOptions, type StackOptions, stackPlace } from "../stack.js";

interface AdoptCommandOptions extends StackOptions {
  readonly cluster?: string;
  readonly maxModelLen?: number;
}

/** `vllm-cluster gpustack`: what concerns a GPUStack server only. */
export function addGpustackCommand(program: Command): void {
  const group = program
    .command("gpustack")
    .summary("take over deployments that exist on a GPUStack server");
  addStackOptions(group.command("adopt"))
    .argument("<deployment>", "name of the model in the API: the deployment of the head")
    .summary("write the stack file of deployments that exist")
    .description(
      "Reads a deployment of GPUStack with all members of its data-parallel group, writes the stack file that makes just\n" +
        "these, and a file for `pulumi import`. Changes nothing on the server. Variables that look like secrets are not\n" +
        "written; the command says how to set them. What a stack file cannot say is told, and nothing is written.\n" +
        "Needs GPUSTACK_URL and GPUSTACK_API_KEY (of scope management) in the environment.",
    )
    .option(
      "--cluster <name>",
      "name of the cluster in the stack file; default from the deployment",
    )
    .option(
      "--max-model-len <tokens>",
      "when the deployment leaves it to the model",
      positiveInteger,
    )
    .addHelpText(
      "after",
      `
Examples:
  vllm-cluster gpustack adopt qwen3.5-397b-1 --stack production
  vllm-cluster gpustack adopt qwen3.5-397b-1 --file stacks/Pulumi.production.yaml --cluster qwen`,
    )
    .action(async (deployment: string, options: AdoptCommandOptions) => {
      const place = stackPlace(options);
      const file = openStackFile(place.file, place.namespace);
      const api = gpustackFromEnv();
      const [models, workers, devices, backend] = await fromServer(() =>
        Promise.all([api.models(), api.workers(), api.devices(), api.backend("vLLM")]),
      );
      const adoption = adopted(() =>
        adoptGroup(deployment, { models, workers, devices, backend }, options),
      );
      const imports = join(dirname(place.file), `import-${place.name.split("/").at(-1)!}.json`);
      writeFileSync(place.file, withCluster(file, place.namespace, adoption));
      writeFileSync(imports, `${JSON.stringify(adoption.imports, undefined, 2)}\n`);
      process.stdout.write(nextSteps(adoption, place, imports));
    });
}

function adopted(read: () => Adoption): Adoption {
  try {
    return read();
  } catch (error) {
    if (error instanceof AdoptError) throw new StepError(error.message);
    throw error;
  }
}

/** The file of the stack, which `pulumi stack init` may have made already. */
function openStackFile(path: string, namespace: string): Document {
  const document = parseDocument(existsSync(path) ? readFileSync(path, "utf8") : "");
  if (document.errors.length > 0) {
    throw new UsageError(`${path} cannot be read: ${document.errors[0]!.message}`);
  }
  for (const key of ["cluster", "gpustack"]) {
    if (document.hasIn(["config", `${namespace}:${key}`])) {
      throw new UsageError(`${path} has a key ${namespace}:${key} already; choose another stack`);
    }
  }
  return document;
}

function withCluster(
  document: Document,
  namespace: string,
  { cluster, gpustack }: Adoption,
): string {
  const set = (key: string, value: unknown) => {
    document.setIn(["config", `${namespace}:${key}`], document.createNode(value));
  };
  if (!document.hasIn(["config"])) document.set("config", document.createNode({}));
  set("cluster", cluster);
  set("gpustack", gpustack);
  return document.toString({ lineWidth: 0 });
}

function nextSteps(
  { secretEnv, plan }: Adoption,
  { file, name, namespace }: ReturnType<typeof stackPlace>,
  imports: string,
): string {
  const here = (path: string) => shellQuote(relative(process.cwd(), path) || path);
  const stack = `--stack ${shellQuote(name)}`;
  const commands = [
    `pulumi stack select --create ${shellQuote(name)}`,
    ...secretEnv.map(
      (variable) =>
        `pulumi config set --secret --path ${shellQuote(`${namespace}:gpustackSecretEnv.${variable}`)} ${stack}   # asks for the value`,
    ),
    `pulumi import --file ${here(imports)} --generate-code=false --protect=false ${stack}`,
    `pulumi preview ${stack}   # shows no change`,
  ];
  const deployments = plan.group.members.map((member) => member.name).join(", ");
  return [
    `${deployments}: written as cluster ${plan.cluster} to ${here(file)}, ids to import to ${here(imports)}.`,
    "Nothing was changed on the server. With GPUSTACK_URL and GPUSTACK_API_KEY in the environment:",
    ...commands.map((command) => `  ${command}`),
    "",
  ].join("\n");
}
