"""Processes of this container: reading /proc, starting, collecting what ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from supervisor.text import os_text


class Proc(NamedTuple):
    pid: int
    parent: int
    session: int
    state: str
    start: int
    name: str

    @property
    def alive(self) -> bool:
        if self.state not in "ZX":
            return True
        # A dead main thread with living threads (stuck in the driver) still holds the devices.
        try:
            return self.state == "Z" and len(os.listdir(f"/proc/{self.pid}/task")) > 1
        except OSError:
            return False

    def __str__(self) -> str:
        stuck = ", uninterruptible" if self.state == "D" else ""
        return f"pid {self.pid} ({self.name}, state {self.state}{stuck})"


def read_processes() -> dict[int, Proc]:
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    text = file.read()
                name, _, rest = text.partition("(")[2].rpartition(")")
                words = rest.split()
                pid = int(entry)
                table[pid] = Proc(pid, int(words[1]), int(words[3]), words[0], int(words[19]), name)
    return table


def descendants(table: Mapping[int, Proc], roots: Iterable[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for proc in table.values():
        children.setdefault(proc.parent, []).append(proc.pid)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        for pid in children.get(todo.pop(), []):
            if pid not in found:
                found.add(pid)
                todo.append(pid)
    return found


def become_subreaper() -> None:
    """Orphans come to us also where we are not PID 1 (tests, a shell in the container)."""
    if os.getpid() == 1:
        return
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


class Reaper:
    """Starts all processes and collects all that end, also orphans that are not ours."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: dict[int, tuple[subprocess.Popen, threading.Event]] = {}
        self.helpers: set[int] = set()

    def spawn(
        self, helper: bool = False, **options: Any
    ) -> tuple[subprocess.Popen, threading.Event]:
        # The lock: a child that ends at once must not be collected before it is known.
        with self._lock:
            child = subprocess.Popen(stdin=subprocess.DEVNULL, start_new_session=True, **options)
            ended = threading.Event()
            self._live[child.pid] = (child, ended)
            if helper:
                self.helpers.add(child.pid)
            return child, ended

    def reap(self) -> None:
        while True:
            with self._lock:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return
                if pid == 0:
                    return
                self.helpers.discard(pid)
                child, ended = self._live.pop(pid, (None, None))
                if child and ended:
                    child.returncode = os.waitstatus_to_exitcode(status)
                    ended.set()

    def run_helper(
        self, command: list[str], env: Mapping[str, str], deadline: float
    ) -> tuple[int | None, str, str]:
        """For a thread: runs a short command. (exit code or None if too slow, stdout, stderr)."""
        try:
            child, ended = self.spawn(
                helper=True,
                cwd="/",
                args=command,
                env=dict(env),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            return 127, "", f"cannot start {command[0]}: {os_text(error)}"
        outputs: list[bytes] = [b"", b""]

        def collect(index: int, stream: Any) -> None:
            with contextlib.suppress(OSError, ValueError):
                outputs[index] = stream.read(1024 * 1024)
                while stream.read(65536):
                    pass

        threads = [
            threading.Thread(target=collect, args=item, daemon=True)
            for item in enumerate((child.stdout, child.stderr))
        ]
        for thread in threads:
            thread.start()
        in_time = ended.wait(deadline)
        if not in_time:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
            ended.wait(5.0)
        for thread in threads:
            thread.join(2.0)
        texts = [output.decode("utf-8", "replace") for output in outputs]
        return (child.returncode if in_time else None), texts[0], texts[1]

    def kill_helpers(self) -> None:
        for pid in list(self.helpers):
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
