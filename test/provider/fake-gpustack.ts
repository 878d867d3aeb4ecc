/**
 * A GPUStack 2.3.0 server in memory, with workers, on a clock of its own: what the recordings show, as far as the provider
 * meets it. `test/gpustack/` runs the same flows on the real server; what differs there is a bug here.
 */

type Json = Record<string, unknown>;

export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly body: Json;
}

interface FakeModel extends Json {
  id: number;
  name: string;
  replicas: number;
  cluster_id: number;
  env: Record<string, string>;
  backend_parameters: string[];
  gpu_selector: { gpu_ids: string[]; gpus_per_replica?: number };
  distributed_inference_across_workers: boolean;
  restart_on_error: boolean;
}

interface FakeInstance extends Json {
  id: number;
  model_id: number;
  name: string;
  state: string;
  state_message: string;
  worker_name: string | null;
  gpu_indexes: number[] | null;
  restart_count: number;
  since: number;
}

export const FAKE_URL = "http://gpustack.test";
export const FAKE_KEY = "gpustack_0123456789abcdef_0123456789abcdef0123456789abcdef";

export const FAKE_INFERENCE_KEY = "gpustack_fedcba9876543210_fedcba9876543210fedcba9876543210";

export class FakeGpustack {
  now = 1_000_000;
  readonly requests: FakeRequest[] = [];
  readonly workers = new Map(
    ["node-a", "node-b", "node-c"].map((name, index) => [
      name,
      { id: index + 1, name, ip: `10.0.0.${index + 1}`, ifname: "enp67s0f0", state: "ready" },
    ]),
  );
  backends = new Map<string, Json & { id: number; version_configs: Record<string, Json> }>([
    ["vLLM", { ...BUILT_IN_ROW, id: 1, backend_name: "vLLM", version_configs: {} }],
  ]);
  readonly models = new Map<number, FakeModel>();
  readonly instances = new Map<number, FakeInstance>();
  /** Names with a route; a peer has none. */
  readonly routes = new Set<string>();
  isDown = false;
  /** Completions that were answered. */
  readonly completions: Json[] = [];
  /** How many completions get 503 although the head runs. */
  routeDelay = 0;
  private nextId = 1;
  private readonly faults: {
    match: RegExp;
    answer: "lost" | "dropped" | "refused";
    times: number;
  }[] = [];
  private readonly timers: { at: number; run: () => void }[] = [];

  /** The next requests that match `<method> <path>`: done but answered 500, not done and answered 500, or not answered. */
  fail(match: RegExp, answer: "lost" | "dropped" | "refused", times = 1): void {
    this.faults.push({ match, answer, times });
  }

  /** Something that happens while the provider waits. */
  after(ms: number, run: () => void): void {
    this.timers.push({ at: this.now + ms, run });
  }

  readonly sleep = async (ms: number): Promise<void> => {
    const end = this.now + ms;
    while (this.now < end) {
      this.now += Math.min(500, end - this.now);
      for (const timer of this.timers.splice(0)) {
        if (timer.at <= this.now) timer.run();
        else this.timers.push(timer);
      }
      this.advance();
    }
    await Promise.resolve();
  };

  readonly fetch = (async (input: string | URL | Request, init: RequestInit = {}) => {
    await Promise.resolve();
    const { pathname, search } = new URL(input as string);
    const method = init.method ?? "GET";
    const raw = typeof init.body === "string" ? (JSON.parse(init.body) as Json) : {};
    const request = { method, path: `${pathname}${search}`, body: raw };
    this.requests.push(request);
    if (this.isDown)
      throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
    const fault = this.faults.find(
      ({ match, times }) => times > 0 && match.test(`${method} ${request.path}`),
    );
    if (fault !== undefined) {
      fault.times -= 1;
      if (fault.answer === "refused") {
        throw new TypeError("fetch failed", { cause: new Error("other side closed") });
      }
      if (fault.answer === "lost") this.answer(request);
      return reply(500, { code: 500, reason: "InternalServerError", message: "Failed" });
    }
    if (pathname === "/v1/chat/completions") return this.complete(init.headers, raw);
    const headers = init.headers as Record<string, string>;
    if (headers["authorization"] !== `Bearer ${FAKE_KEY}`) {
      return reply(401, {
        code: 401,
        reason: "Unauthorized",
        message: "Invalid authentication credentials",
      });
    }
    const { status, body } = this.answer(request);
    return reply(status, body);
  }) as typeof fetch;

  private complete(headers: unknown, body: Json): Response {
    const { authorization } = headers as Record<string, string>;
    if (authorization === `Bearer ${FAKE_KEY}`) {
      const message = "API key does not have permission to access inference features";
      return reply(403, { code: 403, reason: "Forbidden", message });
    }
    if (authorization !== `Bearer ${FAKE_INFERENCE_KEY}`) {
      return reply(401, { error: { message: "Invalid authentication credentials", code: 401 } });
    }
    const model = String(body["model"]);
    if (!this.routes.has(model))
      return reply(404, { error: { message: "Model not found", code: 404 } });
    if (this.instancesOf(model)[0]?.state !== "running" || this.routeDelay-- > 0) {
      return reply(503, { error: { message: "No running instances available", code: 503 } });
    }
    this.completions.push(body);
    return reply(200, { model, choices: [{ message: { content: "Hello" } }] });
  }

