// Runs the real facts.sh with the machine's own tools and a fake `docker`, and reads its answer with the real parser.
// Does not prove that docker answers so: the lab does.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseDriftAnswer } from "../../core/drift/drift-answer.js";
import {
  type HostFacts,
  parseHostFacts,
  parsePeerFacts,
  weightsBytes,
} from "../../core/facts/host-facts.js";

const NODE_DIR = join(dirname(fileURLToPath(import.meta.url)), "../../node");
/** As the gate sends them: functions first. */
const SCRIPT = ["npu-facts.sh", "peer-facts.sh", "drift-facts.sh", "facts.sh"]
  .map((name) => readFileSync(join(NODE_DIR, name), "utf8"))
  .join("");
const IMAGE = "registry.example/vllm@sha256:00";
const OWN_PATH = "PATH=/usr/local/sbin:";

/** Answers like docker 20.10; `docker.fail` beside it makes the daemon silent. */
const FAKE_DOCKER = `#!/bin/bash
here=$(dirname "$0")
if [ -e "$here/docker.fail" ]; then
  echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" >&2
  exit 1
fi
case "$1 $2 $3" in
  "version "*) echo "WARNING: some noise" >&2; echo 20.10.24 ;;
  "image inspect "*)
    case $5 in
      *present) printf 'sha256:0123\\tarm64\\tPATH,http_proxy,\\n' ;;
      *) echo "Error: No such image: $5" >&2; exit 1 ;;
    esac ;;
  "manifest inspect "*)
    case $3 in
      *unknown) echo "no such manifest: $3" >&2; exit 1 ;;
      *offline) echo "dial tcp: lookup registry.example: no such host" >&2; exit 1 ;;
      *) echo '{"schemaVersion": 2}' ;;
    esac ;;
  "container inspect "*)
    if [ "$4 $5" = "{{json .}} ours" ]; then echo '{"Image": "sha256:01"}'; exit; fi
    case $5 in
      ours) printf 'abc\\trunning\\t0\\torganization/p/s\\tnode0\\t\\n' ;;
      broken) printf 'abd\\texited\\t128\\t\\t\\terror gathering device information\\tno such file\\n' ;;
      *) echo "Error: No such container: $5" >&2; exit 1 ;;
    esac ;;
  "exec ours python3")
    echo "Python was slow" >&2
    printf '{"serve": {"hash": "77", "command": ["vllm"], "env": {"%s": "a b"}}}\n' "$6" ;;
  "exec "*) echo "Error: No such container: $2" >&2; exit 1 ;;
  "info "*) printf 'runc\\tio.containerd.runc.v2,runc,\\t/\\n' ;;
  "ps "*) echo 11; echo 22; echo 33 ;;
  "inspect "*)
    printf '11\\t/ours\\trunning\\tfalse\\t/dev/davinci0,/dev/davinci1,\\tacme/p/s\\t\\n'
    printf '22\\t/other\\texited\\ttrue\\t\\t\\t0-3\\n'
    echo "Error: No such container: 33" >&2
    exit 1 ;;
  *) echo "unexpected: $*" >&2; exit 64 ;;
esac
`;

/** Answers like the driver's tool; NPU 1 hangs and does not end by SIGTERM, NPU 2 fails. */
const FAKE_HCCN_TOOL = `#!/bin/bash
case "$*" in
  "-i 1 "*) trap '' TERM; exec sleep 100 ;;
  "-i 2 "*) echo "Command execute failed!"; exit 1 ;;
  *" -link -g") printf 'link status: UP\\n' ;;
  *"-ping -g address "*) echo "device $2 PING \${@: -1}"; echo "3 packets transmitted, 3 received, 0.00% packet loss" ;;
  *) echo "asked: $*" ;;
esac
`;

const FAKE_NPU_SMI = `#!/bin/bash
case "$*" in
  info) echo "| 0       0                 | $PPID | python | 117 |" ;;
  *) echo "asked: $*" ;;
esac
`;

