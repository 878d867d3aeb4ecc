"""The EngineCore process: owns the ranks and answers requests of the API server.

It speaks JSON lines: {"id", "prompt", "maxTokens"} in; {"ready": true}, {"id", "words"} or {"dead"}
out. Like vLLM's it outlives an API server that is killed, and keeps the NPUs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

from .faults import Faults
from .log import Log

WORDS = "the quick brown fox jumps over the lazy dog".split()


class SingleProcessExecutor:
    """One rank, this process; no NPU is asked for, as with vLLM."""

    def step(self) -> None:
        pass

    def watch(self, on_failure: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass


def main(model: str, world_size: int, executor_name: str, requests: int, replies: int) -> int:
    log = Log("EngineCore")
    faults = Faults(model)
    out = os.fdopen(replies, "wb", buffering=0)
    lock = threading.Lock()
    stop = threading.Event()
    # SIGINT of a terminal goes to the whole group; the API server decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def send(message: dict[str, Any]) -> None:
        try:
            with lock:
                out.write(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            # The API server was killed; vLLM's EngineCore lives on, too.
            pass

    log.info(
        "core.py:113",
        f"Initializing a V1 LLM engine (stand-in) with model={model!r}, world_size={world_size}, "
        f"executor={executor_name}",
    )
    executor: Any = None
    try:
        faults.pass_through("init")
        if executor_name == "ray":
            from .ray_executor import RayExecutor

            set_title("VLLM::EngineCore")
            executor = RayExecutor(world_size, faults, log)
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
    threading.Thread(
        target=serve, args=(os.fdopen(requests, "rb"), executor, send, die), daemon=True
    ).start()
    stop.wait()
    executor.shutdown()
    return 0


def serve(requests: BinaryIO, executor: Any, send: Any, die: Any) -> None:
    for line in requests:
        request = json.loads(line)
        threading.Thread(target=answer, args=(request, executor, send, die), daemon=True).start()


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


def set_title(title: str) -> None:
    # Ray brings it along; the supervisor and people look for vLLM's processes by this name.
    from ray._raylet import setproctitle

    setproctitle(title)


if __name__ == "__main__":
    code = main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    sys.stdout.flush()
    # Without Ray's exit handlers: a signal in the middle of them prints a second, misleading trace.
    os._exit(code)
