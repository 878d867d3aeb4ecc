// What a stack file says is refused with the path of the field, or arrives unchanged; nothing is altered on the way. Proves it
// up to the release files, the container and the rendered commands; that bash and the supervisor keep it is tested where those
// run (test/core/render, test/node).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parse } from "yaml";
import { lintCluster } from "../../../core/lint/lint-cluster.js";
import { planCluster } from "../../../core/plan/plan-cluster.js";
import { clusterCommands, renderNodeCommands } from "../../../core/render/commands.js";
import { stableJson } from "../../../core/render/stable-json.js";
import { parseClusterSpec } from "../../../core/spec/parse.js";
import { ClusterSpecError, type SpecIssue } from "../../../core/spec/spec-issue.js";
import { repoDir } from "../../../tools/setup/paths.mjs";
import { PLAN_OPTIONS, rawCluster } from "../../support/specs.js";

type Step = string | number;
type Path = readonly Step[];

/** Stack files of every topology; the first has every key. */
const STACKS = ["example", "qwen3-235b-mp-tp8-pp2", "qwen3.5-397b-w8a8-dp2-tp8"].map(
  (stack): unknown =>
    parse(readFileSync(join(repoDir, "stacks", `Pulumi.${stack}.yaml`), "utf8")).config[
      "vllm-ascend:cluster"
    ],
);

const HOSTILE = [
  ...["", " ", "\n", "a\nb", "a\r\nb", "\t", "\0", "\u001b[31m", "\u0085", "\u2028", "\ud800"],
  ...["'", '"', "`id`", "$(id)", "$HOME", "${HOME}", "\\", "\\n", "a'; rm -rf / #", "%s", "*", "~"],
  ...["-", "--", "-rf", "--help", "=", ",", "a,b", ":", "/", "..", "/../etc", "/a//b", "a b"],
  ...[
    "é",
    "é".normalize("NFD"),
    "中文",
    "🙂",
    "\u202etxt",
    "ﬁ",
    "null",
    "true",
    "~",
    "1e3",
    "0x10",
  ],
  ...["__proto__", "constructor", "toString", "x".repeat(100_000), "é".repeat(60_000)],
];

const JUNK: readonly unknown[] = [
  ...[null, true, false, [], {}, [[]], { a: 1 }, [null], ["a", "a"]],
  ...[Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 0.5, 1, 3, 2 ** 31, 2 ** 53, -0, 1e308],
];

describe("a stack file with one value changed", () => {
  const leaves = STACKS.flatMap((stack) => leafPaths(stack).map((path) => ({ stack, path })));

  it("is refused at that value, or arrives with it", () => {
    holds(
      fc.property(
        fc.constantFrom(...leaves),
        fc.oneof(fc.constantFrom(...JUNK), fc.constantFrom(...HOSTILE), fc.string()),
        ({ stack, path }, value) => {
          const raw = changed(stack, path, value);
          const result = parsed(raw);
          if ("issues" in result) assertNames(result.issues, path, value);
          else assertArrives(result.spec, path, value);
        },
      ),
      400,
    );
  });

  it("is refused when a key is missing, or means the default", () => {
    for (const { stack, path } of leaves) {
      const result = parsed(changed(stack, path, undefined));
      if ("issues" in result) assertNames(result.issues, path);
    }
  });

  it("is refused at a key that nobody knows, wherever it stands", () => {
    const maps = STACKS.flatMap((stack) =>
      mapPaths(stack)
        .filter((path) => !isFreeMap(path))
        .map((path) => ({ stack, path })),
    );
    holds(
      fc.property(
        fc.constantFrom(...maps),
        fc.constantFrom("__proto__", "constructor", "toString", "Name", "", "a b", "x".repeat(200)),
        ({ stack, path }, key) => {
          const raw = structuredClone(stack);
          Object.defineProperty(at(raw, path), key, { value: 1, enumerable: true });
          const result = parsed(raw);
          assert.ok("issues" in result, key);
          assert.ok(
            result.issues.some(({ reason }) => reason.startsWith("unknown key")),
            JSON.stringify(result.issues),
          );
        },
      ),
      150,
    );
  });
});