describe("facts.sh", () => {
  let dir: string;
  let server: Server;
  let port: number;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "facts-"));
    writeFileSync(join(dir, "docker"), FAKE_DOCKER);
    writeFileSync(join(dir, "hccn_tool"), FAKE_HCCN_TOOL);
    writeFileSync(join(dir, "npu-smi"), FAKE_NPU_SMI);
    for (const tool of ["docker", "hccn_tool", "npu-smi"]) chmodSync(join(dir, tool), 0o755);
    server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as { port: number }).port;
  });

  after(() => {
    server.close();
    rmSync(dir, { recursive: true });
  });

  /** The script as it is, but for the fake docker in front of its own search path. */
  function run(probes: readonly string[], options: { readonly loginPath?: string } = {}): string {
    assert.equal(SCRIPT.split(OWN_PATH).length, 2, "facts.sh sets its search path in one place");
    const script = SCRIPT.replace(OWN_PATH, `PATH=${dir}:/usr/local/sbin:`);
    const request = `${[...probes, "end"].join("\n")}\n`;
    const { stdout, stderr, status } = spawnSync("/bin/bash", ["-s"], {
      input: `${script}${request}`,
      env: { PATH: options.loginPath ?? `${dir}:/usr/bin:/bin`, HOME: dir },
      encoding: "utf8",
      timeout: 60_000,
    });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, "");
    return stdout;
  }

  const facts = (...probes: string[]): HostFacts => parseHostFacts(run(probes));

  it("answers between its two marks and tells who looked", () => {
    const answer = run(["clock"]);
    assert.match(answer, /^facts\t1\n(.*\n)*end\n$/);
    const { isComplete, login, root, clockSec } = parseHostFacts(answer);
    assert.deepEqual([isComplete, login?.uid, root?.isOk], [true, process.getuid?.(), true]);
    assert.ok(Math.abs((clockSec ?? 0) - Date.now() / 1000) < 60);
  });

  it("runs nothing of a script that was cut on the way, and answers no request that was", () => {
    for (const part of [0.3, 0.6, 0.9, 0.99]) {
      const input = SCRIPT.slice(0, Math.floor((SCRIPT.length - 1) * part));
      const { stdout } = spawnSync("bash", ["-s"], { input, encoding: "utf8" });
      assert.equal(stdout, "");
    }
    const cut = spawnSync("bash", ["-s"], { input: `${SCRIPT}clock\nen`, encoding: "utf8" });
    assert.deepEqual([cut.status, cut.stdout], [1, ""]);
    assert.match(cut.stderr, /the request was cut short/);
  });

  it("tells hashes and modes of files, and neither of what is missing", () => {
    const [file, missing] = [join(dir, "a file"), join(dir, "no-file")];
    writeFileSync(file, "content\n", { mode: 0o640 });
    const { sums, modes, areSumsKnown } = parseDriftAnswer(
      run([`sums\t${file}\t${missing}`, `modes\t${missing}\t${file}`]),
    );
    const hash = createHash("sha256").update("content\n").digest("hex");
    assert.deepEqual([...sums], [[file, hash]]);
    assert.deepEqual([...modes], [[file, { mode: "640", owner: process.getuid?.() }]]);
    assert.equal(areSumsKnown, true);
  });

  it("passes on what docker and the supervisor say of a container, or why they say nothing", () => {
    const answer = run(["processes\tours\tHCCL_IF_IP", "container-json\tours"]);
    assert.deepEqual(parseDriftAnswer(answer).processes, {
      serve: { hash: "77", command: ["vllm"], env: { HCCL_IF_IP: "a b" } },
    });
    const json = /^container-json\tours\tfound\t(\S+)$/m.exec(answer)?.[1] ?? "";
    assert.deepEqual(JSON.parse(Buffer.from(json, "base64").toString()), { Image: "sha256:01" });
    const none = parseDriftAnswer(run(["processes\tother\tA", "container-json\tother"]));
    assert.equal(none.processesProblem, "Error: No such container: other");
    assert.equal(none.container, undefined);
  });

  it("finds tools, and says which are not there", () => {
    const { tools } = facts("tool\tbash", "tool\tno-such-tool");
    assert.match(tools.get("bash") ?? "", /\/bash$/);
    assert.equal(tools.get("no-such-tool"), "");
  });

  it("adds up the weights of a model, and names the formats of its description", () => {
    const model = join(dir, "model");
    mkdirSync(model);
    const factOf = () => {
      const fact = facts(`model\t${model}`).models.get(model);
      assert.ok(fact?.state === "found");
      return fact;
    };
    writeFileSync(join(model, "a.safetensors"), "x".repeat(1000));
    writeFileSync(join(model, "b.safetensors"), "x".repeat(24));
    writeFileSync(join(model, "b.bin"), "not a weight");
    assert.deepEqual([weightsBytes(factOf()), factOf().formats], [1024, undefined]);
    const description = join(model, "quant_model_description.json");
    const formatsOf = (text: string) => {
      writeFileSync(description, text);
      return factOf().formats;
    };
    assert.deepEqual(formatsOf('{"a": "FLOAT", "W8A8": 1}'), ["W8A8"]);
    assert.deepEqual(formatsOf('{"a": "FLOAT"}'), []);
    const lines = '{\n"a": "W8A8_DYNAMIC",\n"b": "W4A8_DYNAMIC",\n"c": "W8A8_DYNAMIC"\n}';
    assert.deepEqual(formatsOf(lines), ["W4A8_DYNAMIC", "W8A8_DYNAMIC"]);
  });

  it("measures how fast the weights are read, and says what it cannot measure", () => {
    const model = join(dir, "stored");
    mkdirSync(model);
    const storageOf = (path: string) => facts(`storage\t${path}`).storage.get(path);
    const none = storageOf(model);
    assert.ok(none?.state === "small" && none.reason.startsWith("no file of weights"));
    writeFileSync(join(model, "a.safetensors"), "x".repeat(1000));
    const small = storageOf(model);
    assert.ok(small?.state === "small" && small.reason.includes("1000 bytes: too few to measure"));
    writeFileSync(join(model, "b.safetensors"), Buffer.alloc(65 << 20));
    const fact = storageOf(model);
    assert.ok(fact?.state === "read", JSON.stringify(fact));
    assert.equal(fact.bytes, 65 << 20);
    assert.ok(fact.sec > 0 && fact.sec < 15);
    assert.match(fact.how, /^(direct|uncached)$/);
  });

  it("tells devices, directories, files and what is missing apart", () => {
    const empty = join(dir, "a folder");
    mkdirSync(empty);
    const { paths, elsewhere } = facts(
      "path\t/dev/null",
      `path\t${empty}`,
      `path\t${dir}/docker`,
      `path\t${dir}/none`,
      `path\t${dir}/docker/below`,
      `path\t/no/such/place/docker`,
    );
    assert.deepEqual(paths.get("/dev/null"), { state: "found", type: "character special file" });
    assert.deepEqual(paths.get(empty), { state: "found", type: "directory" });
    assert.deepEqual(paths.get(`${dir}/docker`), { state: "found", type: "regular file" });
    assert.deepEqual(paths.get(`${dir}/none`), { state: "missing" });
    assert.deepEqual(paths.get(`${dir}/docker/below`), { state: "missing" });
    assert.deepEqual([...elsewhere], [["/no/such/place/docker", `${dir}/docker`]]);
  });

  it("brings the content of files, whatever is in them", () => {
    const content = "organization/p/s\n\ttab 'quote' \"中文\"\n";
    writeFileSync(join(dir, "owner"), content);
    const { files } = facts(`file\t${dir}/owner`, `file\t${dir}/none`, `file\t${dir}`);
    assert.deepEqual(files.get(`${dir}/owner`), { state: "found", content });
    assert.deepEqual(files.get(`${dir}/none`), { state: "missing" });
    assert.equal(files.get(dir)?.state, "error");
  });

  it("asks docker, and the registry only for an image that is away and may be pulled", () => {
    const { docker, dockerOfLogin, images } = facts(
      "docker",
      `image\t${IMAGE}present\tregistry`,
      `image\t${IMAGE}pullable\tregistry`,
      `image\t${IMAGE}unknown\tregistry`,
      `image\t${IMAGE}offline\tregistry`,
      `image\t${IMAGE}pullable-too\tpresent`,
    );
    assert.deepEqual(docker, { isOk: true, text: "20.10.24" });
    assert.deepEqual(dockerOfLogin, { isOk: true, isMissing: false, text: "20.10.24" });
    assert.deepEqual(images.get(`${IMAGE}present`), {
      ...{ state: "present", text: "sha256:0123", architecture: "arm64" },
      variables: ["PATH", "http_proxy"],
    });
    assert.deepEqual(images.get(`${IMAGE}pullable`), { state: "pullable", text: "" });
    assert.equal(images.get(`${IMAGE}unknown`)?.state, "unknown-to-registry");
    assert.equal(images.get(`${IMAGE}offline`)?.state, "registry-error");
    assert.match(images.get(`${IMAGE}offline`)?.text ?? "", /no such host/);
    assert.equal(images.get(`${IMAGE}pullable-too`)?.state, "absent");
  });

  it("tells a container that is ours, one that is not, and none", () => {
    const { containers } = facts("container\tours", "container\tbroken", "container\tnone");
    assert.deepEqual(containers.get("ours"), {
      ...{ state: "present", id: "abc", status: "running", exitCode: 0 },
      ...{ owner: "organization/p/s", node: "node0", error: "" },
    });
    const broken = containers.get("broken");
    assert.ok(broken?.state === "present");
    assert.deepEqual([broken.status, broken.exitCode, broken.owner], ["exited", 128, ""]);
    assert.match(broken.error, /error gathering device information/);
    assert.deepEqual(containers.get("none"), { state: "absent" });
  });

  it("tells a daemon that is down, each time with its reason", () => {
    writeFileSync(join(dir, "docker.fail"), "");
    try {
      const { docker, dockerOfLogin, images, containers } = facts(
        "docker",
        `image\t${IMAGE}present\tregistry`,
        "container\tours",
      );
      for (const outcome of [docker, dockerOfLogin]) {
        assert.equal(outcome?.isOk, false);
        assert.match(outcome?.text ?? "", /Cannot connect to the Docker daemon/);
      }
      assert.equal(images.get(`${IMAGE}present`)?.state, "error");
      assert.equal(containers.get("ours")?.state, "error");
    } finally {
      rmSync(join(dir, "docker.fail"));
    }
  });

  it("tells a login that does not find docker", () => {
    const { dockerOfLogin, docker } = parseHostFacts(run(["docker"], { loginPath: "/none" }));
    assert.deepEqual(dockerOfLogin, { isOk: false, isMissing: true, text: "/none" });
    assert.equal(docker?.isOk, true);
  });

  it("names interfaces and their addresses", () => {
    const { addresses, links, addressesError } = facts("addresses");
    assert.equal(addressesError, undefined);
    assert.ok(addresses.some(({ device, address }) => device === "lo" && address === "127.0.0.1"));
    assert.equal(links.get("lo"), "up");
  });

  it("names who listens on the planned ports, and nobody else", () => {
    const { listeners, areListenersKnown } = facts(`ports\t${port}-${port}\t1-1`);
    assert.equal(areListenersKnown, true);
    assert.equal(listeners.length, 1);
    const { address, pid, process: name } = listeners[0]!;
    assert.deepEqual([listeners[0]!.port, address, pid], [port, "127.0.0.1", process.pid]);
    assert.notEqual(name, "");
    assert.deepEqual(facts(`ports\t${port + 1}-${port + 1}`).listeners, []);
  });

  it("answers a probe that it does not know with its name", () => {
    assert.match(run(["npu\t0"]), /\nunknown-probe\tnpu\n/);
  });

  it("asks every NPU by itself: one that hangs, even against SIGTERM, costs the others nothing", () => {
    const begin = Date.now();
    const { npuOutputs, npuProcesses, isComplete } = facts(
      `npus\t${dir}/hccn_tool\t${dir}/npu-smi\t0\t1\t2`,
    );
    assert.equal(isComplete, true);
    assert.ok(Date.now() - begin < 25_000, `${Date.now() - begin} ms`);
    assert.deepEqual(npuOutputs.get("0 hccn_tool link"), {
      ...{ state: "ended", exitCode: 0, text: "link status: UP\n" },
    });
    assert.deepEqual(npuOutputs.get("0 hccn_tool tls"), {
      ...{ state: "ended", exitCode: 0, text: "asked: -i 0 -tls -g\n" },
    });
    assert.deepEqual(npuOutputs.get("2 npu-smi board"), {
      ...{ state: "ended", exitCode: 0, text: "asked: info -t board -i 2\n" },
    });
    for (const query of ["link", "ip", "fec"]) {
      assert.deepEqual(npuOutputs.get(`1 hccn_tool ${query}`), { state: "hangs" });
    }
    assert.deepEqual(npuOutputs.get("2 hccn_tool link"), {
      ...{ state: "ended", exitCode: 1, text: "Command execute failed!\n" },
    });
    // Whose process it is can only be told on the host.
    assert.equal(npuProcesses.size, 1);
  });

  it("says that a tool is not there", () => {
    const { npuOutputs } = facts(`npus\t${dir}/none\t${dir}/npu-smi\t0`);
    assert.deepEqual(npuOutputs.get("0 hccn_tool link"), { state: "missing" });
  });

  it("tells who has a device node open", () => {
    const { areHoldersKnown, holders } = facts("holders\t0\t1");
    assert.equal(areHoldersKnown, true);
    assert.deepEqual(holders, []);
  });

  it("lists the containers with their devices, also when one goes meanwhile", () => {
    const { areContainersKnown, containerDevices } = facts("docker", "containers");
    assert.equal(areContainersKnown, true);
    assert.deepEqual(containerDevices, [
      {
        ...{ id: "11", name: "ours", status: "running", isPrivileged: false },
        ...{ devices: ["/dev/davinci0", "/dev/davinci1"], owner: "acme/p/s" },
        ascendVisibleDevices: "",
      },
      {
        ...{ id: "22", name: "other", status: "exited", isPrivileged: true },
        ...{ devices: [], owner: "", ascendVisibleDevices: "0-3" },
      },
    ]);
  });

  it("tells the machine, its memory, ports, name, disks and the daemon's runtimes", () => {
    const known = facts("docker", "docker-details", "system", `disk\t${dir}/not/yet`);
    assert.match(known.machine ?? "", /^\w+$/);
    assert.match(known.bootId ?? "", /^[0-9a-f-]{36}$/);
    assert.ok((known.memory?.totalKib ?? 0) >= (known.memory?.availableKib ?? 0));
    assert.ok((known.ephemeralPorts?.first ?? 0) > 1023);
    assert.notEqual(known.hostname?.name ?? "", "");
    assert.ok((known.freeBytes.get(`${dir}/not/yet`) ?? 0) > 0);
    assert.ok((known.freeBytes.get("/") ?? 0) > 0);
    assert.deepEqual(known.dockerDetails, {
      ...{ defaultRuntime: "runc", runtimes: ["io.containerd.runc.v2", "runc"], rootDir: "/" },
    });
  });

  it("tells names, sizes and the deciding hashes of the weights", () => {
    const model = join(dir, "hashed-model");
    mkdirSync(join(model, "folder"), { recursive: true });
    writeFileSync(join(model, "config.json"), "{}");
    writeFileSync(join(model, "a b.safetensors"), "12345");
    writeFileSync(join(model, "empty.index.json"), "");
    const fact = facts(`model\t${model}`, `model\t${dir}/none`).models;
    const found = fact.get(model);
    assert.ok(found?.state === "found");
    assert.deepEqual([...found.sizes].sort(), [
      ["a b.safetensors", 5],
      ["config.json", 2],
      ["empty.index.json", 0],
    ]);
    assert.equal(
      found.hashes.get("config.json"),
      "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    );
    assert.deepEqual([...found.hashes.keys()], ["config.json", "empty.index.json"]);
    assert.equal(fact.get(`${dir}/none`)?.state, "error");
  });

  it("reaches for ports and NPUs of other hosts", () => {
    const free = port === 65_535 ? port - 1 : port + 1;
    const { isComplete, tcp, npuPings } = parsePeerFacts(
      run([
        `npu-pings\t${dir}/hccn_tool\tping\t30\t0=10.0.0.1,10.0.0.2\t2=10.0.0.1`,
        `tcp\t127.0.0.1=${port},${free}\t255.255.255.255=80`,
      ]),
    );
    assert.equal(isComplete, true);
    assert.equal(tcp.get(`127.0.0.1 ${port}`)?.state, "open");
    assert.equal(tcp.get(`127.0.0.1 ${free}`)?.state, "refused");
    assert.equal(tcp.get("255.255.255.255 80")?.state, "error");
    assert.deepEqual([...npuPings.keys()], ["0 10.0.0.1", "0 10.0.0.2", "2 10.0.0.1"]);
    const ping = npuPings.get("0 10.0.0.2");
    assert.ok(ping?.state === "ended");
    assert.match(ping.text, /device 0 PING 10\.0\.0\.2\n3 packets/);
  });
});
