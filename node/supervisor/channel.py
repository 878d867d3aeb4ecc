"""The group protocol: authenticated lines between supervisors, and what they may hold."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from supervisor.core.release import KINDS

PROTOCOL = 1


class ProtocolError(Exception):
    """What came over a connection is not from our group."""


class Channel:
    """One connection between supervisors: seals and opens lines.

    Both sides greet with a fresh nonce; the key of the connection is made from the group token, the
    cluster's name and both nonces, so nothing can be replayed from another connection; the counter
    refuses replay and reordering within one, the role in the MAC refuses reflection.
    """

    def __init__(self, token: bytes, cluster: str, role: str):
        self.token, self.cluster, self.role = token, cluster, role
        self.peer_role = "member" if role == "head" else "head"
        self.nonce = os.urandom(16).hex()
        self.key: bytes | None = None
        self.sent = self.received = 0

    def greeting(self) -> bytes:
        return json_line({"protocol": PROTOCOL, "nonce": self.nonce})

    def open_greeting(self, line: bytes) -> None:
        message = parse_line(line)
        nonce = message.get("nonce")
        if message.get("protocol") != PROTOCOL:
            raise ProtocolError(f"speaks protocol {message.get('protocol')!r}, not {PROTOCOL}")
        if not isinstance(nonce, str) or not re.fullmatch(r"[0-9a-f]{32}", nonce):
            raise ProtocolError("greets without a nonce")
        head, member = (self.nonce, nonce) if self.role == "head" else (nonce, self.nonce)
        context = f"vllm-cluster/{PROTOCOL}\0{self.cluster}\0{head}\0{member}"
        self.key = hmac.digest(self.token, context.encode(), "sha256")

    def seal(self, message: Mapping[str, Any]) -> bytes:
        body = json.dumps(message, separators=(",", ":"))
        self.sent += 1
        return json_line(
            {"n": self.sent, "mac": self._mac(self.role, self.sent, body), "body": body}
        )

    def open(self, line: bytes) -> dict[str, Any]:
        envelope = parse_line(line)
        number, mac, body = (envelope.get(name) for name in ("n", "mac", "body"))
        if not isinstance(body, str) or not isinstance(mac, str) or not isinstance(number, int):
            raise ProtocolError("sent a line without n, mac and body")
        if not hmac.compare_digest(mac.encode(), self._mac(self.peer_role, number, body).encode()):
            raise ProtocolError("failed authentication: its group token or cluster name differs")
        if number != self.received + 1:
            raise ProtocolError(f"sent line {number} after line {self.received}")
        self.received = number
        return parse_line(body.encode())

    def _mac(self, role: str, number: int, body: str) -> str:
        assert self.key
        text = f"{role}\0{number}\0{body}".encode("utf-8", "surrogatepass")
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()


def json_line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def parse_line(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("sent a line that is not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("sent a line that is not an object")
    return message


def is_report(report: Mapping[str, Any]) -> bool:
    """The head's core relies on this shape, so that a member of another version cannot crash it."""
    if not isinstance(report.get("releases"), dict):
        return False
    slots = report.get("slots")
    if not isinstance(report.get("instance"), str) or not isinstance(slots, dict):
        return False
    for kind in KINDS:
        slot = slots.get(kind)
        if not isinstance(slot, dict) or not isinstance(slot.get("state"), str):
            return False
        if not isinstance(slot.get("lastEpoch"), int) or not isinstance(slot.get("reason"), str):
            return False
        ended = slot.get("exit")
        if ended is not None and not (
            isinstance(ended, dict) and {"epoch", "reason"} <= set(ended)
        ):
            return False
    return True


def is_target(message: Mapping[str, Any]) -> bool:
    target = message.get("target")
    if not isinstance(target, dict) or set(target) != set(KINDS):
        return False
    if not isinstance(message.get("sequence"), int) or not isinstance(message.get("group"), dict):
        return False
    return all(
        item is None
        or (
            isinstance(item, dict)
            and isinstance(item.get("hash"), str)
            and isinstance(item.get("epoch"), int)
        )
        for item in target.values()
    )