  model(name: string): FakeModel {
    const found = [...this.models.values()].find((model) => model.name === name);
    if (found === undefined) throw new Error(`the fake has no model ${name}`);
    return found;
  }

  instancesOf(name: string): FakeInstance[] {
    const { id } = this.model(name);
    return [...this.instances.values()].filter(({ model_id }) => model_id === id);
  }

  /** Writes that reached the server, as `<method> <path>`. */
  writes(): string[] {
    return this.requests
      .filter(({ method }) => method !== "GET")
      .map(({ method, path, body }) => {
        const replicas =
          body["replicas"] === undefined ? "" : ` replicas=${Number(body["replicas"])}`;
        return `${method} ${path}${method === "POST" ? ` ${String(body["name"])}` : ""}${replicas}`;
      });
  }

  private answer({ method, path, body }: FakeRequest): { status: number; body: unknown } {
    const [url = "", query = ""] = path.split("?");
    const route = `${method} ${url}`;
    const id = Number(/\/(\d+)(\/|$)/.exec(url)?.[1]);
    if (route === "GET /v2/workers")
      return list([...this.workers.values()].map((w) => ({ ...w, cluster_id: 1 })));
    if (route === "GET /v2/gpu-devices") return list(this.devices());
    if (route === "GET /v2/model-instances") return list([...this.instances.values()]);
    if (route === "GET /v2/models") return list([...this.models.values()]);
    if (route === "POST /v2/models") return this.createModel(body);
    if (/^GET \/v2\/models\/\d+\/instances$/.test(route)) {
      return list([...this.instances.values()].filter(({ model_id }) => model_id === id));
    }
    if (/^PUT \/v2\/models\/\d+$/.test(route)) return this.putModel(id, body);
    if (/^DELETE \/v2\/models\/\d+$/.test(route)) {
      if (!this.models.delete(id)) return notFound("Model not found");
      for (const [key, { model_id }] of this.instances)
        if (model_id === id) this.instances.delete(key);
      return { status: 200, body: null };
    }
    if (route === "GET /v2/inference-backends/list" && query !== "") {
      return list(
        [...this.backends.values()].map((row) => ({
          backend_name: row["backend_name"],
          versions: ["0.30.0", ...Object.keys(row.version_configs)].map((version) => ({ version })),
        })),
      );
    }
    const name = /^GET \/v2\/inference-backends\/backend_name\/(.+)$/.exec(route)?.[1];
    if (name !== undefined) {
      const row = this.backends.get(decodeURIComponent(name));
      return row === undefined
        ? {
            status: 400,
            body: {
              code: 400,
              reason: "BadRequest",
              message: `Inference backend ${name} not found`,
            },
          }
        : { status: 200, body: structuredClone(row) };
    }
    if (/^PUT \/v2\/inference-backends\/\d+$/.test(route)) return this.putBackend(id, body);
    return { status: 404, body: { detail: "Not Found" } };
  }

  private createModel(body: Json) {
    const { name } = body;
    if ([...this.models.values()].some((model) => model.name === name)) {
      return {
        status: 409,
        body: {
          code: 409,
          reason: "AlreadyExists",
          message: `Model with name '${String(name)}' already exists.`,
        },
      };
    }
    const invalid = Object.entries((body["env"] ?? {}) as Json).find(
      ([, value]) => typeof value !== "string",
    );
    if (invalid !== undefined)
      return echoed(`('body', 'env', '${invalid[0]}')`, "Input should be a valid string", body);
    const { enable_model_route, ...kept } = body;
    const model = {
      ...MODEL_DEFAULTS,
      ...kept,
      id: this.nextId++,
      updated_at: String(this.now),
    } as unknown as FakeModel;
    this.models.set(model.id, model);
    if (enable_model_route === true) this.routes.add(model.name);
    this.schedule(model);
    return { status: 200, body: model };
  }

  /** A sparse merge that turns distribution over workers on where it is left out. */
  private putModel(id: number, body: Json) {
    const model = this.models.get(id);
    if (model === undefined) return notFound("Model not found");
    for (const field of ["name", "source"]) {
      if (body[field] === undefined) return echoed(`('body', '${field}')`, "Field required", body);
    }
    const { enable_model_route: _ignored, ...kept } = body;
    Object.assign(model, { distributed_inference_across_workers: true, ...kept });
    this.schedule(model);
    return { status: 200, body: model };
  }

