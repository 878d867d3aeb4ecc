"""The EngineCore process: owns the ranks and answers requests of the API server.

It speaks JSON lines: {"id", "prompt", "maxTokens"} in; {"ready": true}, {"id", "words"} or {"dead"}
out, over two pipes, or on a headless node over a connection to the head. Like vLLM's it outlives an
API server that is killed, and keeps the NPUs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

from .data_parallel import join_head, parallel_config
from .faults import Faults
from .log import Log
from .mp_executor import MpExecutor
from .process_title import set_title
from .topology import Topology

WORDS = "the quick brown fox jumps over the lazy dog".split()


class SingleProcessExecutor:
    """One rank, this process; no NPU is asked for, as with vLLM."""

    def step(self) -> None:
        pass

    def watch(self, on_failure: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass


def main(model: str, topology: Topology, engine: int, pipes: list[int]) -> int:
    log = Log("EngineCore" if topology.engines == 1 else f"EngineCore_DP{engine}")
    set_title("VLLM::EngineCore" if topology.engines == 1 else f"VLLM::EngineCore_DP{engine}")
    faults = Faults(model)
    lock = threading.Lock()
    stop = threading.Event()
    # SIGINT of a terminal goes to the whole group; the API server decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def send(message: dict[str, Any]) -> None:
        try:
            with lock:
                out.write(json.dumps(message).encode() + b"\n")
        except OSError:
            # The API server or the head is gone; vLLM's EngineCore lives on, too.
            pass

    log.info(
        "core.py:113",
        f"Initializing a V1 LLM engine (stand-in) with model={model!r}, "
        f"world_size={topology.world_size}, executor={topology.executor}",
    )
    executor: Any = None
    try:
        if pipes:
            requests, out = os.fdopen(pipes[0], "rb"), os.fdopen(pipes[1], "wb", buffering=0)
        else:
            requests, out = join_head(topology.handshake, engine, parallel_config(topology))
        faults.pass_through("init")
        if topology.executor == "ray":
            from .ray_executor import RayExecutor

            executor = RayExecutor(topology.world_size, faults, log)
        elif topology.executor == "mp":
            executor = MpExecutor(model, topology, log)
        else:
            executor = SingleProcessExecutor()
            faults.pass_through("load")
        time.sleep(faults.get("loadSec", 1))
        while faults.get("hangAt") == "load":
            time.sleep(0.5)
    except Exception:
        log.exception("core.py:1195", "EngineCore failed to start.")
        return 1

    def die() -> None:
        send({"dead": "a rank died"})
        log.error("core.py:1203", "EngineCore encountered a fatal error.")
        stop.set()

    # Until here SIGTERM ends the process at once.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    executor.watch(die)
    send({"ready": True})
    threading.Thread(target=serve, args=(requests, executor, send, die), daemon=True).start()
    stop.wait()
    executor.shutdown()
    return 0


def serve(requests: BinaryIO, executor: Any, send: Any, die: Any) -> None:
    try:
        for line in requests:
            request = (json.loads(line), executor, send, die)
            threading.Thread(target=answer, args=request, daemon=True).start()
    except OSError:
        # A head that went away with its host; a headless engine does not notice (vllm#32136).
        pass


def answer(request: dict[str, Any], executor: Any, send: Any, die: Any) -> None:
    try:
        executor.step()
    except Exception:
        Log("EngineCore").exception("core.py:1203", "EngineCore encountered a fatal error.")
        die()
        return
    count = request["maxTokens"]
    offset = len(request["prompt"].split())
    words = [WORDS[(offset + number) % len(WORDS)] for number in range(count)]
    send({"id": request["id"], "words": words})


if __name__ == "__main__":
    code = main(sys.argv[1], Topology.parse(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
    sys.stdout.flush()
    # Without Ray's exit handlers: a signal in the middle of them prints a second, misleading trace.
    os._exit(code)
