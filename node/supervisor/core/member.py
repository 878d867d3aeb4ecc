"""A member: follows the newest target of the head for as long as the head is heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.core.desired import desired_json
from supervisor.core.node import NodeCore, NodeInput, release_problems
from supervisor.core.slot import NOTHING, Act, Ident, Target, slot_state
from supervisor.core.timing import Timing


class MemberCore:
    """A member: follows the newest target of the head for as long as the head is heard."""

    role = "member"

    def __init__(self, name: str, instance: str, timing: Timing):
        self.name, self.instance, self.timing = name, instance, timing
        self.node = NodeCore(timing)
        self.target: Target = NOTHING
        self.ack = -1
        self.heard: float | None = None
        self.connected = False
        self.group: dict[str, Any] = {}
        self.link_reason = "not connected yet"
        self.releases: Mapping[str, Any] = {}
        self.leaving = False
        self.finished = False

    def on_target(self, now: float, message: Mapping[str, Any]) -> None:
        self.connected, self.heard = True, now
        self.target = {
            kind: Ident(item["hash"], item["epoch"]) if item else None
            for kind, item in message["target"].items()
        }
        self._sequence = message["sequence"]
        self.group = dict(message["group"])

    _sequence = -1

    def on_disconnect(self, reason: str) -> None:
        self.connected, self.link_reason = False, reason
        self.ack = self._sequence = -1

    def step(self, now: float, inp: NodeInput) -> list[Act]:
        self.releases = inp.releases
        self.leaving = inp.draining
        target, why = self.target, "not in the head's target any more"
        if self.heard is None or now - self.heard >= self.timing.lease:
            target, why = NOTHING, f"no word from the head for {self.timing.lease:.0f} s"
        if inp.draining:
            target, why = self.node.drain_target(), "this supervisor is shutting down"
        acts = self.node.step(now, target, inp.facts, inp.releases, why, inp.force)
        # Only now: what the report says of the slots is the answer to this target.
        self.ack = self._sequence
        self.finished = inp.draining and self.node.settled
        return acts

    def report(self) -> dict[str, Any]:
        return {
            "instance": self.instance,
            "ack": self.ack,
            "leaving": self.leaving,
            "releases": release_problems(self.releases),
            "slots": self.node.report(with_tail=self.group.get("state") != "ready"),
        }

    def status(self, now: float) -> dict[str, Any]:
        if self.connected and self.group:
            state, reason = self.group["state"], self.group["reason"]
        else:
            state, reason = "waiting", f"no connection to the head: {self.link_reason}"
        if self.leaving:
            state, reason = "stopped", "the supervisor is shutting down"
        kinds = {}
        for kind, slot in self.node.slots.items():
            group_state = self.group.get("kinds", {}).get(kind, "starting")
            kinds[kind] = {
                "state": slot_state(slot.report(False), group_state),
                "hash": slot.ident.hash if slot.ident else None,
                "epoch": slot.ident.epoch if slot.ident else None,
                "pid": slot.facts.pid if slot.facts.alive else None,
                "started": slot.facts.started if slot.facts.alive else None,
                "readyAfterSec": None,
            }
        serve = self.node.slots["serve"].release
        kinds["serve"]["headless"] = serve is not None and serve.headless
        return {
            "state": state,
            "reason": reason,
            "desired": self.group.get("desired") or desired_json(None),
            **kinds,
            "members": {},
            "failures": self.group.get("failures", {"count": 0, "last": None}),
            "warnings": [],
        }
