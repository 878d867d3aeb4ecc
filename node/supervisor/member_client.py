"""A member's end of the group protocol."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable

from supervisor.channel import Channel, ProtocolError, is_target
from supervisor.core.member import MemberCore
from supervisor.logs import Log
from supervisor.sockets import HANDSHAKE_SEC, LineSocket, address_family


class MemberClient:
    """A member's end: keeps one connection to the head, sends reports, receives targets."""

    def __init__(
        self,
        address: tuple[str, int],
        cluster: str,
        core: MemberCore,
        token: Callable[[], bytes],
        log: Log,
    ):
        self.address, self.cluster, self.core, self.token, self.log = (
            address,
            cluster,
            core,
            token,
            log,
        )
        self._line_socket: LineSocket | None = None
        self._channel: Channel | None = None
        self._state = "closed"  # -> connecting -> greeted (key known) -> up (head has answered)
        self._since = 0.0
        self._retry_at = 0.0
        self._delay = 0.1
        self._sent = ""
        self._sent_at = 0.0
        self._said = ""

    def sockets(self) -> list[tuple[socket.socket, bool]]:
        if self._line_socket is None:
            return []
        writes = self._state == "connecting" or bool(self._line_socket._out)
        return [(self._line_socket.socket, writes)]

    def service(self, now: float) -> None:
        if self._line_socket is None:
            if now >= self._retry_at:
                self._connect(now)
            return
        if self._state == "connecting" and not self._is_connected(now):
            return
        lines, over = self._line_socket.lines()
        try:
            for line in lines:
                self._take(now, line)
        except ProtocolError as error:
            over = f"the head {error}"
        if self._line_socket is None:
            return
        if not over and self._state != "up" and now - self._since > HANDSHAKE_SEC:
            over = f"no answer from the head within {HANDSHAKE_SEC:.0f} s"
        if (
            not over
            and self._state == "up"
            and now - (self.core.heard or 0) > self.core.timing.lease
        ):
            over = f"the head is silent for {self.core.timing.lease:.0f} s"
        if over:
            if self._state == "greeted" and over == "closed by the other side":
                over += " (does the group token differ from the head's?)"
            self._close(now, over)

    def send_report(self, now: float) -> None:
        if self._line_socket is None or self._channel is None or self._channel.key is None:
            return
        report = self.core.report()
        slots = {kind: {**slot, "tail": None} for kind, slot in report["slots"].items()}
        changed = json.dumps({**report, "slots": slots})
        data = b""
        if changed != self._sent or now - self._sent_at >= self.core.timing.heartbeat:
            self._sent, self._sent_at = changed, now
            message = {"cluster": self.cluster, "node": self.core.name, "report": report}
            data = self._channel.seal(message)
        over = self._line_socket.send(data)
        if over:
            self._close(now, over)

    def close(self) -> None:
        if self._line_socket:
            self._line_socket.close()

    def _connect(self, now: float) -> None:
        token = self.token()
        if not token:
            self._close(now, "in/secrets/group-token is missing or empty")
            return
        sock = socket.socket(address_family(self.address[0]), socket.SOCK_STREAM)
        self._line_socket = LineSocket(sock)
        self._channel = Channel(token, self.cluster, "member")
        self._state, self._since, self._sent = "connecting", now, ""
        code = sock.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS):
            self._close(now, os.strerror(code).lower())

    def _is_connected(self, now: float) -> bool:
        assert self._line_socket and self._channel
        code = self._line_socket.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._close(now, os.strerror(code).lower())
            return False
        try:
            self._line_socket.socket.getpeername()
        except OSError:
            if now - self._since > HANDSHAKE_SEC:
                self._close(now, f"no connection within {HANDSHAKE_SEC:.0f} s")
            return False
        self._state = "greeted"
        self._line_socket.send(self._channel.greeting())
        return True

    def _take(self, now: float, line: bytes) -> None:
        if self._line_socket is None or self._channel is None:
            return
        if self._channel.key is None:
            self._channel.open_greeting(line)
            return
        message = self._channel.open(line)
        if message.get("type") == "refused":
            self._close(now, f"the head refuses this node: {message.get('reason')}")
            return
        if not is_target(message):
            raise ProtocolError("sent a target that this supervisor cannot read")
        if self._state != "up":
            self._state, self._delay, self._said = "up", 0.1, ""
            self.log.event(f"connected to the head {self.address[0]}:{self.address[1]}")
        self.core.on_target(now, message)

    def _close(self, now: float, reason: str) -> None:
        if self._line_socket:
            self._line_socket.close()
        self._line_socket = self._channel = None
        self._state = "closed"
        self._retry_at = now + self._delay
        self._delay = min(1.0, self._delay * 2)
        self.core.on_disconnect(f"{self.address[0]}:{self.address[1]}: {reason}")
        if reason != self._said:
            self._said = reason
            self.log.event(f"no connection to the head: {reason}")
