"""Stand-in for an Ascend worker of GPUStack 2.3: it talks to a real server as a real worker does.

Towards the server it registers with the cluster's registration token, posts status and heartbeat, answers `/healthz`,
forwards inference requests to the instance that the request header names, and walks every instance that is scheduled on
it through `initializing`, `downloading`, `starting` and `running`. Instead of a container there is a small HTTP server
per running instance; no image, argv, NPU, HCCL or weight is involved.

What it takes from a model:
  --headless                 the instance stays `starting`: a headless vLLM serves no HTTP, so no probe succeeds
  --data-parallel-size larger than --data-parallel-size-local, not headless
                             a DP head: `running` only while headless peers with the same address and rpc port are
                             `starting`; when one goes, the head turns to `error`
  env FAKE_FAIL=<text>       `starting` turns to `error` with <text> as its message
  env FAKE_RETRY=<seconds>   pause before an `error` instance starts again (default 5)
  env FAKE_HOLD=<state>      the instance never leaves <state>
"""

import http.client
import http.server
import json
import re
import shlex
import threading
import time
import urllib.error
import urllib.request
from typing import Any

Json = dict[str, Any]

WORKER_PORT = 10150
POLL_SEC = 0.5
HEARTBEAT_SEC = 8.0
FIRST_INSTANCE_PORT, LAST_INSTANCE_PORT = 40000, 40063
NPUS = 8
NPU_BYTES = 64 * 2**30

# (data-parallel-address, data-parallel-rpc-port) -> headless instances that are `starting`, on whatever worker.
_rendezvous: dict[tuple[str, str], set[int]] = {}
_rendezvous_lock = threading.Lock()


def call(
    url: str, method: str, body: object = None, token: str = "", scheme: str = "Bearer"
) -> tuple[int, Any]:
    """One request to the server: status and parsed body."""
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json", "authorization": f"{scheme} {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text) if text else None
    except ValueError:
        return status, text


