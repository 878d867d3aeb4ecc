"""One rank as a process of its own: answers steps until its parent is gone, as vLLM's worker."""

from __future__ import annotations

import os
import signal
import sys

from .faults import Faults
from .log import Log
from .process_title import set_title


def main(model: str, rank: int, requests: int, replies: int) -> int:
    set_title(f"VLLM::Worker_{rank}")
    # SIGINT of a terminal goes to the whole group; the API server decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faults = Faults(model)
    out = os.fdopen(replies, "wb", buffering=0)
    if faults.get("crashRank", 0) == rank:
        try:
            faults.pass_through("load")
        except RuntimeError:
            log = Log(f"Worker_{rank}")
            log.exception("multiproc_executor.py:871", "WorkerProc failed to start.")
            return 1
    out.write(b"ready\n")
    for step in os.fdopen(requests, "rb"):
        out.write(step)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.flush()
    os._exit(code)