describe("a hostile value", () => {
  const text = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: "binary" }));

  it("reaches the engine byte for byte as variable, node variable, flag and JSON, or is refused at its path", () => {
    holds(
      fc.property(text, (value) => {
        const raw = rawCluster();
        raw.env = { HOSTILE: value };
        raw.nodes[1]!.env = { HOSTILE_NODE: value };
        raw.serve.extraArgs = {
          "chat-template": value,
          "additional-config": { key: value, [`k${value}`]: [value] },
        };
        const result = parsed(raw);
        if ("issues" in result) {
          for (const { path } of result.issues) {
            assert.match(path, /^(env\.HOSTILE|nodes\[1\]\.env\.HOSTILE_NODE|serve\.extraArgs)/);
          }
          return;
        }
        const plan = planCluster(result.spec, PLAN_OPTIONS);
        const [head, member] = plan.nodes.map(({ releases }) => releases.ray!);
        const serve = plan.nodes[0]!.releases.serve;
        // What is staged is this text.
        const staged = JSON.parse(stableJson(serve)) as typeof serve;
        assert.deepEqual(staged, serve);
        assert.equal(head!.env["HOSTILE"], value);
        assert.equal(member!.env["HOSTILE_NODE"], value);
        assert.ok(staged.command!.includes(`--chat-template=${value}`));
        const json = staged.command!.find((word) => word.startsWith("--additional-config="))!;
        assert.deepEqual(JSON.parse(json.slice("--additional-config=".length)), {
          key: value,
          [`k${value}`]: [value],
        });
        assert.ok(staged.command!.every((word) => byteLength(word) < 131_072));
      }),
      100,
    );
  });

  it("is a path of the host unchanged, or refused", () => {
    holds(
      fc.property(text, (value) => {
        const raw = rawCluster();
        raw.model.path = `/data/${value}`;
        raw.container = { mounts: [{ source: `/cache/${value}`, target: "/root/.cache" }] };
        const result = parsed(raw);
        if ("issues" in result) {
          for (const { path } of result.issues) {
            assert.match(path, /^(model\.path|container\.mounts\[0\]\.source)$/);
          }
          return;
        }
        const plan = planCluster(result.spec, PLAN_OPTIONS);
        const sources = plan.nodes[0]!.container.mounts.map(({ source }) => source);
        assert.ok(sources.includes(`/data/${value}`) && sources.includes(`/cache/${value}`));
        assert.equal(plan.nodes[0]!.releases.serve.command![2], `/data/${value}`);
      }),
      100,
    );
  });

  it("as name of a variable is refused at its path, or is a name", () => {
    holds(
      fc.property(text, (name) => {
        const raw = rawCluster();
        raw.env = Object.fromEntries([[name, "x"]]);
        const result = parsed(raw);
        if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && name !== "__proto__") {
          assert.ok("issues" in result || result.spec.env[name] === "x", name);
        } else {
          assert.ok("issues" in result, name);
          assert.ok(result.issues.every(({ path }) => path.startsWith("env")));
        }
      }),
      100,
    );
  });

  it("never ends lint or render with an error, once it is accepted", () => {
    holds(
      fc.property(text, (value) => {
        const raw = rawCluster();
        raw.env = { HCCL_BUFFSIZE: value, VLLM_ENGINE_READY_TIMEOUT_S: value };
        raw.serve.extraArgs = { "additional-config": value };
        const result = parsed(raw);
        if ("issues" in result) return;
        lintCluster(result.spec, { hasApiKey: true });
        const plan = planCluster(result.spec, PLAN_OPTIONS);
        for (const commands of clusterCommands(plan)) renderNodeCommands(plan, commands);
      }),
      100,
    );
  });
});

describe("fields that contradict each other", () => {
  const PORTS = [
    "serve.port",
    "supervisor.port",
    "ray.port",
    "ray.nodeManagerPort",
    "ray.objectManagerPort",
    "ray.runtimeEnvAgentPort",
    "ray.dashboardAgentGrpcPort",
    "ray.dashboardAgentListenPort",
    "ray.metricsExportPort",
  ];

  it("are two ports: the second is refused by the name of the first", () => {
    holds(
      fc.property(
        fc.uniqueArray(fc.constantFrom(...PORTS), { minLength: 2, maxLength: 2 }),
        fc.integer({ min: 20_000, max: 26_000 }),
        (pair, port) => {
          const raw = pair.reduce<unknown>(
            (stack, path) => changed(stack, path.split("."), port),
            STACKS[0],
          );
          const result = parsed(raw);
          assert.ok("issues" in result);
          const [issue, ...others] = result.issues;
          assert.deepEqual(others, []);
          assert.ok(pair.includes(issue!.path));
          assert.ok(pair.some((path) => path !== issue!.path && issue!.reason.includes(path)));
        },
      ),
      100,
    );
  });

  it("are two nodes with one name or one address: the second is refused", () => {
    holds(
      fc.property(
        fc.integer({ min: 2, max: 8 }),
        fc.nat(),
        fc.nat(),
        fc.constantFrom("name" as const, "address" as const),
        (count, first, second, field) => {
          const raw = rawCluster({ nodes: count });
          const [a, b] = [first % count, second % count];
          fc.pre(a !== b);
          raw.nodes[b]![field] = raw.nodes[a]![field];
          const result = parsed(raw);
          assert.ok("issues" in result);
          assert.deepEqual(
            result.issues.map(({ path }) => path),
            [`nodes[${Math.max(a, b)}].${field}`],
          );
        },
      ),
      100,
    );
  });

  it("are parallel sizes that do not cover the NPUs once", () => {
    holds(
      fc.property(
        fc.constantFrom("ray" as const, "data-parallel" as const, "multiprocessing" as const),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        (topology, nodes, tp, pp, dp) => {
          const raw = rawCluster({ nodes, topology });
          Object.assign(raw.serve, { tensorParallelSize: tp, pipelineParallelSize: pp });
          if (topology === "data-parallel") raw.serve.dataParallelSize = dp;
          const result = parsed(raw);
          if (tp * pp * (topology === "data-parallel" ? dp : 1) !== nodes * 8) {
            assert.ok("issues" in result);
            assert.ok(
              result.issues.every(({ path }) => /^serve\.(tensor|data)ParallelSize$/.test(path)),
            );
          } else if ("spec" in result) {
            const ranks = planCluster(result.spec, PLAN_OPTIONS).nodes.flatMap(
              (node) => node.ranks,
            );
            assert.deepEqual(
              ranks,
              Array.from({ length: nodes * 8 }, (_, rank) => rank),
            );
          }
        },
      ),
      150,
    );
  });

  it("are NPUs listed twice or beyond the series", () => {
    holds(
      fc.property(fc.array(fc.integer({ min: -1, max: 9 }), { minLength: 1 }), (ids) => {
        const raw = rawCluster({ nodes: 1 });
        raw.nodes[0]!.visibleDevices = ids;
        raw.serve.tensorParallelSize = ids.length;
        const isGood = new Set(ids).size === ids.length && ids.every((id) => id >= 0 && id <= 7);
        const result = parsed(raw);
        assert.equal("spec" in result, isGood);
        if ("issues" in result) {
          assert.ok(
            result.issues.every(({ path }) => path.startsWith("nodes[0].visibleDevices")),
            JSON.stringify(result.issues),
          );
        }
      }),
      100,
    );
  });
});

