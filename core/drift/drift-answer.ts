import { z } from "zod";

/** What `node/drift-facts.sh` adds to the facts of a host. */
export interface DriftAnswer {
  readonly areSumsKnown: boolean;
  /** SHA-256 by path; a file that is not there has none. */
  readonly sums: ReadonlyMap<string, string>;
  /** Permissions as of `stat -c %a` and user id, by path. */
  readonly modes: ReadonlyMap<string, { readonly mode: string; readonly owner: number }>;
  /** `docker container inspect`; absent when docker told nothing that is understood. */
  readonly container?: InspectedContainer;
  /** By `ray` and `serve`; absent when the supervisor was not asked, or is too old to tell. */
  readonly processes?: Readonly<Record<string, RunningProcess>>;
  readonly processesProblem?: string;
}

export type InspectedContainer = z.output<typeof containerSchema>;
export type RunningProcess = z.output<typeof processSchema>;

/** Never throws: what is not understood is absent. */
export function parseDriftAnswer(answer: string): DriftAnswer {
  const lines = answer.replaceAll("\r", "").split("\n");
  const facts = lines.slice(lines.indexOf("facts\t1") + 1).map((line) => line.split("\t"));
  const of = (kind: string) => facts.filter(([first]) => first === kind);
  const [processes = []] = of("processes");
  const container = containerSchema.safeParse(decoded(of("container-json")[0]?.[3]));
  const running = z.record(z.string(), processSchema).safeParse(decoded(processes[2]));
  return {
    areSumsKnown: of("sums").length > 0,
    sums: new Map(of("sum").map(([, path = "", sum = ""]) => [path, sum])),
    modes: new Map(
      of("mode").map(([, path = "", mode = "", owner = ""]) => [
        path,
        { mode, owner: Number(owner) },
      ]),
    ),
    ...(container.success ? { container: container.data } : {}),
    ...(running.success ? { processes: running.data } : {}),
    ...(processes[1] === "error" ? { processesProblem: processes[2] ?? "" } : {}),
  };
}

function decoded(text: string | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(text ?? "", "base64").toString("utf8"));
  } catch {
    return undefined;
  }
}

/** @see docker 20.10 to 28, `docker container inspect` */
const containerSchema = z.object({
  Image: z.string(),
  Config: z.object({
    Cmd: z.array(z.string()).nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
  }),
  HostConfig: z.object({
    Privileged: z.boolean().nullish(),
    NetworkMode: z.string().nullish(),
    Runtime: z.string().nullish(),
    ShmSize: z.number().nullish(),
    RestartPolicy: z.object({ Name: z.string() }).nullish(),
    SecurityOpt: z.array(z.string()).nullish(),
    Devices: z.array(z.object({ PathOnHost: z.string() })).nullish(),
    Binds: z.array(z.string()).nullish(),
    Mounts: z
      .array(
        z.object({
          Source: z.string().default(""),
          Target: z.string(),
          ReadOnly: z.boolean().default(false),
        }),
      )
      .nullish(),
    Ulimits: z.array(z.object({ Name: z.string(), Hard: z.number(), Soft: z.number() })).nullish(),
  }),
});

const processSchema = z.object({
  hash: z.string().nullable(),
  command: z.array(z.string()),
  /** `null`: the process has overwritten its environment with a title. */
  env: z.record(z.string(), z.string().nullable()).nullable(),
});
