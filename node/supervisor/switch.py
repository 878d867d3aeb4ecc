"""`set` and `forget`: the operator's switch, and destroy."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

from supervisor.client import Refused, change_desired, live_status, new_revision, require_head, say
from supervisor.core.desired import Desired
from supervisor.core.fields import BadFile
from supervisor.core.release import KINDS, parse_release
from supervisor.files import Layout, read_json

# For what outlives SIGTERM and SIGKILL, on top of the stop time-outs of serve and Ray.
SWEEP_SEC = 60.0


def run_set(layout: Layout, state: str) -> int:
    """`set running|stopped`: the operator's switch."""
    status = require_head(layout)

    def change(before: Desired | None) -> Desired:
        before = before or Desired("running", None, None)
        return before._replace(state=state, revision=new_revision())

    before, after = change_desired(layout, change)
    assert after
    if state == "running":
        say(f"cluster {status['cluster']} is switched on; `status` shows how it starts")
        return 0
    return await_stopped(layout, KINDS, after, stop_deadline(layout, before))


def run_forget(layout: Layout, kind: str) -> int:
    """`forget ray|serve`: this kind is desired no more; returns when it is stopped everywhere."""
    require_head(layout)

    def change(before: Desired | None) -> Desired | None:
        if before is None or getattr(before, kind) is None:
            return before
        return Desired(**{**before.to_json(), kind: None, "revision": new_revision()})

    before, after = change_desired(layout, change)
    # Serve cannot outlive its Ray; a Ray that is not desired any more has no serve on it.
    has_serve = kind == "ray" and before is not None and before.ray is not None
    kinds = KINDS if has_serve else (kind,)
    return await_stopped(layout, kinds, after, stop_deadline(layout, before))


def stop_deadline(layout: Layout, before: Desired | None) -> float:
    """Seconds for a stop, whoever asks: twice the stop grace of the container (docs/supervisor.md)."""
    grace = SWEEP_SEC
    for kind in KINDS:
        digest = getattr(before, kind) if before else None
        with contextlib.suppress(OSError, BadFile):
            if digest:
                grace += parse_release(read_json(layout.release(kind, digest))).stop_timeout
    return 2 * grace


def await_stopped(
    layout: Layout, kinds: Iterable[str], after: Desired | None, deadline: float
) -> int:
    until = time.monotonic() + deadline
    while True:
        status = live_status(layout)
        seen = after is None or status["desired"].get("revision") == after.revision
        running = [kind for kind in kinds if status[kind]["state"] not in ("stopped", "failed")]
        running += [
            f"{kind} on {name}"
            for name, member in status["members"].items()
            for kind in kinds
            if member["connected"] and member[kind] not in ("stopped", "failed")
        ]
        if seen and not running:
            say(" and ".join(kinds) + " stopped")
            return 0
        if time.monotonic() >= until:
            raise Refused(
                f"still running after {deadline:.0f} s: {', '.join(running)}; {status['reason']}"
            )
        time.sleep(0.2)
