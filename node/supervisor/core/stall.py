"""A serve that runs but answers nothing any more: reported, nothing is restarted."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.core.judge import EngineLoad
from supervisor.core.looks import Looks
from supervisor.core.run import Run
from supervisor.core.slot import Act


class StallWatch:
    """No answers while the token counter of an engine stands still, with requests running on it."""

    def __init__(self, looks: Looks):
        self.looks = looks
        self.warning = ""
        self._still: dict[str, tuple[float, float]] = {}  # engine -> (tokens, since)

    def forget(self) -> None:
        self._still, self.warning = {}, ""

    def step(self, now: float, run: Run, acts: list[Act]) -> None:
        readiness = run.release.readiness
        if readiness is None or readiness.probe_interval <= 0:
            return
        result = self.looks.ask(now, "watch", run, acts, readiness.probe_interval)
        if result is None:
            return
        if result.ok:
            self.forget()
            return
        engines: Mapping[str, EngineLoad] = result.data.get("engines", {})
        self._still = {
            name: self._since(now, name, load) for name, load in engines.items() if load.running > 0
        }
        stalled = [
            name for name, (_, since) in self._still.items() if now - since >= readiness.stall
        ]
        self.warning = "; ".join(
            f"stalled: {self._engine_text(name, len(engines))}no completion and no generated token "
            f"for {now - self._still[name][1]:.0f} s with {engines[name].running:.0f} requests "
            f"running ({result.detail})"
            for name in sorted(stalled)
        )

    def _since(self, now: float, name: str, load: EngineLoad) -> tuple[float, float]:
        known = self._still.get(name)
        return known if known and known[0] == load.tokens else (load.tokens, now)

    def _engine_text(self, name: str, count: int) -> str:
        return f"engine {name}: " if count > 1 else ""
