"""Faults that a test sets: a JSON file, read anew at each use.

$VLLM_STANDIN_FAULTS names the file; by default it is vllm-standin.json in the model directory, which
a test can write on the host.

loadSec           seconds that loading takes, default 1
hangAt            "init" | "load": stays there for ever, the port closed
crashAt           "init" | "load" | "serving": ends with a traceback there ("load": in a rank)
crashRank         the rank that crashes at "load", default 0
crashAfterSec     for "serving": so long after the start-up was complete, default 0
message           text of the crash's exception
wedged            completions hang, /health stays 200
refuse            completions answer 500, /health 503, as with a dead engine
ignoreSigterm     SIGTERM does nothing
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

KNOWN = {
    "loadSec": (int, float),
    "hangAt": str,
    "crashAt": str,
    "crashRank": int,
    "crashAfterSec": (int, float),
    "message": str,
    "wedged": bool,
    "refuse": bool,
    "ignoreSigterm": bool,
}


class Faults:
    def __init__(self, model: str) -> None:
        default = Path(model) / "vllm-standin.json"
        self.path = Path(os.environ.get("VLLM_STANDIN_FAULTS") or default)

    def get(self, name: str, default: Any = None) -> Any:
        return self._read().get(name, default)

    @property
    def message(self) -> str:
        return str(self.get("message", "fault set by the test"))

    def pass_through(self, phase: str) -> None:
        if self.get("crashAt") == phase:
            raise RuntimeError(self.message)
        while self.get("hangAt") == phase:
            time.sleep(0.5)

    def _read(self) -> dict[str, Any]:
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return {}
        settings = json.loads(text)
        for name, value in settings.items():
            if name not in KNOWN or not isinstance(value, KNOWN[name]):
                raise ValueError(f"{self.path}: unknown fault or wrong type: {name}={value!r}")
        return settings
