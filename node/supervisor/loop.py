"""The loop of `run`: gathers facts, lets the core decide, does what it says."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import selectors
import signal
import time
import traceback
from pathlib import Path
from typing import Any

from supervisor.checks import Checks
from supervisor.children import Children
from supervisor.core.head import HeadCore
from supervisor.core.member import MemberCore
from supervisor.core.node import NodeInput
from supervisor.core.slot import Act
from supervisor.core.timing import Timing
from supervisor.files import DesiredFile, Layout, ReleaseStore, read_epoch, write_atomically
from supervisor.head_server import HeadServer
from supervisor.logs import Log, Redactor
from supervisor.member_client import MemberClient
from supervisor.outages import served_until
from supervisor.processes import Reaper, become_subreaper
from supervisor.text import os_text

SCHEMA = 1


class Supervisor:
    """The loop of `run`: gathers facts, lets the core decide, does what it says."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.timing: Timing = options.timing
        self.layout = Layout(Path(options.base))
        self.layout.log.mkdir(parents=True, exist_ok=True)
        self.redactor = Redactor(self.layout.secrets)
        self.log = Log(self.layout.log / "supervisor.log", options.node, self.redactor)
        self.reaper = Reaper()
        self.children = Children(self.layout, self.reaper, self.log, self.redactor, self.timing)
        self.releases = ReleaseStore(self.layout, options.cluster, options.node, options.runtime)
        self.desired = DesiredFile(self.layout.desired)
        self.epoch_on_disk = read_epoch(self.layout)
        self.epoch_error = ""
        self.terms = 0
        self.started = time.time()
        self.served_until = served_until(self.layout.status)
        self._is_ending = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.checks = Checks(self.layout, self.reaper, self._wake)
        self._status_text = ""
        self._status_at = -1e9
        self._status_problem = ""
        self._said = ("", "")
        instance = os.urandom(8).hex()
        self.core: Any
        self.link: Any
        if options.role == "head":
            self.core = HeadCore(
                options.node, options.cluster, instance, self.timing, self.epoch_on_disk
            )
            self.link = HeadServer(options.head, self.core, self._token, self.log)
        else:
            self.core = MemberCore(options.node, instance, self.timing)
            self.link = MemberClient(
                options.head, options.cluster, self.core, self._token, self.log
            )

    def run(self) -> int:
        self._install_signals()
        if not os.isatty(1):
            # A docker daemon that reads no logs must not stop the heartbeats.
            os.set_blocking(1, False)
        lock = self._lock()
        if lock is None:
            return 1
        become_subreaper()
        options = self.options
        self.log.event(
            f"supervisor of {options.node} ({options.role}) of cluster {options.cluster} started, "
            f"runtime {options.runtime}, pid {os.getpid()}, epoch {self.epoch_on_disk}"
        )
        try:
            while not self.core.finished:
                busy = self._tick()
                self._sleep(0.01 if busy else self.timing.tick)
            # The last report ("leaving", nothing runs) and the last target go out.
            self._send(time.monotonic())
            self._write_status(time.monotonic(), force=True)
            self.log.event("supervisor ends")
            return 0
        except Exception:
            self.log.event("supervisor broke: " + traceback.format_exc().replace("\n", " | "))
            return 1
        finally:
            self.children.kill_all()
            self.reaper.kill_helpers()
            self.link.close()
            lock.close()

    def _tick(self) -> bool:
        now = time.monotonic()
        self.link.service(now)
        self.reaper.reap()
        self._note_serving()
        inp = NodeInput(
            facts=self.children.facts(now, self.core.node.slots),
            releases=self.releases.releases(now),
            draining=self.terms > 0,
            force=self.terms > 1,
            wall=time.time(),
        )
        if self.options.role == "head":
            acts = self.core.step(
                now,
                inp,
                self.desired.read(),
                self.epoch_on_disk,
                self.epoch_error,
                self.checks.take(),
            )
        else:
            acts = self.core.step(now, inp)
        for act in acts:
            self._perform(act)
        self._say_change()
        self._send(now)
        self._write_status(now)
        return any(act.verb in ("spawn", "epoch") and not self.epoch_error for act in acts)

    def _note_serving(self) -> None:
        """When the signal to end finds the group serving: what replaces this container asks for it."""
        if self.options.role != "head" or self._is_ending:
            return
        serves = self.core.group.state == "ready"
        self._is_ending = self.terms > 0
        if serves or self._is_ending:
            self.served_until = round(time.time(), 3) if serves and self._is_ending else None

    def _perform(self, act: Act) -> None:
        if act.verb == "spawn":
            assert act.ident
            self.children.spawn(act.kind, act.ident, act.data)
        elif act.verb == "term":
            self.children.signal(act.kind, signal.SIGTERM)
        elif act.verb == "kill":
            self.children.signal(act.kind, signal.SIGKILL)
        elif act.verb == "check":
            self.checks.start(act.data)
        elif act.verb == "epoch":
            try:
                write_atomically(self.layout.epoch, f"{act.data}\n", durable=True)
                self.epoch_on_disk, self.epoch_error = act.data, ""
            except OSError as error:
                self.epoch_error = os_text(error)

    def _send(self, now: float) -> None:
        if self.options.role == "head":
            self.link.broadcast(now)
        else:
            self.link.send_report(now)

    def _say_change(self) -> None:
        if self.options.role == "head":
            group = self.core.group
            # Count-downs change every second: the log tells states and their causes.
            said = (group.state, re.sub(r"\d+(\.\d+)? s\b", "", group.reason))
            if said != self._said:
                self._said = said
                self.log.event(group.state + (f": {group.reason}" if group.reason else ""))

    def _write_status(self, now: float, force: bool = False) -> None:
        options = self.options
        status = {
            "schema": SCHEMA,
            "cluster": options.cluster,
            "node": options.node,
            "role": options.role,
            "runtime": options.runtime,
            "supervisorStarted": round(self.started, 3),
            "servedUntil": self.served_until,
            **self.core.status(now),
        }
        problems = [self.desired.problem, self.epoch_error and f"out/epoch: {self.epoch_error}"]
        if options.role == "head":
            problems.append(self.link.problem)
        problems += [file.problem for file in (*self.children.files.values(), self.log.file)]
        status["warnings"] = status["warnings"] + [problem for problem in problems if problem]
        status = self.redactor.deep(status)
        members = {
            name: {**member, "lastSeenSec": None} for name, member in status["members"].items()
        }
        reason = re.sub(r"\d+(\.\d+)? s\b", "", status["reason"])
        text = json.dumps({**status, "members": members, "reason": reason})
        if not force and text == self._status_text and now - self._status_at < self.timing.status:
            return
        self._status_text, self._status_at = text, now
        try:
            full = {**status, "time": round(time.time(), 3)}
            write_atomically(self.layout.status, json.dumps(full, indent=1) + "\n", durable=False)
            self._status_problem = ""
        except OSError as error:
            problem = f"cannot write status.json: {os_text(error)}"
            if problem != self._status_problem:
                self._status_problem = problem
                self.log.event(problem)

    def _token(self) -> bytes:
        try:
            return (self.layout.secrets / "group-token").read_bytes().strip()
        except OSError:
            return b""

    def _lock(self) -> Any:
        """One supervisor per out/: a second one would start the same epochs."""
        file = open(self.layout.out / "supervisor.lock", "a+")
        until = time.monotonic() + 30.0
        while time.monotonic() < until and not self.terms:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            except BlockingIOError:
                time.sleep(0.5)
        self.log.event(
            "not started: another supervisor holds out/supervisor.lock (an old container?)"
        )
        return None

    def _install_signals(self) -> None:
        def on_term(number: int, frame: Any) -> None:
            self.terms += 1

        signal.signal(signal.SIGTERM, on_term)
        signal.signal(signal.SIGINT, on_term)
        # A handler, not SIG_IGN: children would inherit that.
        signal.signal(signal.SIGHUP, lambda number, frame: None)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"\0")

    def _sleep(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            for sock, writes in self.link.sockets():
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writes else 0)
                selector.register(sock, events)
            selector.select(seconds)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass
