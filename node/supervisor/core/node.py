"""This node's processes: converges them to a target."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from supervisor.core.release import KINDS, Release
from supervisor.core.slot import NO_FACTS, Act, Facts, Slot, Target
from supervisor.core.timing import Timing


class NodeCore:
    """This node's processes: converges them to a target."""

    def __init__(self, timing: Timing):
        self.slots = {kind: Slot(kind, timing) for kind in KINDS}

    def step(
        self,
        now: float,
        target: Target,
        facts: Mapping[str, Facts],
        releases: Mapping[str, Any],
        why: str = "",
        force: bool = False,
    ) -> list[Act]:
        acts: list[Act] = []
        for kind, slot in self.slots.items():
            want = target.get(kind)
            release = releases.get(f"{kind}:{want.hash}") if want else None
            acts += slot.step(now, want, release, facts.get(kind, NO_FACTS), why, force)
        return acts

    def drain_target(self) -> Target:
        """Serve first; Ray stays until serve is gone (or will not go)."""
        serve, ray = self.slots["serve"], self.slots["ray"]
        waits = ray.state == "running" and serve.state in ("running", "stopping", "killing")
        return {"serve": None, "ray": ray.ident if waits else None}

    @property
    def clean(self) -> bool:
        return all(slot.clean for slot in self.slots.values())

    @property
    def settled(self) -> bool:
        """Nothing runs that could still be ended."""
        return all(slot.clean or slot.state == "stuck" for slot in self.slots.values())

    def report(self, with_tail: bool) -> dict[str, Any]:
        return {kind: slot.report(with_tail) for kind, slot in self.slots.items()}


@dataclasses.dataclass
class NodeInput:
    """What the effects know at this step."""

    facts: Mapping[str, Facts]
    releases: Mapping[str, Any]
    draining: bool = False
    force: bool = False
    wall: float = 0.0


def release_problems(releases: Mapping[str, Any]) -> dict[str, str]:
    return {key: "" if isinstance(item, Release) else item for key, item in releases.items()}
