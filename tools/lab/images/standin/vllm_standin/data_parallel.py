"""The handshake between engines and head, as vllm/v1/engine/{core,utils}.py of vLLM 0.23: HELLO, INIT,
READY. Here over one TCP connection per engine of another node, which then carries its requests.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from typing import Any, BinaryIO, Callable

HANDSHAKE_TIMEOUT_MINS = 5


def parallel_config(topology: Any) -> dict[str, Any]:
    """What must be equal on all nodes."""
    return {"worldSize": topology.world_size, "engines": topology.engines}


class Handshake:
    """On the head: where engines of other nodes report. Waits for them without end, as vLLM does."""

    def __init__(
        self,
        address: tuple[str, int],
        expected: range,
        config: dict[str, Any],
        on_engine: Callable[[int, BinaryIO, BinaryIO], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self.expected = expected
        self.config = config
        self.on_engine = on_engine
        self.on_failure = on_failure
        self.known: set[int] = set()
        self.server = socket.create_server(address, backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self.server.accept()
            threading.Thread(target=self._greet, args=(connection,), daemon=True).start()

    def _greet(self, connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        line = lines.readline()
        if not line:
            return
        hello = json.loads(line)
        rank = hello["engine"]
        if rank not in self.expected:
            self.on_failure(f"Message from engine with unexpected data parallel rank: {rank}")
        elif hello["config"] != self.config:
            self.on_failure(
                f"Configuration mismatch detected for engine {rank}. All DP workers must have "
                "identical configurations for parameters that affect collective communication. "
                f"Worker: {hello['config']}, expected: {self.config}. Please ensure all workers "
                "are started with the same command-line arguments."
            )
        elif rank in self.known:
            self.on_failure(f"Unexpected HELLO message for remote engine {rank}")
        else:
            self.known.add(rank)
            connection.sendall(b'{"init": true}\n')
            requests = os.fdopen(os.dup(connection.fileno()), "wb", buffering=0)
            self.on_engine(rank, requests, lines)


def join_head(
    address: tuple[str, int], engine: int, config: dict[str, Any]
) -> tuple[BinaryIO, BinaryIO]:
    """On a headless node, in an engine: (requests, replies), once the head has answered."""
    deadline = time.monotonic() + HANDSHAKE_TIMEOUT_MINS * 60
    hello = json.dumps({"engine": engine, "config": config}).encode() + b"\n"
    while time.monotonic() < deadline:
        try:
            connection = socket.create_connection(address, timeout=5)
            connection.sendall(hello)
            connection.settimeout(max(0.1, deadline - time.monotonic()))
            lines = connection.makefile("rb")
            if lines.readline():
                connection.settimeout(None)
                replies = os.fdopen(os.dup(connection.fileno()), "wb", buffering=0)
                return lines, replies
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(
        f"Did not receive response from front-end process within {HANDSHAKE_TIMEOUT_MINS} minutes"
    )
