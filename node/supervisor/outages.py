"""How long the API was out in the last change of each class: `out/outages.json`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.core.fields import BadFile
from supervisor.files import read_json, write_atomically


class Outages:
    """`{"serve": {"sec": 41.2, "at": 1700000000}, …}`, by what was restarted.

    Only changes of a group that was serving count: nobody missed what did not serve.
    """

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, BadFile):
            known = read_json(self.path)
            if isinstance(known, dict):
                return known
        return {}

    def note(self, kind: str, before: Mapping[str, Any], began: float, ended: float) -> None:
        """before: the status when the commit began, at `began`; it serves again at `ended`."""
        if before["state"] != "ready":
            # Its container was stopped while it served: the supervisor before this one saw it.
            kind, began = "containers", before.get("servedUntil")
        if began is None:
            return
        outage = {"sec": round(ended - began, 1), "at": round(ended)}
        with contextlib.suppress(OSError):
            text = json.dumps({**self.read(), kind: outage}, sort_keys=True)
            write_atomically(self.path, text + "\n", durable=False)


def served_until(path: Path) -> float | None:
    """When the supervisor that wrote this status was told to end while its group served."""
    with contextlib.suppress(OSError, BadFile, AttributeError):
        return read_json(path).get("servedUntil")
    return None
