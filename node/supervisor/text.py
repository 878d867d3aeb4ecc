"""How errors, signals, times and last lines read."""

from __future__ import annotations

import datetime
import signal

TAIL_LINE_CHARS = 500


def os_text(error: OSError) -> str:
    return error.strerror.lower() if error.strerror else str(error)


def timestamp() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:TAIL_LINE_CHARS] if lines else "no output"
