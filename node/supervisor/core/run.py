"""Ray or serve of the whole group in one epoch, and what the group decides from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from supervisor.core.desired import Desired
from supervisor.core.release import Release
from supervisor.core.slot import Ident


class View(NamedTuple):
    """What the head knows of one node."""

    fresh: bool  # heard within the lease
    silent_for: float
    report: Mapping[
        str, Any
    ]  # {"instance", "ack", "leaving", "releases", "slots"}; empty before the first


class Check(NamedTuple):
    """A look outside that takes time. what: health, probe, completion, watch."""

    number: int
    what: str
    release: Release


class CheckResult(NamedTuple):
    number: int
    ok: bool
    detail: str
    data: Mapping[str, Any] = {}


@dataclasses.dataclass
class GroupInput:
    desired: Desired | None
    releases: Mapping[str, Any]  # "kind:hash" -> Release, or the text why it cannot be used here
    views: Mapping[str, View]
    epoch_on_disk: int
    epoch_error: str = ""
    results: tuple[CheckResult, ...] = ()
    draining: bool = False
    wall: float = 0.0


class Run:
    """Ray or serve of the whole group, in one epoch."""

    def __init__(
        self, release: Release, epoch: int, nodes: tuple[str, ...], now: float, secrets: str = ""
    ):
        self.kind = release.kind
        self.release = release
        self.secrets = secrets
        self.ident = Ident(release.hash, epoch)
        self.nodes = nodes
        self.phase = "epoch"
        self.since = now
        self.stopping = False
        self.instances: dict[str, str] = {}
        self.seen: dict[str, float] = {}  # node -> since when its process runs
        self.targets: set[str] = set()  # nodes that were told to run it
        self.ready_after: float | None = None
        self.ready_at: float | None = None
        self.free = False  # Ray: NPUs were seen free and nothing was started on them since
        self.free_since: float | None = None

    def enter(self, phase: str, now: float) -> None:
        self.phase, self.since = phase, now

    def be_ready(self, now: float, started: float) -> None:
        self.ready_at, self.ready_after = now, now - started
        self.enter("ready", now)
