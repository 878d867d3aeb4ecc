"""`processes`: what Ray and vLLM of this node were really started with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.children import MARKER
from supervisor.client import live_status
from supervisor.core.release import KINDS
from supervisor.files import Layout


def run_processes(layout: Layout, variables: Sequence[str]) -> int:
    """Prints `{"serve": {"hash", "command", "env"}, …}` of what runs, only these variables of it."""
    status = live_status(layout, patience=5.0)
    found = {}
    for kind in KINDS:
        pid = status[kind]["pid"]
        if pid:
            with contextlib.suppress(OSError):
                found[kind] = {"hash": status[kind]["hash"], **report(pid, variables)}
    print(json.dumps(found))
    return 0


def report(pid: int, variables: Sequence[str]) -> Mapping[str, Any]:
    """@throws OSError when it has ended meanwhile"""
    env = dict(
        item.split("=", 1) for item in words(pid, "environ") if "=" in item
    )
    return {
        "command": words(pid, "cmdline"),
        # A process that has set a title has overwritten it: then nothing is known.
        "env": {name: env.get(name) for name in variables} if MARKER in env else None,
    }


def words(pid: int, file: str) -> list[str]:
    text = Path("/proc", str(pid), file).read_bytes().decode("utf-8", "replace")
    return text.removesuffix("\0").split("\0")
