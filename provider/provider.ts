import type {
  CheckResult,
  CreateResult,
  DiffResult,
  InvokeResult,
  Provider,
  ReadResult,
  UpdateResult,
} from "@pulumi/pulumi/provider/index.js";
import { redact } from "../core/gpustack/server-error.js";
import { backendVersion } from "./backend-version.js";
import { deploymentGroup } from "./deployment-group.js";
import { GpustackApi } from "./gpustack-api.js";
import { type Connection, type Effects, GpustackHttp, realEffects } from "./http.js";
import { lookUps } from "./look-ups.js";
import {
  hasUnknown,
  type PropertyMap,
  secretStrings,
  unwrapped,
  wrapLike,
  wrapSecretEnv,
} from "./property-values.js";
import { type Context, PartialFailure, type ResourceKind } from "./resource.js";

export interface ProviderSettings {
  readonly version: string;
  /** Where the connection comes from when a resource names none. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly effects?: Effects;
  /** Shows one line of progress of a resource. */
  readonly report?: (urn: string, line: string) => void;
}

/**
 * The provider `gpustack`. What reaches it from the engine is unwrapped here, and what goes back is wrapped again: a secret
 * of the program is a secret in the state, and in no message.
 */
export class GpustackProvider implements Provider {
  readonly version: string;
  readonly #abort = new AbortController();

  constructor(private readonly settings: ProviderSettings) {
    this.version = settings.version;
  }

  async check(urn: string, _olds: PropertyMap, news: PropertyMap): Promise<CheckResult> {
    const { inputs, issues } = kindOf(urn).check(unwrapped(news));
    // The engine prints the value of a property that a failure names, so none is named.
    const failures = issues.map(({ property, reason }) => ({
      property: "",
      reason: this.#redacted(`${property}: ${reason}`, news),
    }));
    return { inputs: wrapLike(inputs, news), failures };
  }

  async diff(id: string, urn: string, olds: PropertyMap, news: PropertyMap): Promise<DiffResult> {
    if (hasUnknown(news)) {
      const { replaces = [] } = kindOf(urn).diff(id, plain(olds), {
        ...plain(olds),
        ...known(news),
      });
      return { changes: true, replaces, deleteBeforeReplace: true };
    }
    return kindOf(urn).diff(id, plain(olds), plain(news));
  }

  create(urn: string, inputs: PropertyMap): Promise<CreateResult> {
    return this.#guarded([inputs], async () => {
      const { id, outs } = await kindOf(urn).create(this.#context(urn, inputs), plain(inputs));
      return { id, outs: wrapLike(outs, inputs) };
    });
  }

  read(id: string, urn: string, props: PropertyMap = {}): Promise<ReadResult> {
    return this.#guarded([props], async () => {
      const found = await kindOf(urn).read(this.#context(urn, props), id, plain(props));
      if (found === undefined) return { id: undefined as unknown as string, props: {} };
      return {
        id: found.id,
        props: wrapSecretEnv(wrapLike(found.props, props)),
        inputs: wrapSecretEnv(wrapLike(found.inputs, props)),
      };
    });
  }

  update(_id: string, urn: string, olds: PropertyMap, news: PropertyMap): Promise<UpdateResult> {
    return this.#guarded([news, olds], async () => {
      const outs = await kindOf(urn).update(this.#context(urn, news), plain(olds), plain(news));
      return { outs: wrapLike(outs, news) };
    });
  }

  delete(_id: string, urn: string, props: PropertyMap): Promise<void> {
    return this.#guarded([props], () =>
      kindOf(urn).delete(this.#context(urn, props), plain(props)),
    );
  }

  invoke(token: string, args: PropertyMap): Promise<InvokeResult> {
    return this.#guarded([args], async () => {
      const lookUp = lookUps[token];
      if (lookUp === undefined) throw new Error(`the provider gpustack has no function ${token}`);
      const outputs = await lookUp(this.#context("", args).api, plain(args));
      return { outputs: wrapLike(outputs) };
    });
  }

  async cancel(): Promise<void> {
    this.#abort.abort();
  }

  /** Errors without secrets; what a failed change has left behind goes along. */
  async #guarded<T>(values: readonly PropertyMap[], work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const message = this.#redacted(
        error instanceof Error ? error.message : String(error),
        ...values,
      );
      const clean = new Error(message);
      // The engine's SDK prints stacks to a log of its own; ours would say nothing about the cause.
      clean.stack = message;
      if (!(error instanceof PartialFailure)) throw clean;
      const properties = { ...error.properties, problem: message };
      throw Object.assign(clean, {
        id: error.id,
        properties: wrapLike(properties, ...values),
        reasons: [message],
      });
    }
  }

  #context(urn: string, values: PropertyMap): Context {
    const http = new GpustackHttp(
      this.#connection(plain(values)),
      this.settings.effects ?? realEffects,
    );
    const inferenceKey =
      (plain(values)["inferenceKey"] as string | undefined) ??
      this.settings.env["GPUSTACK_INFERENCE_KEY"];
    return {
      api: new GpustackApi(http),
      ...(inferenceKey ? { inferenceKey } : {}),
      signal: this.#abort.signal,
      report: (line) => this.settings.report?.(urn, this.#redacted(line, values)),
    };
  }

  #connection(values: PropertyMap): Connection {
    const { env } = this.settings;
    const url = (values["url"] as string | undefined) ?? env["GPUSTACK_URL"];
    const apiKey = (values["apiKey"] as string | undefined) ?? env["GPUSTACK_API_KEY"];
    if (url === undefined || apiKey === undefined || url === "" || apiKey === "") {
      const missing = [
        ...(url ? [] : ["GPUSTACK_URL (http://<server>)"]),
        ...(apiKey ? [] : ["GPUSTACK_API_KEY (of scope management)"]),
      ];
      throw new Error(
        `no connection to GPUStack: set ${missing.join(" and ")} in the environment of pulumi, or the inputs url and apiKey as secrets`,
      );
    }
    return { url: url.replace(/\/+$/, ""), apiKey };
  }

  #redacted(text: string, ...values: readonly PropertyMap[]): string {
    const secrets = new Map(values.flatMap((value) => [...secretStrings(value)]));
    // Where the server is helps whoever reads the error; it is no password.
    for (const [value, path] of secrets) if (path === "url") secrets.delete(value);
    const apiKey = this.settings.env["GPUSTACK_API_KEY"];
    if (apiKey !== undefined) secrets.set(apiKey, "API key");
    return redact(text, secrets);
  }
}

const KINDS: Readonly<Record<string, ResourceKind>> = {
  "gpustack:index:BackendVersion": backendVersion,
  "gpustack:index:DeploymentGroup": deploymentGroup,
};

/** `urn:pulumi:<stack>::<project>::<parent types>$<type>::<name>` */
function kindOf(urn: string): ResourceKind {
  const type = urn.split("::")[2]?.split("$").at(-1) ?? "";
  const kind = KINDS[type];
  if (kind === undefined) throw new Error(`the provider gpustack has no resource ${type}`);
  return kind;
}

function plain(values: PropertyMap): PropertyMap {
  return unwrapped(values) as PropertyMap;
}

/** The properties that are wholly known. */
function known(values: PropertyMap): PropertyMap {
  return Object.fromEntries(
    Object.entries(plain(values)).filter(([, value]) => !hasUnknown(value)),
  );
}
