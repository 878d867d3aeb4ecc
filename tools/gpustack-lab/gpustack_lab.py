"""A real GPUStack server with PostgreSQL and stand-in workers, in namespaces of its own.

Runs as root in the chroot that lab.mjs makes; the loopback device is its whole network, because the server binds 0.0.0.0
and has no option for it. Whoever is outside reaches it by the Unix socket `/run/cache/server.sock`. Prints one JSON object
per line; commands come the same way on standard input, and its end stops everything.
"""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from fake_worker import Worker, call

WORK = Path("/run/cache")
POSTGRES = Path("/usr/lib/postgresql/15/bin")
PORT = 30080
URL = f"http://127.0.0.1:{PORT}"
WORKERS = {"node-a": "127.0.0.2", "node-b": "127.0.0.3", "node-c": "127.0.0.4"}
IFNAME = "enp67s0f0"
# Without it the scheduler asks ModelScope for the model's shape, and an instance stays `analyzing` for ever.
MODEL_CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "hidden_size": 4096,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "num_hidden_layers": 60,
    "head_dim": 128,
    "vocab_size": 151936,
    "intermediate_size": 12288,
    "max_position_embeddings": 262144,
    "torch_dtype": "bfloat16",
    "num_experts": 128,
}
START_DEADLINE_SEC = 400


class Lab:
    def __init__(self, model: str) -> None:
        self._model = model
        self._admin_password = f"Aa1!{secrets.token_hex(12)}"
        self._registration_token = secrets.token_hex(16)
        self._server: subprocess.Popen[bytes] | None = None
        self._workers = {
            name: Worker(
                URL, name, ip, ifname=IFNAME, registration_token=self._registration_token
            )
            for name, ip in WORKERS.items()
        }

    def start(self) -> dict[str, object]:
        began = time.monotonic()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self._start_postgres()
        self._seed_model()
        self.start_server()
        server_sec = time.monotonic() - began
        for worker in self._workers.values():
            worker.start()
        return {
            "managementKey": self._make_key("management"),
            "inferenceKey": self._make_key("inference"),
            "workers": WORKERS,
            "ifname": IFNAME,
            "serverSec": round(server_sec, 1),
        }

    def start_server(self) -> None:
        with (WORK / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    "/opt/venv/bin/gpustack",
                    "start",
                    *("--database-url", "postgresql://postgres@127.0.0.1:5432/postgres"),
                    *("--data-dir", "/var/lib/gpustack", "--gateway-mode", "disabled"),
                    *("--api-port", str(PORT), "--proxy-port", str(PORT - 1)),
                    *("--advertise-address", "127.0.0.1"),
                    *("--bootstrap-password", self._admin_password),
                    *("--token", self._registration_token),
                    *("--disable-update-check", "--disable-metrics"),
                    "--disable-builtin-observability",
                    *("--system-default-container-registry", "local.invalid"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_DEADLINE_SEC
        while not self._is_ready():
            if self._server.poll() is not None:
                raise RuntimeError(f"the server ended: {_tail(WORK / 'server.log')}")
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"the server is not ready after {START_DEADLINE_SEC} s: "
                    f"{_tail(WORK / 'server.log')}"
                )
            time.sleep(0.5)

    def stop_server(self) -> None:
        """Kills the server with all its processes, as a crash does; the database stays."""
        if self._server is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, 9)
        self._server.wait()

    def stop_worker(self, name: str) -> None:
        self._workers[name].stop()

    def start_worker(self, name: str) -> None:
        self._workers[name].start()

    def _is_ready(self) -> bool:
        """The health check answers before the built-in backends are there."""
        with contextlib.suppress(OSError):
            status, _ = self._as_admin("GET", "/v2/inference-backends/backend_name/vLLM")
            return status == 200
        return False

    def _as_admin(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        basic = base64.b64encode(f"admin:{self._admin_password}".encode()).decode()
        return call(URL + path, method, body, basic, scheme="Basic")

    def _make_key(self, scope: str) -> str:
        body = {"name": f"lab-{scope}", "scope": [scope]}
        status, answer = self._as_admin("POST", "/v2/api-keys", body)
        if status != 200:
            raise RuntimeError(f"no key of scope {scope}: {status} {answer}")
        return str(answer["value"])

    def _seed_model(self) -> None:
        folder = Path("/var/lib/gpustack/cache/model_scope") / self._model
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(MODEL_CONFIG))

    def _start_postgres(self) -> None:
        subprocess.run(["useradd", "--system", "postgres"], check=True)
        data, sockets = Path("/var/lib/postgresql"), Path("/run/postgresql")
        for folder in (data, sockets):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.chown(folder, "postgres")

        def run(*command: str) -> None:
            with (WORK / "postgres.log").open("ab") as log:
                subprocess.run(
                    command,
                    check=True,
                    user="postgres",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                )

        options = "-c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off"
        run(
            f"{POSTGRES}/initdb",
            *("-D", f"{data}/main", "-U", "postgres", "-A", "trust", "--no-sync"),
            *("-E", "UTF8", "--locale=C"),
        )
        run(f"{POSTGRES}/pg_ctl", "-D", f"{data}/main", "-s", "-w", "-o", options, "start")


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-30:])


def _serve_socket() -> None:
    """Carries connections from the Unix socket to the server."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, downstream = await asyncio.open_connection("127.0.0.1", PORT)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, downstream), copy(upstream, writer))

    async def serve() -> None:
        server = await asyncio.start_unix_server(connect, str(WORK / "server.sock"))
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # What workers and threads print goes to a log: the answers stay one JSON object per line.
    os.dup2(os.open(WORK / "workers.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    lab = Lab(sys.argv[1])
    try:
        answers.write(json.dumps({"ready": lab.start()}) + "\n")
        _serve_socket()
        for line in sys.stdin:
            name, *words = json.loads(line)
            getattr(lab, name)(*words)
            answers.write(json.dumps({"done": name}) + "\n")
    except Exception as error:  # whoever reads along prints it; the log has the rest
        answers.write(json.dumps({"error": str(error)}) + "\n")
        raise


if __name__ == "__main__":
    main()
