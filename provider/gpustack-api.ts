import { z } from "zod";
import {
  type BackendRow,
  backendRow,
  type DeviceRow,
  deviceRow,
  type InstanceRow,
  instanceRow,
  type ModelRow,
  modelRow,
  page,
  type UsableBackend,
  usableBackend,
  type WorkerRow,
  workerRow,
} from "../core/gpustack/api.js";
import type { ModelBody } from "../core/gpustack/deployment.js";
import { GpustackError, type GpustackHttp, isMissing, type RequestOptions } from "./http.js";

/** Changes of a deployment, which the server answers with its row. */
export type Secrets = ReadonlyMap<string, string>;

/** The calls of GPUStack's REST API that the provider needs. */
export class GpustackApi {
  constructor(readonly http: GpustackHttp) {}

  async workers(options?: RequestOptions): Promise<readonly WorkerRow[]> {
    return (await this.http.get("/v2/workers?page=-1", page(workerRow), options)).items;
  }

  async devices(): Promise<readonly DeviceRow[]> {
    return (await this.http.get("/v2/gpu-devices?page=-1", page(deviceRow))).items;
  }

  /** All deployments: the server ignores `name` as a filter and searches for parts of names. */
  async models(options?: RequestOptions): Promise<readonly ModelRow[]> {
    return (await this.http.get("/v2/models?page=-1", page(modelRow), options)).items;
  }

  async instances(): Promise<readonly InstanceRow[]> {
    return (await this.http.get("/v2/model-instances?page=-1", page(instanceRow))).items;
  }

  /** Instances of a deployment; none when it is gone. */
  async instancesOf(modelId: number, options?: RequestOptions): Promise<readonly InstanceRow[]> {
    try {
      const path = `/v2/models/${modelId}/instances?page=-1`;
      return (await this.http.get(path, page(instanceRow), options)).items;
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  async usableBackends(clusterId: number): Promise<readonly UsableBackend[]> {
    const path = `/v2/inference-backends/list?cluster_id=${clusterId}`;
    return (await this.http.get(path, page(usableBackend))).items;
  }

  /** The row of a backend; undefined when there is none (the server answers 400 to that, and 404 elsewhere). */
  async backend(name: string): Promise<BackendRow | undefined> {
    const path = `/v2/inference-backends/backend_name/${encodeURIComponent(name)}`;
    try {
      return await this.http.get(path, backendRow);
    } catch (error) {
      if (isMissing(error)) return undefined;
      if (
        error instanceof GpustackError &&
        error.status === 400 &&
        /not found/.test(error.message)
      ) {
        return undefined;
      }
      throw error;
    }
  }

  putBackend(id: number, body: object, secrets: Secrets): Promise<BackendRow> {
    return this.http.send("PUT", `/v2/inference-backends/${id}`, backendRow, { body, secrets });
  }

  createModel(body: ModelBody, secrets: Secrets): Promise<ModelRow> {
    return this.http.send("POST", "/v2/models", modelRow, { body, secrets });
  }

  putModel(id: number, body: ModelBody, secrets: Secrets): Promise<ModelRow> {
    return this.http.send("PUT", `/v2/models/${id}`, modelRow, { body, secrets });
  }

  async deleteModel(id: number): Promise<void> {
    await this.http.send("DELETE", `/v2/models/${id}`, z.unknown());
  }
}
