"""Whether the ports of a release are free, and who holds them."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from supervisor.core.release import Release
from supervisor.processes import read_processes
from supervisor.sockets import address_family
from supervisor.text import os_text


def port_problem(release: Release) -> str:
    """The first of the release's ports that cannot be bound on this node's address, or ""."""
    for port in release.ports:
        with socket.socket(address_family(release.address), socket.SOCK_STREAM) as probe:
            # As the servers do: connections in TIME_WAIT are no obstacle, a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((release.address, port))
                probe.listen(1)
            except OSError as error:
                where = f"port {port} on {release.address or 'this node'}"
                if error.errno != errno.EADDRINUSE:
                    return f"{where} cannot be bound: {os_text(error)}"
                return f"{where} is held by {port_holder(port)}"
    return ""


def port_holder(port: int) -> str:
    """Who listens on it, as far as this container can see."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{words[9]}]")
    for pid, proc in read_processes().items():
        with contextlib.suppress(OSError):
            for entry in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{entry}") in inodes:
                        return f"pid {pid} ({proc.name})"
    return "a process outside this container (on the host: ss -ltnp)"