class Worker:
    """One worker with eight NPUs. `stop` is its death; `start` after it is the same worker again."""

    def __init__(self, url: str, name: str, ip: str, *, ifname: str, registration_token: str) -> None:
        self.url, self.name, self.ip = url, name, ip
        self._registration_token = registration_token
        self._token = ""
        self._id = 0
        self._ports: dict[int, int] = {}  # kept while the instance exists
        self._engines: dict[int, http.server.ThreadingHTTPServer] = {}
        self._failed_at: dict[tuple[int, int], float] = {}
        self._known: set[int] = set()
        self._alive = threading.Event()
        self._thread: threading.Thread | None = None
        self._server: http.server.ThreadingHTTPServer | None = None
        self._status: Json = {
            "name": name,
            "hostname": name,
            "ip": ip,
            "advertise_address": ip,
            "ifname": ifname,
            "port": WORKER_PORT,
            "metrics_port": WORKER_PORT + 1,
            "worker_uuid": "",
            "cluster_id": 1,
            "labels": {"worker-name": name, "os": "linux", "arch": "aarch64"},
            "system_reserved": {"ram": 0, "vram": 0},
            "proxy_mode": "direct",
            "status": _host_status(name),
            # An explicit null: until then the server calls a new worker lost.
            "state_message": None,
        }

    def start(self) -> None:
        self._server = _serve(self.ip, WORKER_PORT, _WorkerHandler, worker=self)
        if self._token == "":
            status, answer = call(
                f"{self.url}/v2/workers", "POST", self._status, self._registration_token
            )
            if status != 200:
                raise RuntimeError(f"{self.name} cannot register: {status} {answer}")
            self._id, self._token = answer["id"], answer["token"]
            self._status["worker_uuid"] = answer["worker_uuid"]
        self._heartbeat()
        self._alive.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._alive.clear()
        if self._thread is not None:
            self._thread.join()
        for instance_id in list(self._engines):
            self._stop_engine(instance_id)
        with _rendezvous_lock:
            for members in _rendezvous.values():
                members -= self._known
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def port_of(self, instance_id: int) -> int | None:
        """Port of an instance that serves."""
        return self._ports[instance_id] if instance_id in self._engines else None

    def _run(self) -> None:
        last_heartbeat = 0.0
        while self._alive.is_set():
            try:
                if time.monotonic() - last_heartbeat > HEARTBEAT_SEC:
                    self._heartbeat()
                    last_heartbeat = time.monotonic()
                self._poll()
            except (OSError, http.client.HTTPException) as error:  # the server restarts
                self._log(f"no server: {error}")
            time.sleep(POLL_SEC)

    def _heartbeat(self) -> None:
        for path, body in (("worker-status", self._status), ("worker-heartbeat", {})):
            self._call("POST", f"/v2/{path}", body)

    def _poll(self) -> None:
        answer = self._call("GET", f"/v2/model-instances?worker_id={self._id}&page=-1")
        if answer is None:
            return
        instances = {item["id"]: item for item in answer["items"]}
        for instance_id in self._known - instances.keys():
            self._stop_engine(instance_id)
            self._ports.pop(instance_id, None)
        self._known = set(instances)
        for instance in instances.values():
            if instance.get("worker_id") == self._id:
                self._step(instance)

    def _step(self, instance: Json) -> None:
        """Moves one instance at most one state on."""
        instance_id, state = instance["id"], instance["state"]
        if state not in ("starting", "running"):
            self._stop_engine(instance_id)
        model = self._call("GET", f"/v2/models/{instance['model_id']}")
        if model is None:
            return
        env, role = model.get("env") or {}, _Role(model)
        if env.get("FAKE_HOLD") == state:
            return
        if state == "scheduled":
            self._update(instance, state="initializing", state_message="")
        elif state == "initializing":
            self._update(instance, state="downloading", download_progress=50.0)
        elif state == "downloading":
            port = self._ports[instance_id] = instance.get("port") or self._free_port()
            self._update(
                instance,
                state="starting",
                port=port,
                ports=[port],
                download_progress=100.0,
                resolved_path=f"/models/{model['name']}",
                pid=1000 + instance_id,
            )
        elif state == "starting" and env.get("FAKE_FAIL"):
            self._update(instance, state="error", state_message=env["FAKE_FAIL"])
        elif state == "starting" and role.headless:
            with _rendezvous_lock:
                _rendezvous.setdefault(role.address, set()).add(instance_id)
        elif state == "starting" and role.has_all_peers():
            self._start_engine(instance)
            self._update(instance, state="running", state_message="")
        elif state == "running":
            self._start_engine(instance)  # after a restart of this worker
            if not role.has_all_peers():
                self._update(instance, state="error", state_message="DP peer lost")
        elif state == "error" and model.get("restart_on_error"):
            restarts = instance.get("restart_count") or 0
            since = self._failed_at.setdefault((instance_id, restarts), time.monotonic())
            if time.monotonic() - since > float(env.get("FAKE_RETRY", 5)):
                self._update(
                    instance, state="scheduled", state_message="", restart_count=restarts + 1
                )

    def _update(self, instance: Json, **changes: object) -> None:
        kept = {k: v for k, v in instance.items() if k not in ("id", "created_at", "updated_at")}
        self._call("PUT", f"/v2/model-instances/{instance['id']}", {**kept, **changes})
        self._log(f"{instance['name']}: {instance['state']} -> {changes['state']}")

    def _call(self, method: str, path: str, body: object = None) -> Any:
        status, answer = call(self.url + path, method, body, self._token)
        if status < 300:
            return answer
        self._log(f"{method} {path}: {status} {answer}")
        return None

    def _free_port(self) -> int:
        used = set(self._ports.values())
        return next(
            port for port in range(FIRST_INSTANCE_PORT, LAST_INSTANCE_PORT) if port not in used
        )

    def _start_engine(self, instance: Json) -> None:
        instance_id = instance["id"]
        if instance_id not in self._engines:
            port = self._ports.setdefault(instance_id, instance["port"])
            self._engines[instance_id] = _serve(
                self.ip, port, _EngineHandler, model=instance["model_name"]
            )

    def _stop_engine(self, instance_id: int) -> None:
        engine = self._engines.pop(instance_id, None)
        if engine is not None:
            engine.shutdown()
            engine.server_close()
        with _rendezvous_lock:
            for members in _rendezvous.values():
                members.discard(instance_id)

    def _log(self, text: str) -> None:
        print(time.strftime("%X"), self.name, text, flush=True)


class _Role:
    """The place of an instance in a data-parallel group, as its parameters say."""

    def __init__(self, model: Json) -> None:
        argv = [word for entry in model.get("backend_parameters") or [] for word in _words(entry)]
        size = int(_option(argv, "--data-parallel-size") or 1)
        local = int(_option(argv, "--data-parallel-size-local") or size)
        self.headless = "--headless" in argv
        self.address = (
            _option(argv, "--data-parallel-address") or "",
            _option(argv, "--data-parallel-rpc-port") or "",
        )
        self._peers_wanted = 0 if self.headless else size // local - 1

    def has_all_peers(self) -> bool:
        with _rendezvous_lock:
            return len(_rendezvous.get(self.address, ())) >= self._peers_wanted


def _words(entry: str) -> list[str]:
    """One entry of `backend_parameters` as argv: it may hold several options and shell quotes."""
    try:
        return shlex.split(entry)
    except ValueError:
        return [entry]


