"""What is written down: events, output of processes, without secrets."""

from __future__ import annotations

import collections
import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from supervisor.text import TAIL_LINE_CHARS, os_text, timestamp

TAIL_LINES = 30
LOG_BYTES = 50 * 1024 * 1024
LOG_FILES = 3


class Redactor:
    """Replaces the values of all secret files in text that leaves a log file."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._values: list[str] = []
        self._read_at = -1e9

    def text(self, text: str) -> str:
        for value in self._current():
            text = text.replace(value, "[redacted]")
        return text

    def deep(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.deep(item) for key, item in value.items()}
        return [self.deep(item) for item in value] if isinstance(value, (list, tuple)) else value

    def _current(self) -> list[str]:
        if time.monotonic() - self._read_at > 2.0:
            self._read_at = time.monotonic()
            values = set(self._values)  # a rotated secret can still stand in a log
            with contextlib.suppress(OSError):
                for path in self.directory.iterdir():
                    with contextlib.suppress(OSError):
                        values.add(path.read_text(encoding="utf-8", errors="replace").strip())
            self._values = sorted(
                (value for value in values if len(value) >= 4), key=len, reverse=True
            )
        return self._values


class RotatingFile:
    """Appends to PATH; at the size limit PATH becomes PATH.1, and so on."""

    def __init__(self, path: Path, limit: int = LOG_BYTES, files: int = LOG_FILES):
        self.path, self.limit, self.files = path, limit, files
        self._lock = threading.Lock()
        self._file: Any = None
        self.problem = ""

    def write(self, data: bytes) -> None:
        """Never fails: a full disk must not stop what is being logged."""
        with self._lock:
            try:
                if self._file is None:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = open(self.path, "ab", buffering=0)
                if self._file.tell() + len(data) > self.limit and self._file.tell() > 0:
                    self._rotate()
                self._file.write(data)
                self.problem = ""
            except OSError as error:
                self.problem = f"cannot write {self.path.name}: {os_text(error)}"

    def _rotate(self) -> None:
        self._file.close()
        self._file = None
        for number in range(self.files - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = (
                self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            )
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, older)
        self._file = open(self.path, "ab", buffering=0)


class Log:
    """The supervisor's own events, a line each: stdout (docker logs) and out/log/supervisor.log."""

    def __init__(self, path: Path, node: str, redactor: Redactor):
        self.node, self.redactor = node, redactor
        self.file = RotatingFile(path)

    def event(self, text: str) -> None:
        line = self.redactor.text(f"{timestamp()} {self.node} {text}").replace("\n", " ")
        data = line.encode("utf-8", "replace") + b"\n"
        self.file.write(data)
        with contextlib.suppress(OSError):
            os.write(1, data)


class LogPump(threading.Thread):
    """Carries a child's output from its pipe to the log file and keeps the last lines."""

    def __init__(self, descriptor: int, file: RotatingFile):
        super().__init__(daemon=True)
        self._descriptor, self._file = descriptor, file
        self._tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._rest = b""
        self._lock = threading.Lock()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._descriptor, 65536):
                self._file.write(data)
                self._keep(data)
        os.close(self._descriptor)

    def tail(self) -> tuple[str, ...]:
        with self._lock:
            last = [_tail_line(self._rest)] if self._rest.strip() else []
            return tuple([*self._tail, *last][-TAIL_LINES:])

    def _keep(self, data: bytes) -> None:
        # Progress bars rewrite a line with \r: only what stands at the end of the line counts.
        *lines, rest = (self._rest + data).split(b"\n")
        with self._lock:
            self._tail.extend(_tail_line(line) for line in lines[-TAIL_LINES:] if line.strip())
            self._rest = rest[-4 * TAIL_LINE_CHARS :]


def _tail_line(line: bytes) -> str:
    text = line.rstrip(b"\r").rsplit(b"\r", 1)[-1].decode("utf-8", "replace")
    text = "".join(char for char in text if char == "\t" or char.isprintable())
    return text if len(text) <= TAIL_LINE_CHARS else text[:TAIL_LINE_CHARS] + "…"
