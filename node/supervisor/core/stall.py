"""A serve that runs but answers nothing any more: reported, nothing is restarted."""

from __future__ import annotations

from supervisor.core.looks import Looks
from supervisor.core.run import Run
from supervisor.core.slot import Act


class StallWatch:
    """No answers while the token counter stands still, with requests running."""

    def __init__(self, looks: Looks):
        self.looks = looks
        self.warning = ""
        self._stall: tuple[float, float] | None = None  # (tokens, since)

    def forget(self) -> None:
        self._stall, self.warning = None, ""

    def step(self, now: float, run: Run, acts: list[Act]) -> None:
        readiness = run.release.readiness
        if readiness is None or readiness.probe_interval <= 0:
            return
        result = self.looks.ask(now, "watch", run, acts, readiness.probe_interval)
        if result is None:
            return
        tokens, running = result.data.get("tokens"), result.data.get("running") or 0
        if result.ok or tokens is None or running <= 0:
            self.forget()
        elif self._stall is None or self._stall[0] != tokens:
            self._stall, self.warning = (tokens, now), ""
        elif now - self._stall[1] >= readiness.stall:
            self.warning = (
                f"stalled: no completion and no generated token for {now - self._stall[1]:.0f} s "
                f"with {running:.0f} requests running ({result.detail})"
            )
