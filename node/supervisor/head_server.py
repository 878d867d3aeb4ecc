"""The head's end of the group protocol."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

from supervisor.channel import Channel, ProtocolError, is_report
from supervisor.core.head import HeadCore
from supervisor.logs import Log
from supervisor.sockets import HANDSHAKE_SEC, LineSocket, address_family
from supervisor.text import os_text

MAX_CONNECTIONS = 64


class _HeadConnection:
    def __init__(self, line_socket: LineSocket, channel: Channel, peer: str, now: float):
        self.line_socket, self.channel, self.peer, self.since = line_socket, channel, peer, now
        self.name: str | None = None
        self.sent = ""
        self.sent_at = 0.0


class HeadServer:
    """The head's end of the group protocol: listens on its own address, admits planned members."""

    def __init__(
        self, address: tuple[str, int], core: HeadCore, token: Callable[[], bytes], log: Log
    ):
        self.address, self.core, self.token, self.log = address, core, token, log
        self.problem = "not listening yet"
        self.connections: list[_HeadConnection] = []
        self._listener: socket.socket | None = None
        self._retry_at = 0.0
        self._said: dict[str, float] = {}

    def sockets(self) -> list[tuple[socket.socket, bool]]:
        out = [(item.line_socket.socket, bool(item.line_socket._out)) for item in self.connections]
        return out + ([(self._listener, False)] if self._listener else [])

    def service(self, now: float) -> None:
        self._listen(now)
        self._accept(now)
        for connection in list(self.connections):
            lines, over = connection.line_socket.lines()
            try:
                for line in lines:
                    self._take(now, connection, line)
            except ProtocolError as error:
                self._drop(now, connection, str(error))
                continue
            if over:
                self._drop(now, connection, over)
            elif connection.name is None and now - connection.since > HANDSHAKE_SEC:
                self._drop(
                    now, connection, f"did not introduce itself within {HANDSHAKE_SEC:.0f} s"
                )
            elif connection.name and self.core.is_silent(now, connection.name):
                self._drop(now, connection, "silent for too long")
            elif connection.name and self.core.planned and connection.name not in self.core.planned:
                self._refuse(now, connection, f"{connection.name} is not a planned node any more")

    def broadcast(self, now: float) -> None:
        """Each member's target: at once when it changes, else as a heartbeat."""
        for connection in list(self.connections):
            if connection.name is None:
                over = connection.line_socket.send()
            else:
                message = self.core.message_for(connection.name)
                text = json.dumps(message)
                due = now - connection.sent_at >= self.core.timing.heartbeat
                data = b""
                if due or text != connection.sent:
                    connection.sent, connection.sent_at = text, now
                    data = connection.channel.seal(message)
                over = connection.line_socket.send(data)
            if over:
                self._drop(now, connection, over)

    def close(self) -> None:
        for item in self.connections:
            item.line_socket.close()
        if self._listener:
            self._listener.close()

    def _listen(self, now: float) -> None:
        if self._listener or now < self._retry_at:
            return
        self._retry_at = now + 1.0
        listener = socket.socket(address_family(self.address[0]), socket.SOCK_STREAM)
        try:
            # A restarted head must not wait for connections of its predecessor in TIME_WAIT.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(self.address)
            listener.listen(16)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            problem = f"cannot listen on {self.address[0]}:{self.address[1]}: {os_text(error)}"
            if problem != self.problem:
                self.log.event(problem)
            self.problem = problem
            return
        self._listener, self.problem = listener, ""
        self.log.event(f"listening on {self.address[0]}:{self.address[1]}")

    def _accept(self, now: float) -> None:
        while self._listener:
            try:
                accepted, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self.log.event(f"accept failed: {os_text(error)}")
                return
            token = self.token()
            if not token or len(self.connections) >= MAX_CONNECTIONS:
                why = (
                    "too many connections"
                    if token
                    else "in/secrets/group-token is missing or empty"
                )
                self._say(now, f"refused {peer[0]}: {why}")
                accepted.close()
                continue
            channel = Channel(token, self.core.cluster, "head")
            connection = _HeadConnection(LineSocket(accepted), channel, peer[0], now)
            self.connections.append(connection)
            connection.line_socket.send(channel.greeting())

    def _take(self, now: float, connection: _HeadConnection, line: bytes) -> None:
        if connection.channel.key is None:
            connection.channel.open_greeting(line)
            return
        message = connection.channel.open(line)
        name, report = message.get("node"), message.get("report")
        if not isinstance(name, str) or not isinstance(report, dict) or not is_report(report):
            raise ProtocolError("sent a heartbeat that this supervisor cannot read")
        if connection.name is None:
            refusal = self.core.admit(now, str(message.get("cluster")), name, self.core.planned)
            if refusal:
                self._refuse(now, connection, refusal)
                return
            self._replace(now, name)
            connection.name = name
            self.log.event(f"{name} connected from {connection.peer}")
        if connection in self.connections:
            self.core.on_report(now, connection.name, report)

    def _replace(self, now: float, name: str) -> None:
        for other in [item for item in self.connections if item.name == name]:
            self._drop(now, other, "replaced by a new connection")

    def _refuse(self, now: float, connection: _HeadConnection, refusal: str) -> None:
        connection.line_socket.send(connection.channel.seal({"type": "refused", "reason": refusal}))
        self._drop(now, connection, f"refused: {refusal}")

    def _drop(self, now: float, connection: _HeadConnection, reason: str) -> None:
        if connection not in self.connections:
            return
        connection.line_socket.close()
        self.connections.remove(connection)
        if connection.name:
            self.core.on_disconnect(connection.name)
            self.log.event(f"{connection.name} disconnected: {reason}")
        else:
            self._say(now, f"dropped a connection from {connection.peer}: {reason}")

    def _say(self, now: float, text: str) -> None:
        """A peer that tries every second must not fill the log."""
        if now - self._said.get(text, -60.0) >= 60.0:
            if len(self._said) > 1000:
                self._said.clear()
            self._said[text] = now
            self.log.event(text)