  /** A full replace: what is left out is gone. */
  private putBackend(id: number, body: Json) {
    const name = String(body["backend_name"]);
    const row = this.backends.get(name);
    if (row?.id !== id) return notFound(`Inference backend ${id} not found`);
    const versions = (body["version_configs"] ?? {}) as Record<string, Json>;
    const bad = Object.keys(versions).find((version) => !version.endsWith("-custom"));
    if (bad !== undefined) {
      return {
        status: 400,
        body: {
          code: 400,
          reason: "BadRequest",
          message: `Custom backend version '${bad}' must end with '-custom'`,
        },
      };
    }
    this.backends.set(name, {
      ...structuredClone(body),
      id,
      version_configs: structuredClone(versions),
    } as never);
    return { status: 200, body: { ...body, id } };
  }

  private schedule(model: FakeModel): void {
    const own = [...this.instances.values()].filter(({ model_id }) => model_id === model.id);
    if (model.replicas === 0)
      for (const { id } of own) this.after(1500, () => this.instances.delete(id));
    if (model.replicas === 1 && own.length === 0) {
      const id = this.nextId++;
      this.instances.set(id, {
        id,
        model_id: model.id,
        model_name: model.name,
        name: `${model.name}-${id}`,
        state: "pending",
        state_message: "",
        worker_name: null,
        gpu_indexes: null,
        restart_count: 0,
        since: this.now,
      });
    }
  }

  /** Moves instances on, one state a second, as workers and scheduler do. */
  private advance(): void {
    for (const instance of this.instances.values()) {
      const model = this.models.get(instance.model_id);
      if (model === undefined || this.now - instance.since < 1000) continue;
      const next = this.nextState(instance, model);
      if (next === undefined) continue;
      Object.assign(instance, next, { since: this.now });
    }
  }

  private nextState(instance: FakeInstance, model: FakeModel): Partial<FakeInstance> | undefined {
    const [first = ""] = model.gpu_selector.gpu_ids;
    const worker = this.workers.get(first.split(":")[0]!);
    const version = String(model["backend_version"]);
    const known = this.backends.get(String(model["backend"]))?.version_configs[version];
    const isHeadless = model.backend_parameters.some((entry) => /--headless/.test(entry));
    switch (instance.state) {
      case "pending":
        return worker === undefined || known === undefined
          ? { state_message: "no suitable worker" }
          : {
              state: "starting",
              worker_name: worker.name,
              gpu_indexes: model.gpu_selector.gpu_ids.map((id) => Number(id.split(":")[2])),
            };
      case "starting": {
        const text = model.env["FAKE_FAIL"];
        if (text !== undefined) return { state: "error", state_message: text };
        if (isHeadless) return undefined;
        const needsPeer = model.backend_parameters.some((entry) =>
          /--data-parallel-size[= ]2/.test(entry),
        );
        const hasPeer = [...this.instances.values()].some(
          (other) =>
            other.state === "starting" &&
            (this.models.get(other.model_id)?.backend_parameters ?? []).some((entry) =>
              /--headless/.test(entry),
            ),
        );
        return !needsPeer || hasPeer ? { state: "running", state_message: "" } : undefined;
      }
      case "error":
        return model.restart_on_error
          ? { state: "starting", state_message: "", restart_count: instance.restart_count + 1 }
          : undefined;
      default:
        return undefined;
    }
  }

  private devices(): Json[] {
    return [...this.workers.values()].flatMap(({ name }) =>
      Array.from({ length: 8 }, (_, index) => ({
        id: `${name}:cann:${index}`,
        type: "cann",
        index,
        name: "910B3",
        worker_name: name,
        memory: { total: 64 * 2 ** 30, allocated: 0 },
      })),
    );
  }
}

function list(items: readonly unknown[]) {
  return {
    status: 200,
    body: { items: structuredClone(items), pagination: { total: items.length } },
  };
}

function notFound(message: string) {
  return { status: 404, body: { code: 404, reason: "NotFound", message } };
}

/** As FastAPI writes it: the Python form of the whole request. */
function echoed(place: string, message: string, body: Json) {
  const text = `1 validation errors:\n  {'type': 'x', 'loc': ${place}, 'msg': '${message}', 'input': ${JSON.stringify(body).replaceAll('"', "'")}}\n`;
  return { status: 422, body: { code: 422, reason: "Invalid", message: text } };
}

function reply(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json" },
  });
}

const BUILT_IN_ROW: Json = {
  backend_source: "built_in",
  is_built_in: true,
  enabled: true,
  default_version: null,
  default_backend_param: [],
  default_run_command: "",
  source_name: null,
  source_type: null,
  created_at: "2026-11-22T13:10:21.783879Z",
  updated_at: "2026-11-22T13:10:21.783898Z",
};

const MODEL_DEFAULTS: Json = {
  description: null,
  model_scope_model_id: null,
  huggingface_repo_id: null,
  local_path: null,
  categories: [],
  meta: {},
  distributed_inference_across_workers: true,
  restart_on_error: true,
};
