"""Every wait that is not in a release file."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Timing:
    """Every wait, in seconds, that is not in a release file. `--timing` changes them in tests."""

    tick: float = 0.2
    heartbeat: float = 1.0
    lease: float = (
        10.0  # T: silence after which the head stops the group and a member stops its ranks
    )
    prestart: float = 120.0  # ports must become bindable within
    free: float = 120.0  # Ray's NPUs must become free within
    kill_wait: float = 10.0  # a process that outlives SIGKILL for so long is reported as stuck
    leftover_grace: float = 5.0  # for processes that outlive their main process, before SIGKILL
    check: float = 1.0  # between two checks of a start
    reset: float = 300.0  # ready for so long forgets earlier failures
    scan: float = 5.0  # between two looks at the process tree
    status: float = 3.0  # status.json is at most so old
