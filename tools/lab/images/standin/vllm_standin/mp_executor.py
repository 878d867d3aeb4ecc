"""One process per rank, as vllm/v1/executor/multiproc_executor.py of vLLM 0.23; over several nodes
the ranks meet at the master's port, as torch.distributed's store does.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any, BinaryIO, Callable

from .log import Log
from .topology import Topology

# torch.distributed's store gives up then: "Timed out after 1801 seconds waiting for clients".
MEETING_TIMEOUT_SEC = 1800


class Rank:
    def __init__(self, model: str, rank: int) -> None:
        self.rank = rank
        request_end, requests = os.pipe()
        replies, reply_end = os.pipe()
        ends = [request_end, reply_end]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vllm_standin.worker", model, str(rank), *map(str, ends)],
            pass_fds=ends,
        )
        for end in ends:
            os.close(end)
        self.requests = os.fdopen(requests, "wb", buffering=0)
        self.replies = os.fdopen(replies, "rb")

    def await_ready(self) -> None:
        if not self.replies.readline():
            raise RuntimeError(
                "WorkerProc initialization failed due to an exception in a background process. "
                "See stack trace for root cause."
            )

    def step(self) -> None:
        try:
            self.requests.write(b"step\n")
            answered = self.replies.readline()
        except BrokenPipeError:
            answered = b""
        if not answered:
            raise RuntimeError(f"cancelled: worker of rank {self.rank} is gone")


class MpExecutor:
    """The ranks of one engine on this node, and on the head the way to those on the others."""

    def __init__(self, model: str, topology: Topology, log: Log) -> None:
        self.log = log
        self.lock = threading.Lock()
        self.stopping = False
        self.ranks = [Rank(model, rank) for rank in topology.local_ranks]
        for rank in self.ranks:
            rank.await_ready()
        self.peers: list[Peer] = []
        if topology.nnodes > 1:
            self.peers = await_peers(topology) if topology.node_rank == 0 else [join(topology)]

    def step(self) -> None:
        """One forward pass: every rank takes part. Blocks while one of them does not answer."""
        with self.lock:
            for rank in self.ranks:
                rank.step()
            for peer in self.peers:
                peer.step()

    def follow(self) -> None:
        """On a headless node: takes part in the head's steps; a lost head is not noticed."""
        (head,) = self.peers
        while head.await_step():
            for rank in self.ranks:
                rank.step()
            head.answer()

    def watch(self, on_failure: Callable[[], None]) -> None:
        """Calls `on_failure` when the process of a rank on this node ends."""
        died = threading.Event()

        def wait_for(rank: Rank) -> None:
            rank.process.wait()
            if self.stopping or died.is_set():
                return
            died.set()
            self.log.error(
                "multiproc_executor.py:285",
                f"Worker proc VllmWorker-{rank.rank} died unexpectedly, shutting down executor.",
            )
            on_failure()

        for rank in self.ranks:
            threading.Thread(target=wait_for, args=(rank,), daemon=True).start()

    def shutdown(self) -> None:
        self.stopping = True
        for rank in self.ranks:
            rank.process.terminate()
        for rank in self.ranks:
            try:
                rank.process.wait(4)
            except subprocess.TimeoutExpired:
                rank.process.kill()
                rank.process.wait()


class Peer:
    """Another node of the same engine."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.lines: BinaryIO = connection.makefile("rb")

    def send(self, message: dict[str, Any]) -> None:
        self.connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        line = self.lines.readline()
        return json.loads(line) if line else None

    def step(self) -> None:
        try:
            self.send({"step": True})
            answer = self.receive()
        except OSError:
            answer = None
        if answer is None:
            host, port = self.connection.getsockname()[:2]
            raise RuntimeError(f"[gloo] Connection closed by peer [{host}]:{port}")

    def await_step(self) -> bool:
        try:
            return self.receive() is not None
        except OSError:
            return False

    def answer(self) -> None:
        self.send({"stepped": True})


def await_peers(topology: Topology) -> list[Peer]:
    """On the head: all other nodes, in the order of their ranks."""
    peers: dict[int, Peer] = {}
    deadline = time.monotonic() + MEETING_TIMEOUT_SEC
    with socket.create_server(topology.master, backlog=64) as server:
        while len(peers) < topology.nnodes - 1:
            server.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                raise RuntimeError(
                    f"Timed out after {MEETING_TIMEOUT_SEC + 1} seconds waiting for clients. "
                    f"{len(peers) + 1}/{topology.nnodes} clients joined."
                ) from None
            peer = Peer(connection)
            hello = peer.receive()
            if hello is not None:
                peers[hello["nodeRank"]] = peer
    for peer in peers.values():
        peer.send({"met": True})
    return [peers[rank] for rank in sorted(peers)]


def join(topology: Topology) -> Peer:
    """On a headless node: the way to the head, once all nodes are there."""
    deadline = time.monotonic() + MEETING_TIMEOUT_SEC
    while time.monotonic() < deadline:
        try:
            peer = Peer(socket.create_connection(topology.master, timeout=5))
            peer.connection.settimeout(None)
            peer.send({"nodeRank": topology.node_rank})
            if peer.receive() is not None:
                return peer
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"Timed out after {MEETING_TIMEOUT_SEC + 1} seconds waiting for the master")
