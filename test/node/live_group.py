"""Real supervisors on loopback, with the commands of fake/ in place of Ray and vLLM."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NODE_SCRIPTS = HERE.parents[1] / "node"
PYTHON = [sys.executable, "-S"]  # -S: the machine's own site-packages only cost time
# As the staged launcher does (core/render/stage-script.ts).
MAIN = "import sys; from supervisor.__main__ import main; sys.exit(main())"
ENV = {
    **os.environ,
    "PYTHONPATH": str(NODE_SCRIPTS),
}
API_KEY = "sk-canary-5e1f0a77"
TOKEN = "group-token-canary-93ab"
# On a machine that is busy with something else: every bound of a test, times this.
PATIENCE = float(os.environ.get("SUPERVISOR_TEST_PATIENCE", "1"))
LEASE_SEC = round(2 * PATIENCE)
TIMING = {
    "tick": 0.05,
    "heartbeat": 0.1,
    "lease": LEASE_SEC,
    "check": 0.05,
    "kill_wait": 2.0 * PATIENCE,
    "leftover_grace": 0.3,
    "scan": 0.5,
    "status": 0.2,
    "prestart": 1.0 * PATIENCE,
    "free": 5.0 * PATIENCE,
}


class LiveGroup:
    """node0 is the head on 127.0.0.1, node1 a member on 127.0.0.2, and so on."""

    def __init__(self, topology: str = "ray", nodes: int = 2):
        """topology: ray, multiprocessing or data-parallel."""
        self.topology = topology
        self.root = Path(tempfile.mkdtemp(prefix="supervisor-test-"))
        self.fake_dir = self.root / "fake"
        self.fake_dir.mkdir()
        self.names = [f"node{index}" for index in range(nodes)]
        self.addresses = {name: f"127.0.0.{index + 1}" for index, name in enumerate(self.names)}
        self.group_port, self.ray_port, self.http_port, self.rpc_port = free_ports(4)
        self.supervisors: dict[str, subprocess.Popen] = {}
        for name in self.names:
            for folder in ("in/releases", "in/secrets", "out"):
                (self.base(name) / folder).mkdir(parents=True)
            self.write_secret(name, "group-token", TOKEN)
        self.write_secret("node0", "api-key", API_KEY)

    def __enter__(self) -> LiveGroup:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends what this test started, by pid: supervisors, then whatever their children left."""
        for child in self.supervisors.values():
            child.kill()
            child.wait()
        for pid in self.processes().values():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- files

    def base(self, name: str) -> Path:
        return self.root / name

    def write_secret(self, name: str, file: str, value: str) -> None:
        path = self.base(name) / "in/secrets" / file
        path.write_text(value)
        path.chmod(0o600)

    def fault(self, name: str, text: str = "") -> Path:
        path = self.fake_dir / name
        path.write_text(text)
        return path

    def stage(self, kind: str, digest: str, nodes: list[str] | None = None, **changes: Any) -> None:
        for name in nodes or self.names:
            release = {**self._release(kind, digest, name), **changes}
            path = self.base(name) / "in/releases" / f"{kind}-{digest}.json"
            path.write_text(json.dumps(release))

    def stage_together(self, ray: str, serve: str, command: list[str] | None = None) -> None:
        """As the stage script does; command: of serve on the head."""
        self.stage("ray", ray)
        self.stage("serve", serve, ray=ray)
        if command:
            self.stage("serve", serve, nodes=["node0"], ray=ray, command=command)
        for name in self.names:
            path = self.base(name) / "in/staged.json"
            path.write_text(json.dumps({"ray": ray, "serve": serve}))

    def _release(self, kind: str, digest: str, name: str) -> dict[str, Any]:
        head = name == "node0"
        address = self.addresses[name]
        ray_address = f"127.0.0.1:{self.ray_port}"
        release: dict[str, Any] = {
            "kind": kind,
            "hash": digest,
            "runtime": "rt",
            "cluster": "c",
            "node": name,
            "role": "head" if head else "member",
            "nodes": [{"name": n, "address": a, "npus": 8} for n, a in self.addresses.items()],
            "env": {
                # First the Python that runs this: `python3` may be a slow wrapper.
                "PATH": f"{HERE / 'fake/bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(HERE / "fake/python"),
                "FAKE_DIR": str(self.fake_dir),
                "FAKE_NODE": name,
                "FAKE_ADDRESS": address,
                "FAKE_NPUS": "8",
                "HCCL_IF_IP": address,
            },
            "startTimeoutSec": 15 * PATIENCE,
            "stopTimeoutSec": 1,
            "restart": {"maxFailures": 5, "backoffSec": 0.2, "backoffMaxSec": 1},
        }
        if kind == "ray":
            where = f"--head --port={self.ray_port}" if head else f"--address={ray_address}"
            release["command"] = ["ray", "start", *where.split(), "--block"]
            release["rayAddress"] = ray_address
            release["ports"] = [self.ray_port] if head else []
            return release
        command = ["vllm", "serve", "/model", "--port", str(self.http_port)]
        if self.topology == "data-parallel":
            command += ["--data-parallel-size", str(len(self.names))]
            command += ["--data-parallel-address", self.addresses["node0"]]
            command += ["--data-parallel-rpc-port", str(self.rpc_port)]
        release["ray"] = "r1" if self.topology == "ray" else None
        if head:
            release["command"] = command
            release["secretEnv"] = {"VLLM_API_KEY": "api-key"}
            release["ports"] = [self.http_port]
            release["readiness"] = {
                "url": f"http://127.0.0.1:{self.http_port}",
                "model": "m",
                "prompt": "p",
                "maxTokens": 1,
                "requestTimeoutSec": 2 * PATIENCE,
            }
            if self.topology == "data-parallel":
                release["readiness"]["engines"] = len(self.names)
                release["ports"].append(self.rpc_port)
        else:
            release["command"] = None if self.topology == "ray" else [*command, "--headless"]
        return release

    # ---- supervisors and clients

    def start(self, *names: str) -> None:
        for name in names or self.names:
            self.launch(name, self.args(name))

    def args(self, name: str) -> list[str]:
        role = "head" if name == "node0" else "member"
        words = [*PYTHON, "-u", "-c", MAIN, "--base", str(self.base(name)), "run"]
        words += ["--cluster", "c", "--node", name, "--role", role]
        words += ["--head", f"127.0.0.1:{self.group_port}", "--runtime", "rt"]
        for item in TIMING.items():
            words += ["--timing", "{}={}".format(*item)]
        return words

    def launch(self, name: str, words: list[str]) -> None:
        env = {**ENV, "VLLM_CLUSTER_HIDDEN": "1", "CONTAINER_VARIABLE": "kept"}
        with open(self.root / f"{name}.out", "ab") as output:
            self.supervisors[name] = subprocess.Popen(words, stdout=output, stderr=output, env=env)

    def run(self, name: str, *words: str, stdin: str = "", timeout: float = 60) -> Result:
        command = [*PYTHON, "-c", MAIN, "--base", str(self.base(name)), *words]
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout * PATIENCE,
            env=ENV,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def commit(self, kind: str, digest: str, node: str = "node0", **more: Any) -> Result:
        manifest = {"kind": kind, "release": digest, "deadlineSec": 30 * PATIENCE, **more}
        return self.run(node, "commit", stdin=json.dumps(manifest))

    def bring_up(self) -> None:
        """Supervisors, Ray r1 and serve s1, desired (without the cost of two commits) and ready."""
        ray = "r1" if self.topology == "ray" else None
        if ray:
            self.stage("ray", ray)
        self.stage("serve", "s1")
        self.write_desired({"state": "running", "ray": ray, "serve": "s1"})
        self.start()
        self.wait(self.is_ready)

    def write_desired(self, desired: dict[str, Any]) -> None:
        more = {"revision": f"test-{time.monotonic_ns()}", "secrets": ""}
        text = json.dumps({**desired, **more})
        (self.base("node0") / "out/desired.json").write_text(text)

    def supervisor_log(self, name: str = "node0") -> str:
        return (self.base(name) / "out/log/supervisor.log").read_text()

    def status(self, name: str = "node0") -> dict[str, Any]:
        return json.loads((self.base(name) / "out/status.json").read_text())

    def desired(self) -> dict[str, Any] | None:
        try:
            return json.loads((self.base("node0") / "out/desired.json").read_text())
        except FileNotFoundError:
            return None

    def wait(self, truth: Callable[[], Any], seconds: float = 30.0) -> Any:
        end = time.monotonic() + seconds * PATIENCE
        while True:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, LookupError):
                value = truth()
                if value:
                    return value
            if time.monotonic() > end:
                raise AssertionError(f"did not happen within {seconds} s\n{self.logs()}")
            time.sleep(0.05)

    def is_ready(self, newer_than: int = 0) -> bool:
        status = self.status()
        return status["state"] == "ready" and status["serve"]["epoch"] > newer_than

    # ---- processes

    def processes(self) -> dict[str, int]:
        """Every living process of this group's fakes, as `<command> <node> <number>` -> pid."""
        found: dict[str, int] = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = Path("/proc", entry, "cmdline").read_bytes().decode().split("\0")
                env = environ_of(int(entry))
                if env.get("FAKE_DIR") == str(self.fake_dir):
                    name = Path(words[2] if words[1] == "-S" else words[1]).name
                    found[f"{name} {env['FAKE_NODE']} {entry}"] = int(entry)
                elif str(self.fake_dir) in words:
                    found[f"engine - {entry}"] = int(entry)
        return found

    def pids(self, command: str, node: str = "") -> list[int]:
        return [
            pid
            for key, pid in self.processes().items()
            if key.split()[0] == command and (not node or key.split()[1] == node)
        ]

    def logs(self) -> str:
        parts = []
        for path in sorted(self.root.glob("*.out")) + sorted(self.root.glob("*/out/log/[rs]*.log")):
            text = path.read_text(errors="replace")[-3000:]
            parts.append(f"--- {path.relative_to(self.root)}\n{text}")
        for name in self.names:
            with contextlib.suppress(OSError):
                parts.append((self.base(name) / "out/status.json").read_text())
        return "\n".join(parts)


class Result:
    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


def environ_of(pid: int) -> dict[str, str]:
    items = Path("/proc", str(pid), "environ").read_bytes().decode("utf-8", "replace").split("\0")
    return dict(item.split("=", 1) for item in items if "=" in item)


def free_ports(count: int) -> list[int]:
    """Ports below the ephemeral range, free now; the pid spreads groups that run at once."""
    found: list[int] = []
    port = 12000 + os.getpid() * 37 % 15000
    while len(found) < count:
        port += 1
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    return found
