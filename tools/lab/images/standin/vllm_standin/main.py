"""`vllm serve`: the API server process."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from . import VLLM_VERSION, arguments
from .faults import Faults
from .http_server import EngineDead, Server
from .log import Log


def main() -> int:
    argv = sys.argv[1:]
    if argv in (["-v"], ["--version"]):
        print(f"{VLLM_VERSION}+standin")
        return 0
    if not argv or argv[0] not in arguments.COMMANDS:
        choices = ", ".join(map(repr, arguments.COMMANDS))
        given = argv[0] if argv else ""
        arguments.fail(f"argument subparser: invalid choice: {given!r} (choose from {choices})")
    if argv[0] != "serve":
        print(f"vllm: the stand-in has no command {argv[0]!r}, only serve", file=sys.stderr)
        return 1
    options = arguments.parse(argv[1:])
    log = Log("APIServer")
    try:
        return ApiServer(options, log).run()
    except Exception:
        # As vLLM: the traceback goes to the log, the exit code is 1.
        log.raw(traceback.format_exc())
        return 1


class ApiServer:
    def __init__(self, options: argparse.Namespace, log: Log) -> None:
        self.log = log
        self.stop = threading.Event()
        model = options.model_tag or options.model
        if not model:
            raise ValueError("`model` should be provided as the first positional argument")
        self.faults = Faults(model)
        self.log.raw(
            f"WARNING this is the lab's stand-in for vllm {VLLM_VERSION}: no model is loaded, "
            f"answers are invented; faults are read from {self.faults.path}"
        )
        self.log.info("api_utils.py:339", f"version {VLLM_VERSION} (stand-in)  model {model}")
        given = {name: value for name, value in vars(options).items() if value not in (None, False)}
        self.log.info("api_utils.py:273", f"non-default args: {without_secrets(given)}")
        self.executor, self.world_size = topology(options)
        # The port is taken before the engine starts: a busy one is told at once.
        self.server = Server(
            (options.host or "0.0.0.0", options.port or 8000),
            models=options.served_model_name or [model],
            keys=[key for key in options.api_key or [os.environ.get("VLLM_API_KEY", "")] if key],
            quiet_paths=(options.disable_access_log_for_endpoints or "").split(","),
            faults=self.faults,
            log=log,
        )
        self.server.server_bind()
        if not (Path(model) / "config.json").is_file():
            raise OSError(f"{model} is not a model directory: it has no config.json")
        self.model = model

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        engine = EngineClient(self.model, self.world_size, self.executor)
        try:
            while not engine.ready.wait(0.2):
                if self.stop.is_set():
                    return 0
                if not engine.is_alive():
                    raise RuntimeError(
                        "Engine core initialization failed. See root cause above. "
                        "Failed core proc(s): {}"
                    )
            self._serve(engine)
            # Recorded with vLLM 0.23: 0 even if the engine died.
            return 0
        finally:
            engine.shutdown()

    def _serve(self, engine: EngineClient) -> None:
        host, port = self.server.server_address[:2]
        self.log.info("api_server.py:583", f"Starting vLLM server on http://{host!s}:{port}")
        self.server.engine = engine
        self.server.server_activate()
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()
        self.log.uvicorn(f"Started server process [{os.getpid()}]")
        self.log.uvicorn("Waiting for application startup.")
        self.log.uvicorn("Application startup complete.")
        began = time.monotonic()
        while not self.stop.wait(0.2):
            if not engine.is_alive():
                self.log.error("async_llm.py:704", "AsyncLLM output_handler failed.")
                self.log.error("async_llm.py:704", str(EngineDead()))
                # Requests and health checks of this second see that the engine is dead.
                self.stop.wait(1)
                break
            if (
                self.faults.get("crashAt") == "serving"
                and time.monotonic() - began >= self.faults.get("crashAfterSec", 0)
            ):
                raise RuntimeError(self.faults.message)
        if self.stop.is_set():
            self.log.info("launcher.py:100", "[shutdown] API server: shutdown triggered")
        self.log.uvicorn("Shutting down")
        self.log.uvicorn("Waiting for application shutdown.")
        self.log.uvicorn("Application shutdown complete.")
        self.log.uvicorn(f"Finished server process [{os.getpid()}]")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and self.faults.get("ignoreSigterm", False):
            self.log.raw("WARNING stand-in: SIGTERM ignored, as the test asks for")
            return
        self.stop.set()


class EngineClient:
    """The EngineCore process, seen from the API server."""

    def __init__(self, model: str, world_size: int, executor: str) -> None:
        self.ready = threading.Event()
        self.dead = threading.Event()
        self.numbers = itertools.count()
        self.waiting: dict[int, queue.Queue[dict[str, Any]]] = {}
        request_end, requests = os.pipe()
        replies, reply_end = os.pipe()
        ends = [request_end, reply_end]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vllm_standin.engine_core", model, str(world_size), executor]
            + [str(end) for end in ends],
            pass_fds=ends,
        )
        for end in ends:
            os.close(end)
        self.requests = os.fdopen(requests, "wb", buffering=0)
        self.lock = threading.Lock()
        threading.Thread(target=self._read, args=(os.fdopen(replies, "rb"),), daemon=True).start()

    def is_alive(self) -> bool:
        return self.process.poll() is None and not self.dead.is_set()

    def generate(self, prompt: str, max_tokens: int) -> list[str]:
        if not self.is_alive():
            raise EngineDead
        number = next(self.numbers)
        reply: queue.Queue[dict[str, Any]] = queue.Queue(1)
        self.waiting[number] = reply
        request = {"id": number, "prompt": prompt, "maxTokens": max_tokens}
        with self.lock:
            self.requests.write(json.dumps(request).encode() + b"\n")
        message = reply.get()
        if "words" not in message:
            raise EngineDead
        return message["words"]

    def shutdown(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            # As vLLM's process manager; Ray takes the NPUs of a dead driver back by itself.
            self.process.kill()
            self.process.wait()

    def _read(self, replies: Any) -> None:
        for line in replies:
            message = json.loads(line)
            if message.get("ready"):
                self.ready.set()
            elif "id" in message:
                self.waiting.pop(message["id"]).put(message)
            else:
                break
        self.dead.set()
        for reply in list(self.waiting.values()):
            reply.put({})


def topology(options: argparse.Namespace) -> tuple[str, int]:
    """Executor and number of ranks. The other modes of vLLM join here."""
    world_size = (options.tensor_parallel_size or 1) * (options.pipeline_parallel_size or 1)
    backend = options.distributed_executor_backend
    data_parallel = (options.data_parallel_size or 1) > 1 or options.headless
    native_multi_node = (options.nnodes or 1) > 1
    if not data_parallel and not native_multi_node:
        if backend == "ray":
            return "ray", world_size
        if world_size == 1:
            return "single", 1
    raise NotImplementedError(
        "the lab's stand-in knows --distributed-executor-backend ray and a single process, not "
        f"{world_size} ranks with backend {backend or 'mp'}, data parallel or several nodes: "
        "use the image lab/vllm"
    )


def without_secrets(given: dict[str, Any]) -> dict[str, Any]:
    return {name: "***" if name in ("api_key", "hf_token") else value for name, value in given.items()}
