"""`vllm serve --headless`: ranks of this node without HTTP, as run_headless of vLLM 0.23."""

from __future__ import annotations

import argparse
import signal
import threading
import time
from types import FrameType

from . import VLLM_VERSION
from .engines import EngineProcess
from .log import Log
from .mp_executor import MpExecutor
from .start import Start, check_model, prepare


def run_headless(options: argparse.Namespace, log: Log) -> int:
    start = prepare(options, log)
    check_model(start.model)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and start.faults.get("ignoreSigterm", False):
            log.raw("WARNING stand-in: SIGTERM ignored, as the test asks for")
            return
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return run_ranks(start) if start.topology.nnodes > 1 else run_engines(start)


def run_ranks(start: Start) -> int:
    """Ranks of an engine whose EngineCore is on the head; ends when one of them does."""
    topology = start.topology
    host, port = topology.master
    start.log.info(
        "serve.py:215",
        f"Launching vLLM (v{VLLM_VERSION}) headless multiproc executor, with head node address "
        f"{host}:{port} for torch.distributed process group.",
    )
    time.sleep(start.faults.get("loadSec", 1))
    executor = MpExecutor(start.model, topology, start.log)
    died = threading.Event()
    executor.watch(died.set)
    threading.Thread(target=executor.follow, daemon=True).start()
    try:
        while not died.wait(0.2):
            pass
        return 0
    finally:
        executor.shutdown()


def run_engines(start: Start) -> int:
    """Engines of data parallelism that report to the head; ends when one of them does."""
    topology = start.topology
    host, port = topology.handshake
    start.log.info(
        "serve.py:229",
        f"Launching {topology.local_engines} data parallel engine(s) in headless mode, with head "
        f"node address tcp://{host}:{port}.",
    )
    engines = [
        EngineProcess(start.model, topology, index, [])
        for index in topology.local_engine_indexes
    ]
    try:
        while all(engine.is_alive() for engine in engines):
            time.sleep(0.2)
        raise RuntimeError("Engine core proc died unexpectedly.")
    finally:
        for engine in engines:
            engine.shutdown()
        start.log.info("serve.py:262", "Shutting down.")
