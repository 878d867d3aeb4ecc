"""Lines over non-blocking sockets; addresses."""

from __future__ import annotations

import argparse
import contextlib
import socket

from supervisor.text import os_text

LINE_LIMIT = 1024 * 1024  # four tails of wide characters, escaped twice, are 840 KiB
HANDSHAKE_SEC = 5.0


class LineSocket:
    """A non-blocking socket that carries lines of bounded length."""

    def __init__(self, sock: socket.socket):
        self.socket = sock
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in = bytearray()
        self._out = bytearray()

    def lines(self) -> tuple[list[bytes], str]:
        """(complete lines, why the connection is over or "")."""
        over = ""
        try:
            while len(self._in) <= LINE_LIMIT:
                data = self.socket.recv(65536)
                if not data:
                    over = "closed by the other side"
                    break
                self._in += data
        except BlockingIOError:
            pass
        except OSError as error:
            over = os_text(error)
        *lines, rest = bytes(self._in).split(b"\n")
        self._in = bytearray(rest)
        if len(rest) > LINE_LIMIT or any(len(line) > LINE_LIMIT for line in lines):
            return [], f"sent a line longer than {LINE_LIMIT} bytes"
        return lines, over

    def send(self, data: bytes = b"") -> str:
        """Sends what fits, keeps the rest. Returns why the connection is over, or ""."""
        self._out += data
        try:
            while self._out:
                sent = self.socket.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            if len(self._out) > 4 * LINE_LIMIT:
                return "does not read what it is sent"
        except OSError as error:
            return os_text(error)
        return ""

    def close(self) -> None:
        self.socket.close()


def parse_address(text: str) -> tuple[str, int]:
    """`10.0.0.1:7000`, `[fd00::1]:7000` -> (host, port)."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f'must be ADDRESS:PORT, got "{text}"')
    return host.strip("[]"), int(port)


def address_family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
