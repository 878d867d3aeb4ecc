"""This node's Ray and serve processes: start, find again, signal, see end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.core.release import KINDS, Release
from supervisor.core.slot import Facts, Ident, Slot
from supervisor.core.timing import Timing
from supervisor.files import Layout
from supervisor.logs import Log, LogPump, Redactor, RotatingFile
from supervisor.ports import port_problem
from supervisor.processes import Proc, Reaper, descendants, read_processes
from supervisor.text import signal_name, timestamp

MARKER = "VLLM_CLUSTER_PROCESS"


class Child:
    """The main process of one slot and what is known of its descendants."""

    def __init__(self, ident: Ident) -> None:
        self.ident = ident
        self.process: subprocess.Popen | None = None
        self.ended: threading.Event | None = None
        self.pump: LogPump | None = None
        self.exit: dict[str, Any] | None = None
        self.started = round(time.time(), 3)
        self.known: dict[int, int] = {}  # pid -> start time, of descendants seen at any time
        self.asked = False  # to end; what ends otherwise has crashed


class Children:
    """This node's Ray and serve processes."""

    def __init__(
        self, layout: Layout, reaper: Reaper, log: Log, redactor: Redactor, timing: Timing
    ):
        self.layout, self.reaper, self.log, self.redactor, self.timing = (
            layout,
            reaper,
            log,
            redactor,
            timing,
        )
        self.files = {kind: RotatingFile(layout.log / f"{kind}.log") for kind in KINDS}
        self._children: dict[str, Child] = {}
        self._markers: dict[tuple[int, int], str | None] = {}
        self._guests: set[tuple[int, int]] = set()  # (pid, start) of docker exec and the like
        self._scanned_at = 0.0
        self._ports: tuple[Any, float, str] = (None, 0.0, "")  # (ident, when, problem)

    def spawn(self, kind: str, ident: Ident, release: Release) -> None:
        assert release.command
        child = self._children[kind] = Child(ident)
        command = list(release.command)
        marker = f"{kind}:{ident.hash}:{ident.epoch}"
        header = (
            f"=== {timestamp()} epoch {ident.epoch} release {ident.hash}: {json.dumps(command)}\n"
        )
        self.files[kind].write(header.encode())
        read_end, write_end = os.pipe()
        try:
            env = {**child_env(release, self.layout.secrets), MARKER: marker}
            child.process, child.ended = self.reaper.spawn(
                args=command, env=env, stdout=write_end, stderr=write_end, cwd="/"
            )
        except (OSError, ValueError) as error:
            os.close(read_end)
            reason = f"cannot start {command[0]}: {error}"
            self.files[kind].write(reason.encode() + b"\n")
            child.exit = {"exitCode": 127, "signal": None, "reason": reason}
            self.log.event(f"{kind} of epoch {ident.epoch}: {reason}")
            return
        finally:
            os.close(write_end)
        child.pump = LogPump(read_end, self.files[kind])
        child.pump.start()
        self.log.event(
            f"started {kind} of epoch {ident.epoch}, release {ident.hash}, pid {child.process.pid}"
        )

    def facts(self, now: float, slots: Mapping[str, Slot]) -> dict[str, Facts]:
        """Looks at the process tree as often as each slot's state needs it."""
        self._children = {
            kind: child
            for kind, child in self._children.items()
            if slots[kind].ident == child.ident
        }
        for child in self._children.values():
            self._note_exit(child)
        stops = {
            kind
            for kind, child in self._children.items()
            if slots[kind].state in ("stopping", "killing", "stuck") or child.exit
        }
        table = None
        if stops or now - self._scanned_at >= self.timing.scan:
            self._scanned_at = now
            table = read_processes()
            self._remember(table)
        result = {}
        for kind, slot in slots.items():
            own = self._children.get(kind)
            blocked = self._port_problem(now, slot) if slot.state == "blocked" else None
            if own is None:
                result[kind] = Facts(blocked=blocked)
                continue
            alive = own.process is not None and own.exit is None
            leftovers: tuple[str, ...] = ()
            if table is not None and kind in stops and not alive:
                leftovers = tuple(str(proc) for proc in self._members(kind, table))
            result[kind] = Facts(
                alive=alive,
                pid=own.process.pid if own.process else None,
                started=own.started,
                exit=own.exit,
                leftovers=leftovers,
                blocked=blocked,
                tail=tuple(map(self.redactor.text, own.pump.tail())) if own.pump else (),
            )
        return result

    def _port_problem(self, now: float, slot: Slot) -> str:
        """Not at every step: finding out who holds a port means reading all of /proc."""
        assert slot.release
        key = (slot.kind, slot.ident)
        if self._ports[0] != key or now - self._ports[1] >= self.timing.check:
            self._ports = (key, now, port_problem(slot.release))
        return self._ports[2]

    def signal(self, kind: str, number: signal.Signals) -> None:
        """To the process group, and to every descendant that left it."""
        child = self._children.get(kind)
        if child is None:
            return
        table = read_processes()
        self._remember(table)
        members = self._members(kind, table)
        if child.process and child.exit is None:
            child.asked = True
            with contextlib.suppress(OSError):
                os.killpg(child.process.pid, number)
        main = child.process.pid if child.process else None
        for proc in members:
            if proc.pid != main and (proc.session != main or child.exit):
                with contextlib.suppress(OSError):
                    os.kill(proc.pid, number)
        self.log.event(
            f"{number.name} to {kind} of epoch {child.ident.epoch} ({len(members)} processes)"
        )

    def kill_all(self) -> None:
        for kind in list(self._children):
            self.signal(kind, signal.SIGKILL)

    def _note_exit(self, child: Child) -> None:
        if child.exit or not child.ended or not child.ended.is_set() or not child.process:
            return
        if child.pump:
            child.pump.join(0.2)  # its last words; a leftover can keep the pipe open
        code = child.process.returncode
        name = signal_name(-code) if code < 0 else None
        reason = f"killed by {name}" if name else f"exited with code {code}"
        child.exit = {"exitCode": None if name else code, "signal": name, "reason": reason}
        self.log.event(f"pid {child.process.pid} of epoch {child.ident.epoch} {reason}")

    def _members(self, kind: str, table: Mapping[int, Proc]) -> list[Proc]:
        """Living processes of this kind.

        What does not descend from this supervisor (docker exec) is never touched.
        """
        owners = self._owners(table)
        return [table[pid] for pid in sorted(owners) if owners[pid] == kind and table[pid].alive]

    def _owners(self, table: Mapping[int, Proc]) -> dict[int, str]:
        """Which kind a process belongs to: by session, by what was seen earlier, or by the marker.

        The marker alone is not enough: vLLM and Ray set process titles, which overwrites
        /proc/<pid>/environ.
        """
        helpers = self.reaper.helpers | descendants(table, self.reaper.helpers)
        ours = descendants(table, [os.getpid()]) - helpers
        owners = {pid: kind for pid in ours if (kind := self._evident_owner(table[pid]))}
        crashed = [kind for kind, child in self._children.items() if child.exit and not child.asked]
        if crashed:
            # Its children were orphaned before anybody looked, and everything is stopped anyway.
            for pid in ours - set(owners):
                proc = table[pid]
                if proc.parent == os.getpid() and (pid, proc.start) not in self._guests:
                    owners[pid] = crashed[0]
        for kind in self._children:
            for pid in descendants(table, [pid for pid in owners if owners[pid] == kind]):
                owners.setdefault(pid, kind)
        return owners

    def _evident_owner(self, proc: Proc) -> str | None:
        for kind, child in self._children.items():
            main = child.process.pid if child.process else -1
            if main in (proc.pid, proc.session) or child.known.get(proc.pid) == proc.start:
                return kind
        marker = (self._marker(proc) or "").partition(":")[0]
        return marker if marker in self._children else None

    def _remember(self, table: Mapping[int, Proc]) -> None:
        for child in self._children.values():
            known = {
                pid: start
                for pid, start in child.known.items()
                if pid in table and table[pid].start == start
            }
            roots = [child.process.pid] if child.process and child.exit is None else []
            below = descendants(table, [*roots, *known])
            child.known = {**known, **{pid: table[pid].start for pid in below}}
        self._markers = {key: value for key, value in self._markers.items() if key[0] in table}
        ours = descendants(table, [os.getpid()])
        living = {(pid, table[pid].start) for pid in table}
        self._guests = {item for item in living if item[0] not in ours or item in self._guests}

    def _marker(self, proc: Proc) -> str | None:
        key = (proc.pid, proc.start)
        if key not in self._markers:
            self._markers[key] = None
            with contextlib.suppress(OSError):
                for item in Path("/proc", str(proc.pid), "environ").read_bytes().split(b"\0"):
                    if item.startswith(MARKER.encode() + b"="):
                        self._markers[key] = item.partition(b"=")[2].decode("utf-8", "replace")
        return self._markers[key]


def child_env(release: Release, secret_files: Path | None) -> dict[str, str]:
    """The whole environment of a process; secrets only if their folder is given. @throws OSError"""
    env = {key: value for key, value in os.environ.items() if not key.startswith("VLLM_CLUSTER_")}
    env.update(release.env)
    if secret_files:
        for variable, name in release.secret_env.items():
            env[variable] = (secret_files / name).read_text(encoding="utf-8").strip()
    return env
