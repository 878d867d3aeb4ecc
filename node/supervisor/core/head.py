"""The head: the group's decisions, its members' reports, and its own processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.core.desired import Desired, desired_json
from supervisor.core.group import Group
from supervisor.core.node import NodeCore, NodeInput, release_problems
from supervisor.core.release import KINDS
from supervisor.core.run import CheckResult, GroupInput, View
from supervisor.core.slot import NOTHING, Act, slot_state
from supervisor.core.timing import Timing


class Peer:
    """A member, as the head has heard it."""

    def __init__(self) -> None:
        self.connected = False
        self.heard: float | None = None
        self.report: dict[str, Any] = {}


class HeadCore:
    """The head: the group's decisions, its members' reports, and its own processes."""

    role = "head"

    def __init__(self, name: str, cluster: str, instance: str, timing: Timing, epoch: int):
        self.name, self.cluster, self.instance, self.timing = name, cluster, instance, timing
        self.group = Group(name, timing, epoch)
        self.node = NodeCore(timing)
        self.peers: dict[str, Peer] = {}
        self.ack = 0
        self.drain_until: float | None = None
        self.finished = False

    def admit(self, now: float, cluster: str, name: str, planned: tuple[str, ...]) -> str:
        """Why this member may not join; empty when it may."""
        if cluster != self.cluster:
            return f"this is the head of cluster {self.cluster}, not of {cluster}"
        if name == self.name:
            return f"{name} is the head's own name"
        if planned and name not in planned:
            return f"{name} is not a planned node ({', '.join(planned)})"
        peer = self.peers.get(name)
        if peer and peer.connected and peer.heard is not None:
            silent = now - peer.heard
            if silent < 3 * self.timing.heartbeat:
                return f"{name} is connected already, heard {silent:.1f} s ago"
        return ""

    def is_silent(self, now: float, name: str) -> bool:
        peer = self.peers.get(name)
        return peer is not None and now - (peer.heard or 0.0) >= self.timing.lease

    def on_report(self, now: float, name: str, report: dict[str, Any]) -> None:
        peer = self.peers.setdefault(name, Peer())
        peer.connected, peer.heard, peer.report = True, now, report

    def on_disconnect(self, name: str) -> None:
        peer = self.peers.get(name)
        if peer:
            peer.connected = False
            # What it acknowledged on the old connection says nothing about the next one.
            peer.report = {**peer.report, "ack": -1}

    def step(
        self,
        now: float,
        inp: NodeInput,
        desired: Desired | None,
        epoch_on_disk: int,
        epoch_error: str = "",
        results: tuple[CheckResult, ...] = (),
    ) -> list[Act]:
        group_input = GroupInput(
            desired=desired,
            releases=inp.releases,
            views=self._views(now, inp.releases),
            epoch_on_disk=epoch_on_disk,
            epoch_error=epoch_error,
            results=results,
            draining=inp.draining,
            wall=inp.wall,
        )
        if inp.draining:
            self._drain(now, inp.force)
        acts = self.group.step(now, group_input)
        self.planned = self.group.planned_nodes(group_input)
        target = self.group.targets[self.name]
        self.ack = self.group.sequence[self.name]
        acts += self.node.step(now, target, inp.facts, inp.releases, self._why(), inp.force)
        return acts

    def message_for(self, name: str) -> dict[str, Any]:
        group = self.group
        target = group.targets.get(name, NOTHING)
        return {
            "type": "target",
            "sequence": group.sequence.get(name, 0),
            "target": {kind: ident and ident._asdict() for kind, ident in target.items()},
            "group": {
                "state": group.state,
                "reason": group.reason,
                "kinds": {kind: group.kind_state(kind) for kind in KINDS},
                "desired": desired_json(group.desired),
                "failures": {"count": group.failures, "last": group.last_failure},
            },
        }

    def status(self, now: float) -> dict[str, Any]:
        group = self.group
        kinds = {}
        for kind in KINDS:
            run, slot = group.runs[kind], self.node.slots[kind]
            facts = slot.facts
            kinds[kind] = {
                "state": group.kind_state(kind) if run or slot.clean else "stopping",
                "hash": run.ident.hash if run else None,
                "epoch": run.ident.epoch if run else None,
                "pid": facts.pid if facts.alive else None,
                "started": facts.started if facts.alive else None,
                "readyAfterSec": _rounded(run.ready_after) if run else None,
                "secrets": run.secrets if run else "",
            }
        kinds["serve"]["headless"] = False
        return {
            "state": group.state,
            "reason": group.reason,
            "desired": desired_json(group.desired),
            **kinds,
            "members": {name: self._member_status(now, name) for name in self._member_names()},
            "failures": {"count": group.failures, "last": group.last_failure},
            "warnings": [
                *([group.stall.warning] if group.stall.warning else []),
                *self._stuck(now),
            ],
        }

    planned: tuple[str, ...] = ()

    def _why(self) -> str:
        return f"the group is stopped: {self.group.halted or self.group.reason or 'new release'}"

    def _views(self, now: float, releases: Mapping[str, Any]) -> dict[str, View]:
        own = {
            "instance": self.instance,
            "ack": self.ack,
            "leaving": False,
            "releases": release_problems(releases),
            "slots": self.node.report(with_tail=True),
        }
        views = {self.name: View(True, 0.0, own)}
        for name, peer in self.peers.items():
            silent = now - peer.heard if peer.heard is not None else float("inf")
            views[name] = View(silent < self.timing.lease, silent, peer.report)
        return views

    def _stuck(self, now: float) -> list[str]:
        return [
            f"{name}: {slot['reason']}"
            for name, view in self._views(now, {}).items()
            for slot in view.report.get("slots", {}).values()
            if slot["state"] == "stuck"
        ]

    def _drain(self, now: float, force: bool) -> None:
        """Orderly (serve everywhere, then Ray) for a bounded time, then all at once."""
        if self.drain_until is None:
            stops = [slot.release.stop_timeout for slot in self.node.slots.values() if slot.release]
            waits = self.timing.kill_wait + self.timing.leftover_grace
            self.drain_until = now + sum(stops) + 2 * waits
        late = force or now >= self.drain_until
        if late:
            self.group.halt("this supervisor is shutting down")
        runs = [run for run in self.group.runs.values() if run]
        self.finished = self.node.settled and (late or not runs)

    def _member_names(self) -> list[str]:
        return [name for name in dict.fromkeys((*self.planned, *self.peers)) if name != self.name]

    def _member_status(self, now: float, name: str) -> dict[str, Any]:
        peer = self.peers.get(name)
        if peer is None or peer.heard is None:
            stopped = dict.fromkeys(KINDS, "stopped")
            return {"connected": False, "lastSeenSec": None, **stopped, "headless": False}
        slots = peer.report.get("slots", {})
        return {
            "connected": peer.connected,
            "lastSeenSec": round(now - peer.heard, 1),
            **{
                kind: slot_state(slots.get(kind, {}), self.group.kind_state(kind)) for kind in KINDS
            },
            "headless": slots.get("serve", {}).get("headless", False),
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
