"""Stand-in for torch.distributed: one TCP connection per member to the first one, which computes for all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import threading
from datetime import timedelta
from typing import Any

SIOCGIFADDR = 0x8915
# A message is as large as the vector that it stands for, so that the path carries more than small packets.
BYTES_PER_ELEMENT = 4

_group: _Group | None = None


class TCPStore:
    """Where the members of a group meet; port 0 takes a free one."""

    def __init__(
        self,
        host: str,
        port: int,
        world_size: int,
        is_master: bool,
        timeout: timedelta,
        wait_for_workers: bool = True,
    ) -> None:
        self.host, self.port, self.timeout = host, port, timeout.total_seconds()
        if is_master:
            server = socket.create_server(("", port), backlog=128)
            self.port = server.getsockname()[1]
            threading.Thread(target=_serve, args=(server, world_size), daemon=True).start()


class _Group:
    def __init__(self, store: TCPStore, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        source = (_interface_address(), 0)
        target = (store.host, store.port)
        # The first member is asked by its own address, like all others.
        self.connection = socket.create_connection(target, store.timeout, source)
        self.lines = self.connection.makefile("r", encoding="utf-8")
        self.exchange("connect", [])

    def exchange(self, what: str, runs: list[Any]) -> Any:
        padding = "0" * (BYTES_PER_ELEMENT * sum(count for _, count in runs))
        words = {"rank": self.rank, "what": what, "runs": runs, "padding": padding}
        self.connection.sendall((json.dumps(words) + "\n").encode())
        line = self.lines.readline()
        if not line:
            raise RuntimeError(f"Connection closed by peer during {what}")
        return json.loads(line)


def init_process_group(
    backend: str, store: TCPStore, rank: int, world_size: int, timeout: timedelta
) -> None:
    global _group
    if backend != "gloo":
        raise ValueError(f"unknown backend {backend}")
    _group = _Group(store, rank, world_size)


def destroy_process_group() -> None:
    global _group
    assert _group
    # Nobody leaves before all have their last answer.
    _group.exchange("leave", [])
    _group.connection.close()
    _group = None


def all_reduce(tensor: Any) -> None:
    import torch

    assert _group
    wrong = torch.fault("all-reduce") == "wrong"
    members = _group.exchange("all-reduce", tensor.runs)
    total = sum(runs[0][0] for runs in members)
    tensor.runs = [(total + wrong, len(tensor))]


def all_to_all_single(received: Any, sent: Any) -> None:
    import torch

    assert _group
    part = len(sent) // _group.size
    begin = _group.rank * part
    parts = [
        torch.Tensor(runs)[begin : begin + part].runs
        for runs in _group.exchange("all-to-all", sent.runs)
    ]
    received.runs = torch.merged([run for runs in parts for run in runs])


def _serve(server: socket.socket, size: int) -> None:
    """Takes one message of every member, then sends all of them to everyone."""
    members = []
    while len(members) < size:
        connection, _ = server.accept()
        members.append((connection, connection.makefile("r", encoding="utf-8")))
    server.close()
    with contextlib.suppress(OSError, ValueError):
        while True:
            words = [json.loads(lines.readline()) for _, lines in members]
            if len({word["what"] for word in words}) > 1:
                raise ValueError("members do different things")
            words.sort(key=lambda word: word["rank"])
            answer = (json.dumps([word["runs"] for word in words]) + "\n").encode()
            for connection, _ in members:
                connection.sendall(answer)
            if words[0]["what"] == "leave":
                break
    for connection, _ in members:
        connection.close()


def _interface_address() -> str:
    """As Gloo: by the interface that the environment names, else any."""
    name = os.environ.get("GLOO_SOCKET_IFNAME", "")
    if not name:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            packed = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            raise RuntimeError(f"Unable to find address for: {name}") from None
    return socket.inet_ntoa(packed[20:24])
