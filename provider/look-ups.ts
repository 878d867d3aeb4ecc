import type { GpustackApi } from "./gpustack-api.js";
import type { PropertyMap } from "./property-values.js";

/** Functions of the provider, by token: what programs may ask a server. They need it in previews, too. */
export const lookUps: Readonly<
  Record<string, (api: GpustackApi, args: PropertyMap) => Promise<PropertyMap>>
> = {
  "gpustack:index:getWorkers": async (api) => ({
    workers: (await api.workers()).map((worker) => ({
      name: worker.name,
      ip: worker.ip,
      ifname: worker.ifname ?? "",
      state: worker.state,
      stateMessage: worker.state_message ?? "",
      clusterId: worker.cluster_id ?? 0,
    })),
  }),

  "gpustack:index:getNpus": async (api, { worker }) => {
    const [devices, instances, models] = await Promise.all([
      api.devices(),
      api.instances(),
      api.models(),
    ]);
    const names = new Map(models.map(({ id, name }) => [id, name]));
    return {
      npus: devices
        .filter((device) => worker === undefined || device.worker_name === worker)
        .sort((a, b) => a.worker_name.localeCompare(b.worker_name) || a.index - b.index)
        .map((device) => ({
          id: device.id,
          worker: device.worker_name,
          type: device.type,
          index: device.index,
          name: device.name ?? "",
          memoryBytes: device.memory.total,
          allocatedBytes: device.memory.allocated ?? 0,
          heldBy: instances
            .filter(
              (instance) =>
                instance.worker_name === device.worker_name &&
                (instance.gpu_indexes ?? []).includes(device.index),
            )
            .map(({ model_id }) => names.get(model_id) ?? String(model_id)),
        })),
    };
  },
};