def _option(argv: list[str], name: str) -> str | None:
    for position, word in enumerate(argv):
        if word.startswith(f"{name}="):
            return word.split("=", 1)[1]
        if word == name and position + 1 < len(argv):
            return argv[position + 1]
    return None


def _host_status(name: str) -> Json:
    disk = 10**13
    return {
        "cpu": {"total": 192, "utilization_rate": 1.0},
        "memory": {"total": 1622527418368, "used": 18493079552, "is_unified_memory": False},
        "swap": {"total": 0, "used": 0},
        "filesystem": [
            {
                "name": "",
                "mount_point": "/",
                "mount_from": "overlay",
                "total": disk,
                "used": 0,
                "free": disk,
                "available": disk,
            }
        ],
        "os": {"name": "openEuler", "version": "22.03"},
        "kernel": {"name": "Linux", "release": "5.10", "version": "#1", "architecture": "aarch64"},
        "uptime": {"uptime": 1000.0, "boot_time": ""},
        "gpu_devices": [_npu(name, index) for index in range(NPUS)],
    }


def _npu(worker: str, index: int) -> Json:
    """A 910B3 as a real worker reports it; the device type is `cann`."""
    return {
        "vendor": "ascend",
        "type": "cann",
        "index": index,
        "device_index": index,
        "device_chip_index": 0,
        "arch_family": "Ascend910B3",
        "name": "910B3",
        "uuid": f"NPU-{worker}-{index}",
        "memory": {"total": NPU_BYTES, "used": 3435973, "is_unified_memory": False},
        "core": {"total": 20, "utilization_rate": 0},
        "temperature": 40.0,
        "driver_version": "25.0.rc1",
        "runtime_version": "8.3",
        "compute_capability": "8.3",
    }


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def reply(self, status: int, body: object) -> None:
        self.reply_bytes(status, json.dumps(body).encode(), "application/json")

    def reply_bytes(self, status: int, data: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _EngineHandler(_Handler):
    """vLLM's API on the port of an instance."""

    def do_GET(self) -> None:
        model = self.server.model  # type: ignore[attr-defined]
        if self.path.startswith("/v1/models"):
            self.reply(200, {"object": "list", "data": [{"id": model, "object": "model"}]})
        else:
            self.reply(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.body() or b"{}")
        # Only the top-level field counts, as in vLLM: `extra_body` is a notion of the OpenAI client.
        options = body.get("chat_template_kwargs") or {}
        thinks = options.get("enable_thinking") is not False
        how = "thinks" if thinks else "does not think"
        print(f"completion of {body.get('model')} {how}", flush=True)
        message = {
            "role": "assistant",
            "content": f"hello from {self.server.server_address[0]}",
            "reasoning_content": "(thinking)" if thinks else None,
        }
        if body.get("stream"):
            self._stream(body, message)
            return
        self.reply(
            200,
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": body.get("model"),
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
            },
        )

    def _stream(self, body: Json, message: Json) -> None:
        """The answer as server-sent events: one piece, then how much it was."""
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": body.get("model")}
        pieces = [
            {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]},
            {**chunk, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        ]
        lines = [json.dumps(piece) for piece in pieces] + ["[DONE]"]
        data = "".join(f"data: {line}\n\n" for line in lines).encode()
        self.reply_bytes(200, data, "text/event-stream")


class _WorkerHandler(_Handler):
    """The worker's own port: health, and the way to its instances."""

    def do_GET(self) -> None:
        if self.path.startswith("/healthz"):
            self.reply(200, "ok")
        else:
            self._forward(None)

    def do_POST(self) -> None:
        self._forward(self.body())

    def _forward(self, data: bytes | None) -> None:
        worker: Worker = self.server.worker  # type: ignore[attr-defined]
        # model-<model id>-<instance id>.static
        named = self.headers.get("X-GPUStack-Model-Instance") or ""
        match = re.match(r"model-\d+-(\d+)", named)
        port = worker.port_of(int(match.group(1))) if match else None
        if port is None:
            self.reply(503, {"detail": f"no instance serves for {named!r}"})
            return
        request = urllib.request.Request(
            f"http://{worker.ip}:{port}{self.path}",
            data=data,
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                content_type = response.headers.get("content-type") or "application/json"
                self.reply_bytes(response.status, response.read(), content_type)
        except urllib.error.HTTPError as error:
            self.reply_bytes(error.code, error.read(), "application/json")
        except OSError as error:
            self.reply(503, {"detail": str(error)})


def _serve(
    ip: str, port: int, handler: type[_Handler], **attributes: object
) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer((ip, port), handler)
    server.daemon_threads = True
    for name, value in attributes.items():
        setattr(server, name, value)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
