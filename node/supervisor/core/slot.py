"""One kind of process on this node, from the wish to have it until its last child is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from supervisor.core.release import Release
from supervisor.core.timing import Timing


class Ident(NamedTuple):
    """A process of the group: with its kind, which is said apart, unique for ever."""

    hash: str
    epoch: int


Target = Mapping[str, Ident | None]
NOTHING: Target = {"ray": None, "serve": None}


class Act(NamedTuple):
    """What the core wants done.

    verb: spawn (kind, ident, data = Release), term, kill (kind), epoch (data = number),
    check (data = Check).
    """

    verb: str
    kind: str = ""
    ident: Ident | None = None
    data: Any = None


class Facts(NamedTuple):
    """What is known of one kind's processes on this node."""

    alive: bool = False  # the main process
    pid: int | None = None
    started: float | None = None  # wall clock, for people
    exit: Mapping[str, Any] | None = (
        None  # {"exitCode", "signal", "reason"} once the main process ended
    )
    leftovers: tuple[
        str, ...
    ] = ()  # other living processes of it; known once it stops or has ended
    blocked: str | None = None  # why it cannot start now; "" = it can, None = not looked yet
    tail: tuple[str, ...] = ()


NO_FACTS = Facts()


class Slot:
    """One kind of process on this node, from the wish to have it until its last child is gone.

    empty -> blocked (checks before the start) -> running -> stopping (SIGTERM)
    -> killing (SIGKILL) -> empty
    nothing: the release has no command for this node; stuck: something outlives SIGKILL.
    """

    def __init__(self, kind: str, timing: Timing):
        self.kind = kind
        self.timing = timing
        self.state = "empty"
        self.since = 0.0
        self.gone_at: float | None = None
        self.ident: Ident | None = None
        self.release: Release | None = None
        self.last_epoch = 0
        self.reason = ""
        self.exit: dict[str, Any] | None = None
        self.facts = NO_FACTS

    def step(
        self, now: float, want: Ident | None, release: Any, facts: Facts, why: str, force: bool
    ) -> list[Act]:
        self.facts = facts
        return getattr(self, f"_{self.state}")(now, want, release, facts, why, force)

    @property
    def clean(self) -> bool:
        return self.state in ("empty", "nothing")

    def report(self, with_tail: bool) -> dict[str, Any]:
        return {
            "state": self.state,
            "hash": self.ident.hash if self.ident else None,
            "epoch": self.ident.epoch if self.ident else None,
            "headless": self.release is not None and self.release.headless,
            "lastEpoch": self.last_epoch,
            "pid": self.facts.pid,
            "started": self.facts.started,
            "reason": self.reason,
            "exit": self.exit,
            "tail": list(self.facts.tail) if with_tail else [],
        }

    def _enter(self, state: str, now: float, reason: str = "") -> None:
        self.state, self.since, self.reason = state, now, reason
        if state == "empty":
            self.ident = self.release = None

    def _empty(self, now, want, release, facts, why, force) -> list[Act]:
        # An epoch runs once: a process that ended is never started again under the same epoch.
        if want is None or want.epoch <= self.last_epoch:
            return []
        if not isinstance(release, Release):
            self.reason = release or f"{self.kind} release {want.hash} is not staged here"
            return []
        self.ident, self.release, self.exit, self.gone_at = want, release, None, None
        if release.command is None:
            self.last_epoch = want.epoch
            self._enter("nothing", now)
        else:
            self._enter("blocked", now, "checking ports")
        return []

    def _nothing(self, now, want, release, facts, why, force) -> list[Act]:
        if want != self.ident:
            self._enter("empty", now, why)
        return []

    def _blocked(self, now, want, release, facts, why, force) -> list[Act]:
        assert self.ident
        if want != self.ident:
            self._enter("empty", now, why)
        elif facts.blocked == "":
            self.last_epoch = self.ident.epoch
            self._enter("running", now)
            return [Act("spawn", self.kind, self.ident, self.release)]
        elif facts.blocked is not None:
            self.reason = facts.blocked
            if now - self.since >= self.timing.prestart:
                self.last_epoch = self.ident.epoch
                text = f"not started: {facts.blocked}, for {self.timing.prestart:.0f} s"
                self.exit = self._exit_record(
                    {"exitCode": None, "signal": None, "reason": text}, facts
                )
                self._enter("empty", now, text)
        return []

    def _running(self, now, want, release, facts, why, force) -> list[Act]:
        if facts.exit is not None:
            self.exit = self._exit_record(facts.exit, facts)
            self.gone_at = now
            self._enter("stopping", now, self.exit["reason"])
        elif want != self.ident:
            self._enter("stopping", now, why)
        else:
            return []
        return [Act("term", self.kind)]

    def _stopping(self, now, want, release, facts, why, force) -> list[Act]:
        assert self.release
        if self._is_gone(now, facts):
            return []
        acts = []
        if not facts.alive and self.gone_at is None:
            # Processes in sessions of their own did not get the group's SIGTERM.
            self.gone_at = now
            acts.append(Act("term", self.kind))
        too_long = now - self.since >= self.release.stop_timeout
        if self.gone_at is not None:
            too_long = now - self.gone_at >= self.timing.leftover_grace
        if too_long or force:
            self._enter("killing", now, self.reason)
            return [Act("kill", self.kind)]
        return acts

    def _killing(self, now, want, release, facts, why, force) -> list[Act]:
        if not self._is_gone(now, facts) and now - self.since >= self.timing.kill_wait:
            self._enter("stuck", now, self._stuck_reason(facts))
        return []

    def _stuck(self, now, want, release, facts, why, force) -> list[Act]:
        if self._is_gone(now, facts):
            return []
        self.reason = self._stuck_reason(facts)
        if now - self.since >= self.timing.kill_wait:
            self.since = now
            return [Act("kill", self.kind)]
        return []

    def _is_gone(self, now: float, facts: Facts) -> bool:
        if facts.alive or facts.leftovers:
            return False
        self._enter("empty", now, self.reason)
        return True

    def _stuck_reason(self, facts: Facts) -> str:
        rest = ", ".join(facts.leftovers[:5]) or f"pid {facts.pid}"
        return f"{self.kind} outlives SIGKILL: {rest}"

    def _exit_record(self, exit: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        assert self.ident
        return {
            **exit,
            "hash": self.ident.hash,
            "epoch": self.ident.epoch,
            "tail": list(facts.tail),
        }


def slot_state(slot: Mapping[str, Any], group_state: str) -> str:
    """A slot in the words of status.json."""
    state = slot.get("state", "empty")
    if state in ("empty", "nothing"):
        return "failed" if slot.get("exit") and group_state == "failed" else "stopped"
    if state == "running":
        return "ready" if group_state == "ready" else "starting"
    return "starting" if state == "blocked" else "stopping"
