import type { DeploymentGroupArgs } from "../../core/gpustack/inputs.js";
import type { PropertyMap } from "../../provider/property-values.js";
import { unwrapped } from "../../provider/property-values.js";
import { GpustackProvider } from "../../provider/provider.js";
import { FAKE_KEY, FAKE_URL, type FakeGpustack } from "./fake-gpustack.js";

export const GROUP_URN = "urn:pulumi:test::project::gpustack:index:DeploymentGroup::pair";
export const VERSION_URN = "urn:pulumi:test::project::gpustack:index:BackendVersion::version";

export const VERSION = {
  version: "0.18.0rc1-custom",
  imageName: "quay.io/ascend/vllm-ascend:v0.18.0rc1",
};

/** The pair of the DP2 x TP8 document, as far as the rules look. */
export function aPair(change: (group: DeploymentGroupArgs) => void = () => undefined) {
  const shared = [
    "--data-parallel-size 2 --tensor-parallel-size 8",
    "--data-parallel-size-local=1",
    "--data-parallel-address=10.0.0.1",
    "--data-parallel-rpc-port=13389",
    "--seed=1024",
  ];
  const member = (worker: string, ip: string, own: string[]) => ({
    name: `qwen-${worker === "node-a" ? 1 : 2}`,
    gpuIds: Array.from({ length: 8 }, (_, index) => `${worker}:cann:${index}`),
    backendParameters: [...shared, ...own],
    env: { HCCL_IF_IP: ip, HCCL_SOCKET_IFNAME: "enp67s0f0", GPUSTACK_SKIP_GPU_COUNT_CHECK: "1" },
  });
  const group: DeploymentGroupArgs = {
    members: [
      member("node-a", "10.0.0.1", ["--api-server-count=2"]),
      member("node-b", "10.0.0.2", ["--data-parallel-start-rank=1", "--headless"]),
    ],
    modelScopeModelId: "Eco-Tech/Qwen3.5-397B-A17B-w8a8-mtp",
    backendVersion: VERSION.version,
    readyTimeoutSec: 600,
  };
  change(group);
  return group as unknown as PropertyMap;
}

export function providerOn(fake: FakeGpustack, env: Record<string, string> = {}) {
  const lines: string[] = [];
  const provider = new GpustackProvider({
    version: "0.0.0",
    env: { GPUSTACK_URL: FAKE_URL, GPUSTACK_API_KEY: FAKE_KEY, ...env },
    effects: { fetch: fake.fetch, now: () => fake.now, sleep: fake.sleep },
    report: (_urn, line) => lines.push(line),
  });
  return { provider, lines };
}

/** What the engine does with a resource, without the engine: check, then diff, then create or update, then keep the state. */
export class Stack {
  id: string | undefined;
  state: PropertyMap = {};
  readonly lines: string[];
  readonly provider: GpustackProvider;

  constructor(
    readonly urn: string,
    fake: FakeGpustack,
  ) {
    ({ provider: this.provider, lines: this.lines } = providerOn(fake));
  }

  get plain(): Record<string, unknown> {
    return unwrapped(this.state) as Record<string, unknown>;
  }

  async up(inputs: PropertyMap): Promise<"create" | "update" | "replace" | "same"> {
    const checked = await this.provider.check(this.urn, {}, inputs);
    if ((checked.failures ?? []).length > 0) {
      throw new Error((checked.failures ?? []).map(({ reason }) => reason).join("\n"));
    }
    const news = checked.inputs as PropertyMap;
    if (this.id === undefined) {
      await this.create(news);
      return "create";
    }
    const diff = await this.provider.diff(this.id, this.urn, this.state, news);
    if (diff.changes !== true) return "same";
    if ((diff.replaces ?? []).length > 0) {
      await this.destroy();
      await this.create(news);
      return "replace";
    }
    await this.keep(async () => {
      const { outs } = await this.provider.update(this.id!, this.urn, this.state, news);
      this.state = outs as PropertyMap;
    });
    return "update";
  }

  async refresh(): Promise<void> {
    const { id, props } = await this.provider.read(this.id!, this.urn, this.state);
    this.id = id;
    this.state = (props ?? {}) as PropertyMap;
  }

  async import(id: string): Promise<PropertyMap> {
    const { props, inputs, id: found } = await this.provider.read(id, this.urn, {});
    this.id = found;
    this.state = props as PropertyMap;
    return inputs as PropertyMap;
  }

  async destroy(): Promise<void> {
    await this.provider.delete(this.id!, this.urn, this.state);
    this.id = undefined;
    this.state = {};
  }

  private async create(news: PropertyMap): Promise<void> {
    await this.keep(async () => {
      const { id, outs } = await this.provider.create(this.urn, news);
      this.id = id;
      this.state = outs as PropertyMap;
    });
  }

  /** A failure that carries an id and properties is kept, as the engine does. */
  private async keep(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { id, properties } = error as { id?: string; properties?: PropertyMap };
      if (id !== undefined) {
        this.id = id;
        this.state = properties ?? {};
      }
      throw error;
    }
  }
}
