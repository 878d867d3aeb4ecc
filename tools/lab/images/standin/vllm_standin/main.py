"""`vllm serve`: the process with the HTTP interface, or without one where --headless says so."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
import traceback
from types import FrameType

from . import VLLM_VERSION, arguments
from .engines import Engines
from .faults import Faults
from .headless import run_headless
from .http_server import EngineDead, Server
from .log import Log
from .start import check_model, prepare


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
        return run_headless(options, log) if options.headless else ApiServer(options, log).run()
    except Exception:
        # As vLLM: the traceback goes to the log, the exit code is 1.
        log.raw(traceback.format_exc())
        return 1


class ApiServer:
    def __init__(self, options: argparse.Namespace, log: Log) -> None:
        self.log = log
        self.stop = threading.Event()
        self.start = prepare(options, log)
        self.faults = self.start.faults
        # The port is taken before the engine starts: a busy one is told at once.
        self.server = Server(
            (options.host or "0.0.0.0", options.port or 8000),
            models=options.served_model_name or [self.start.model],
            keys=[key for key in options.api_key or [os.environ.get("VLLM_API_KEY", "")] if key],
            quiet_paths=(options.disable_access_log_for_endpoints or "").split(","),
            faults=self.faults,
            log=log,
        )
        self.server.server_bind()
        check_model(self.start.model)

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        engine = Engines(self.start.model, self.start.topology)
        try:
            while not engine.is_ready():
                if self.stop.wait(0.2):
                    return 0
                if not engine.is_alive():
                    raise RuntimeError(
                        engine.failure
                        or "Engine core initialization failed. See root cause above. "
                        "Failed core proc(s): {}"
                    )
            self._serve(engine)
            # Recorded with vLLM 0.23: 0 even if the engine died.
            return 0
        finally:
            engine.shutdown()

    def _serve(self, engine: Engines) -> None:
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
