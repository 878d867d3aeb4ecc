"""What all clients of a running supervisor need: its live status, `desired.json`, locks."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervisor.core.desired import Desired, parse_desired
from supervisor.core.fields import BadFile
from supervisor.files import Layout, read_json, write_atomically
from supervisor.text import timestamp

STATUS_STALE_SEC = 15.0


class Refused(Exception):
    """What was asked for cannot be done, with the text for the operator."""


def say(text: str) -> None:
    """Progress. The connection behind stderr may be gone; that must not end a commit half-way."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def supervisor_is_alive(layout: Layout) -> bool:
    """The supervisor holds a lock for its whole life; unlike a time stamp it cannot be stale."""
    try:
        with open(layout.out / "supervisor.lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def live_status(layout: Layout, patience: float = STATUS_STALE_SEC) -> dict[str, Any]:
    """A status that a living supervisor wrote just now. @throws Refused"""
    until = time.monotonic() + patience
    while True:
        problem = "the supervisor of this container does not run"
        if supervisor_is_alive(layout):
            try:
                status = read_json(layout.status)
                age = time.time() - status["time"]
                if abs(age) <= STATUS_STALE_SEC:
                    return status
                problem = (
                    f"status.json is {age:.0f} s old: the supervisor hangs or its disk is full"
                )
            except (OSError, BadFile, KeyError, TypeError) as error:
                problem = f"status.json cannot be read: {error}"
        if time.monotonic() >= until:
            raise Refused(f"{problem}; next: docker logs of this container, out/log/supervisor.log")
        time.sleep(0.2)


@contextlib.contextmanager
def locked(path: Path, patience: float, what: str) -> Any:
    """@throws Refused"""
    with open(path, "a+") as file:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    file.seek(0)
                    raise Refused(f"{what} ({file.read().strip() or 'unknown'})") from None
                time.sleep(0.1)
        file.seek(0)
        file.truncate()
        file.write(f"pid {os.getpid()} since {timestamp()}\n")
        file.flush()
        yield


def change_desired(
    layout: Layout, change: Callable[[Desired | None], Desired | None]
) -> tuple[Desired | None, Desired | None]:
    """Read, change, write under a lock. Returns (before, after). @throws Refused"""
    with locked(layout.out / "desired.lock", 10.0, "out/desired.json is locked"):
        try:
            before = parse_desired(read_json(layout.desired))
        except FileNotFoundError:
            before = None
        except BadFile as error:
            raise Refused(f"out/desired.json {error}; repair or remove it") from None
        after = change(before)
        if after is None:
            layout.desired.unlink(missing_ok=True)
        elif after != before:
            write_atomically(layout.desired, json.dumps(after.to_json()) + "\n", durable=True)
        return before, after


def new_revision() -> str:
    return f"{timestamp()}-{os.urandom(4).hex()}"


def require_head(layout: Layout) -> dict[str, Any]:
    status = live_status(layout)
    if status["role"] != "head":
        raise Refused(
            f"{status['node']} is a member: do this on the head of cluster {status['cluster']}"
        )
    return status
