"""One look outside at a time: asked for again and again, each answer handed out once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from supervisor.core.run import Check, CheckResult, Run
from supervisor.core.slot import Act
from supervisor.core.timing import Timing


class Looks:
    """What is being looked at now. Another question, run or phase makes older answers void."""

    def __init__(self, timing: Timing):
        self.timing = timing
        self.detail = ""  # of the newest answer
        self.blamed: str | None = None  # the node that the newest answer found wanting
        self._owner: Any = None
        self._number = 0
        self._open = False
        self._result: CheckResult | None = None
        self._next = 0.0

    def ask(
        self, now: float, what: str, run: Run, acts: list[Act], interval: float | None = None
    ) -> CheckResult | None:
        """Keeps this look going, every `interval` seconds; its newest result, once."""
        owner = (what, run.ident, run.phase, run.free_since)
        if self._owner != owner:
            self._owner, self._open, self._result = owner, False, None
            self._next = now if interval is None else now + interval
            self.detail, self.blamed = "", None
        if not self._open and self._result is None and now >= self._next:
            self._number += 1
            self._open = True
            self._next = now + (interval if interval is not None else self.timing.check)
            acts.append(Act("check", data=Check(self._number, what, run.release)))
        result, self._result = self._result, None
        return result

    def take(self, now: float, results: Iterable[CheckResult]) -> None:
        for result in results:
            if self._open and result.number == self._number:
                self._open, self._result = False, result
                self.detail, self.blamed = result.detail, result.data.get("node")
                self._next = max(self._next, now + self.timing.check)