/** `fc.assert`, without 100 KB of a counterexample in the report. */
function holds<T>(property: fc.IProperty<T>, numRuns: number): void {
  const { failed, errorInstance, counterexample, seed, counterexamplePath } = fc.check(property, {
    numRuns,
  });
  if (!failed) return;
  const example = fc.stringify(counterexample).slice(-2000);
  assert.fail(
    `seed ${seed}, path ${counterexamplePath}\n${String(errorInstance).slice(0, 2000)}\n${example}`,
  );
}

type Parsed =
  | { readonly spec: ReturnType<typeof parseClusterSpec> }
  | { readonly issues: readonly SpecIssue[] };

function parsed(raw: unknown): Parsed {
  try {
    return { spec: parseClusterSpec(raw) };
  } catch (error) {
    assert.ok(error instanceof ClusterSpecError, String((error as Error).stack));
    assert.ok(error.issues.length > 0);
    assert.ok(error.message.length < 20_000, "a message of bounded length");
    return { issues: error.issues };
  }
}

/** One issue is at the value, or names it where it is at odds with another field. */
function assertNames(issues: readonly SpecIssue[], path: Path, value?: unknown): void {
  const field = path.findLast((step) => typeof step === "string");
  assert.ok(
    issues.some(
      (issue) =>
        dotted(issue.path).startsWith(dottedPath(path)) ||
        dottedPath(path).startsWith(dotted(issue.path)) ||
        issue.reason.includes(String(field)) ||
        // A name that others refer to: they say what the names are now.
        (typeof value === "string" && value !== "" && issue.reason.includes(value)),
    ),
    `${dottedPath(path)}: ${JSON.stringify(issues)}`,
  );
}

function assertArrives(spec: unknown, path: Path, value: unknown): void {
  let found: unknown = spec;
  for (const step of path) found = (found as Readonly<Record<Step, unknown>>)[step];
  assert.deepEqual(found, value);
}

function dotted(path: string): string {
  return path.replaceAll("[", ".").replaceAll(/["\]]/g, "");
}

function dottedPath(path: Path): string {
  return path.join(".");
}

/** Maps whose keys the writer chooses. */
function isFreeMap(path: Path): boolean {
  return path.some((step) => step === "env" || step === "extraArgs");
}

function leafPaths(value: unknown, path: Path = []): Path[] {
  if (value === null || typeof value !== "object") return [path];
  return Object.entries(value).flatMap(([key, inner]) =>
    leafPaths(inner, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

function mapPaths(value: unknown, path: Path = []): Path[] {
  if (value === null || typeof value !== "object") return [];
  const below = Object.entries(value).flatMap(([key, inner]) =>
    mapPaths(inner, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return Array.isArray(value) ? below : [path, ...below];
}

function at(root: unknown, path: Path): object {
  let found = root;
  for (const step of path) found = (found as Record<Step, unknown>)[step];
  return found as object;
}

/** A copy with one value set, or removed by `undefined`. */
function changed(stack: unknown, path: Path, value: unknown): unknown {
  const raw = structuredClone(stack);
  const parent = at(raw, path.slice(0, -1)) as Record<Step, unknown>;
  if (value === undefined) delete parent[path.at(-1)!];
  else parent[path.at(-1)!] = value;
  return raw;
}

function byteLength(text: string): number {
  return Buffer.byteLength(text, "utf8");
}
