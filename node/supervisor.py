#!/usr/bin/env python3
"""Supervisor of one node: starts, watches and stops Ray and vLLM together with its group.

PID 1 of the node's container. One static file, Python 3.10+ standard library only, the same on
every node and for every topology; what runs comes from the release files in `in/`.
docs/supervisor.md explains states, protocol and files.

Reading order: files (Release, Desired) -> pure core (Slot, NodeCore, Group, HeadCore, MemberCore:
`step(now, ...)` decides and returns actions, no I/O, no clock) -> protocol and effects (Channel,
HeadServer, MemberClient, Children, Checks) -> Supervisor (the loop) -> clients (commit, set, ...).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import datetime
import errno
import fcntl
import hashlib
import hmac
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = 1
PROTOCOL = 1
KINDS = ("ray", "serve")
MARKER = "VLLM_CLUSTER_PROCESS"
BASE_DIR = "/vllm-cluster"
TAIL_LINES = 30
TAIL_LINE_CHARS = 500
LINE_LIMIT = 1024 * 1024  # four tails of wide characters, escaped twice, are 840 KiB
LOG_BYTES = 50 * 1024 * 1024
LOG_FILES = 3
HELPER_DEADLINE_SEC = 60.0
HANDSHAKE_SEC = 5.0
MAX_CONNECTIONS = 64
STATUS_STALE_SEC = 15.0


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


# -------------------------------------------------------------------------------------------- files


class BadFile(ValueError):
    """A file says something that cannot be used; the text names the field."""


class PlannedNode(NamedTuple):
    name: str
    address: str
    npus: int


class RestartPolicy(NamedTuple):
    max_failures: int = 5
    backoff: float = 2.0
    backoff_max: float = 60.0

    def delay(self, failures: int) -> float:
        return min(self.backoff_max, self.backoff * 2 ** max(0, min(failures, 32) - 1))


class Readiness(NamedTuple):
    url: str
    model: str
    prompt: str
    max_tokens: int
    request_timeout: float
    probe_interval: float  # 0: no completions by ourselves once ready
    stall: float


@dataclasses.dataclass(frozen=True)
class Release:
    """What this node runs of one kind. The hash is the same on all nodes, the content is not."""

    kind: str
    hash: str
    runtime: str
    cluster: str
    node: str
    nodes: tuple[PlannedNode, ...]
    env: Mapping[str, str]
    secret_env: Mapping[str, str]
    command: tuple[str, ...] | None
    start_timeout: float
    stop_timeout: float
    ports: tuple[int, ...]
    restart: RestartPolicy
    ray: str | None = None
    ray_address: str | None = None
    readiness: Readiness | None = None

    @property
    def address(self) -> str:
        """This node's address, or "" (all addresses) when the plan does not say."""
        return next((node.address for node in self.nodes if node.name == self.node), "")


def parse_release(raw: Any) -> Release:
    """Turns a release file into a Release. @throws BadFile naming the field."""
    fields = _Fields(raw)
    kind = fields.text("kind")
    if kind not in KINDS:
        raise BadFile(f'kind: must be "ray" or "serve", got "{kind}"')
    command = fields.get("command", list, None)
    if command is not None and (not command or not all(isinstance(word, str) for word in command)):
        raise BadFile("command: must be null or a list of at least one string")
    release = Release(
        kind=kind,
        hash=fields.text("hash"),
        runtime=fields.text("runtime"),
        cluster=fields.text("cluster"),
        node=fields.text("node"),
        nodes=tuple(
            PlannedNode(node.text("name"), node.text("address"), int(node.number("npus", 0)))
            for node in map(_Fields, fields.get("nodes", list, []))
        ),
        env=fields.strings("env"),
        secret_env=fields.strings("secretEnv"),
        command=None if command is None else tuple(command),
        start_timeout=fields.number("startTimeoutSec", 600),
        stop_timeout=fields.number("stopTimeoutSec", 30),
        ports=tuple(fields.get("ports", list, [])),
        restart=_parse_restart(fields.get("restart", dict, {})),
        ray=fields.get("ray", str, None),
        ray_address=fields.get("rayAddress", str, None),
        readiness=_parse_readiness(fields.get("readiness", dict, None)),
    )
    for port in release.ports:
        if not isinstance(port, int) or not 0 < port < 65536:
            raise BadFile(f"ports: must be numbers 1-65535, got {port!r}")
    for name in release.secret_env.values():
        if "/" in name or name in ("", ".", ".."):
            raise BadFile(f'secretEnv: must name a file in in/secrets, got "{name}"')
    if kind == "ray" and release.command is not None and not release.ray_address:
        raise BadFile("rayAddress: is missing")
    return release


def _parse_restart(raw: Mapping[str, Any]) -> RestartPolicy:
    fields, default = _Fields(raw), RestartPolicy()
    return RestartPolicy(
        int(fields.number("maxFailures", default.max_failures)),
        fields.number("backoffSec", default.backoff),
        fields.number("backoffMaxSec", default.backoff_max),
    )


def _parse_readiness(raw: Mapping[str, Any] | None) -> Readiness | None:
    if raw is None:
        return None
    fields = _Fields(raw)
    url = fields.text("url").rstrip("/")
    if not re.fullmatch(r"http://[^/?#]+", url):
        raise BadFile(f'readiness.url: must be http://ADDRESS:PORT, got "{url}"')
    return Readiness(
        url=url,
        model=fields.text("model"),
        prompt=fields.text("prompt"),
        max_tokens=int(fields.number("maxTokens", 8)),
        request_timeout=fields.number("requestTimeoutSec", 120),
        probe_interval=fields.number("probeIntervalSec", 0),
        stall=fields.number("stallSec", 600),
    )


class _Fields:
    """Typed access to a JSON object."""

    def __init__(self, raw: Any):
        if not isinstance(raw, dict):
            raise BadFile(f"must be a JSON object, got {type(raw).__name__}")
        self.raw = raw

    def get(self, name: str, kind: type, default: Any) -> Any:
        value = self.raw.get(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise BadFile(f"{name}: must be a {kind.__name__}, got {type(value).__name__}")
        return value

    def text(self, name: str) -> str:
        value = self.get(name, str, "")
        if not value:
            raise BadFile(f"{name}: is missing")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.raw.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise BadFile(f"{name}: must be a number >= 0, got {value!r}")
        return float(value)

    def strings(self, name: str) -> dict[str, str]:
        value = self.get(name, dict, {})
        for key, item in value.items():
            if not isinstance(item, str):
                raise BadFile(f"{name}.{key}: must be a string")
        return value


class Desired(NamedTuple):
    """What the group shall run.

    A new revision means that somebody asked (again): failures start to count anew.
    """

    state: str
    ray: str | None
    serve: str | None
    revision: str = ""
    secrets: str = ""  # stands for the versions of the secret files that serve starts with

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def parse_desired(raw: Any) -> Desired:
    fields = _Fields(raw)
    state = fields.text("state")
    if state not in ("running", "stopped"):
        raise BadFile(f'state: must be "running" or "stopped", got "{state}"')
    desired = Desired(state, fields.get("ray", str, None), fields.get("serve", str, None))
    return desired._replace(
        revision=fields.get("revision", str, "") or "|".join(map(str, desired)),
        secrets=fields.get("secrets", str, ""),
    )


class Layout(NamedTuple):
    """Where files are, in the container."""

    base: Path

    @property
    def releases(self) -> Path:
        return self.base / "in" / "releases"

    @property
    def secrets(self) -> Path:
        return self.base / "in" / "secrets"

    @property
    def out(self) -> Path:
        return self.base / "out"

    @property
    def desired(self) -> Path:
        return self.out / "desired.json"

    @property
    def status(self) -> Path:
        return self.out / "status.json"

    @property
    def epoch(self) -> Path:
        return self.out / "epoch"

    @property
    def log(self) -> Path:
        return self.out / "log"

    def release(self, kind: str, digest: str) -> Path:
        return self.releases / f"{kind}-{digest}.json"


def write_atomically(path: Path, text: str, durable: bool) -> None:
    """Old content or new content, never a part; durable also survives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(temporary, path)
    if durable:
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def read_json(path: Path) -> Any:
    """@throws BadFile, FileNotFoundError"""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise BadFile(f"is not JSON: {error}") from None


def check_release_file(path: Path, cluster: str, node: str, runtime: str) -> Release:
    """Reads a release file, refuses one made for something else. @throws BadFile, OSError"""
    release = parse_release(read_json(path))
    if path.name != f"{release.kind}-{release.hash}.json":
        raise BadFile(f"holds {release.kind} release {release.hash}, which is not its file name")
    if (release.cluster, release.node) != (cluster, node):
        raise BadFile(
            f"was made for node {release.node} of cluster {release.cluster}, "
            f"this is {node} of {cluster}"
        )
    if release.runtime != runtime:
        raise BadFile(
            f"needs runtime {release.runtime}, this container is {runtime}: "
            "replace the container first"
        )
    return release


# --------------------------------------------------------------------------- pure core: one process


class Ident(NamedTuple):
    """A process of the group: with its kind, which is said apart, unique for ever."""

    hash: str
    epoch: int


Target = Mapping[str, Ident | None]
NOTHING: Target = {"ray": None, "serve": None}


class Act(NamedTuple):
    """What the core wants done.

    verb: spawn (kind, ident, data = Release), term, kill (kind), epoch (data = number),
    check (data = Check).
    """

    verb: str
    kind: str = ""
    ident: Ident | None = None
    data: Any = None


class Facts(NamedTuple):
    """What is known of one kind's processes on this node."""

    alive: bool = False  # the main process
    pid: int | None = None
    started: float | None = None  # wall clock, for people
    exit: Mapping[str, Any] | None = (
        None  # {"exitCode", "signal", "reason"} once the main process ended
    )
    leftovers: tuple[
        str, ...
    ] = ()  # other living processes of it; known once it stops or has ended
    blocked: str | None = None  # why it cannot start now; "" = it can, None = not looked yet
    tail: tuple[str, ...] = ()


NO_FACTS = Facts()


class Slot:
    """One kind of process on this node, from the wish to have it until its last child is gone.

    empty -> blocked (checks before the start) -> running -> stopping (SIGTERM)
    -> killing (SIGKILL) -> empty
    nothing: the release has no command for this node; stuck: something outlives SIGKILL.
    """

    def __init__(self, kind: str, timing: Timing):
        self.kind = kind
        self.timing = timing
        self.state = "empty"
        self.since = 0.0
        self.gone_at: float | None = None
        self.ident: Ident | None = None
        self.release: Release | None = None
        self.last_epoch = 0
        self.reason = ""
        self.exit: dict[str, Any] | None = None
        self.facts = NO_FACTS

    def step(
        self, now: float, want: Ident | None, release: Any, facts: Facts, why: str, force: bool
    ) -> list[Act]:
        self.facts = facts
        return getattr(self, f"_{self.state}")(now, want, release, facts, why, force)

    @property
    def clean(self) -> bool:
        return self.state in ("empty", "nothing")

    def report(self, with_tail: bool) -> dict[str, Any]:
        return {
            "state": self.state,
            "hash": self.ident.hash if self.ident else None,
            "epoch": self.ident.epoch if self.ident else None,
            "lastEpoch": self.last_epoch,
            "pid": self.facts.pid,
            "started": self.facts.started,
            "reason": self.reason,
            "exit": self.exit,
            "tail": list(self.facts.tail) if with_tail else [],
        }

    def _enter(self, state: str, now: float, reason: str = "") -> None:
        self.state, self.since, self.reason = state, now, reason
        if state == "empty":
            self.ident = self.release = None

    def _empty(self, now, want, release, facts, why, force) -> list[Act]:
        # An epoch runs once: a process that ended is never started again under the same epoch.
        if want is None or want.epoch <= self.last_epoch:
            return []
        if not isinstance(release, Release):
            self.reason = release or f"{self.kind} release {want.hash} is not staged here"
            return []
        self.ident, self.release, self.exit, self.gone_at = want, release, None, None
        if release.command is None:
            self.last_epoch = want.epoch
            self._enter("nothing", now)
        else:
            self._enter("blocked", now, "checking ports")
        return []

    def _nothing(self, now, want, release, facts, why, force) -> list[Act]:
        if want != self.ident:
            self._enter("empty", now, why)
        return []

    def _blocked(self, now, want, release, facts, why, force) -> list[Act]:
        assert self.ident
        if want != self.ident:
            self._enter("empty", now, why)
        elif facts.blocked == "":
            self.last_epoch = self.ident.epoch
            self._enter("running", now)
            return [Act("spawn", self.kind, self.ident, self.release)]
        elif facts.blocked is not None:
            self.reason = facts.blocked
            if now - self.since >= self.timing.prestart:
                self.last_epoch = self.ident.epoch
                text = f"not started: {facts.blocked}, for {self.timing.prestart:.0f} s"
                self.exit = self._exit_record(
                    {"exitCode": None, "signal": None, "reason": text}, facts
                )
                self._enter("empty", now, text)
        return []

    def _running(self, now, want, release, facts, why, force) -> list[Act]:
        if facts.exit is not None:
            self.exit = self._exit_record(facts.exit, facts)
            self.gone_at = now
            self._enter("stopping", now, self.exit["reason"])
        elif want != self.ident:
            self._enter("stopping", now, why)
        else:
            return []
        return [Act("term", self.kind)]

    def _stopping(self, now, want, release, facts, why, force) -> list[Act]:
        assert self.release
        if self._is_gone(now, facts):
            return []
        acts = []
        if not facts.alive and self.gone_at is None:
            # Processes in sessions of their own did not get the group's SIGTERM.
            self.gone_at = now
            acts.append(Act("term", self.kind))
        too_long = now - self.since >= self.release.stop_timeout
        if self.gone_at is not None:
            too_long = now - self.gone_at >= self.timing.leftover_grace
        if too_long or force:
            self._enter("killing", now, self.reason)
            return [Act("kill", self.kind)]
        return acts

    def _killing(self, now, want, release, facts, why, force) -> list[Act]:
        if not self._is_gone(now, facts) and now - self.since >= self.timing.kill_wait:
            self._enter("stuck", now, self._stuck_reason(facts))
        return []

    def _stuck(self, now, want, release, facts, why, force) -> list[Act]:
        if self._is_gone(now, facts):
            return []
        self.reason = self._stuck_reason(facts)
        if now - self.since >= self.timing.kill_wait:
            self.since = now
            return [Act("kill", self.kind)]
        return []

    def _is_gone(self, now: float, facts: Facts) -> bool:
        if facts.alive or facts.leftovers:
            return False
        self._enter("empty", now, self.reason)
        return True

    def _stuck_reason(self, facts: Facts) -> str:
        rest = ", ".join(facts.leftovers[:5]) or f"pid {facts.pid}"
        return f"{self.kind} outlives SIGKILL: {rest}"

    def _exit_record(self, exit: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        assert self.ident
        return {
            **exit,
            "hash": self.ident.hash,
            "epoch": self.ident.epoch,
            "tail": list(facts.tail),
        }


class NodeCore:
    """This node's processes: converges them to a target."""

    def __init__(self, timing: Timing):
        self.slots = {kind: Slot(kind, timing) for kind in KINDS}

    def step(
        self,
        now: float,
        target: Target,
        facts: Mapping[str, Facts],
        releases: Mapping[str, Any],
        why: str = "",
        force: bool = False,
    ) -> list[Act]:
        acts: list[Act] = []
        for kind, slot in self.slots.items():
            want = target.get(kind)
            release = releases.get(f"{kind}:{want.hash}") if want else None
            acts += slot.step(now, want, release, facts.get(kind, NO_FACTS), why, force)
        return acts

    def drain_target(self) -> Target:
        """Serve first; Ray stays until serve is gone (or will not go)."""
        serve, ray = self.slots["serve"], self.slots["ray"]
        waits = ray.state == "running" and serve.state in ("running", "stopping", "killing")
        return {"serve": None, "ray": ray.ident if waits else None}

    @property
    def clean(self) -> bool:
        return all(slot.clean for slot in self.slots.values())

    @property
    def settled(self) -> bool:
        """Nothing runs that could still be ended."""
        return all(slot.clean or slot.state == "stuck" for slot in self.slots.values())

    def report(self, with_tail: bool) -> dict[str, Any]:
        return {kind: slot.report(with_tail) for kind, slot in self.slots.items()}


# ----------------------------------------------------------------------------- pure core: the group


class View(NamedTuple):
    """What the head knows of one node."""

    fresh: bool  # heard within the lease
    silent_for: float
    report: Mapping[
        str, Any
    ]  # {"instance", "ack", "leaving", "releases", "slots"}; empty before the first


class Check(NamedTuple):
    """A look outside that takes time. what: health, probe, completion, watch."""

    number: int
    what: str
    release: Release


class CheckResult(NamedTuple):
    number: int
    ok: bool
    detail: str
    data: Mapping[str, Any] = {}


@dataclasses.dataclass
class GroupInput:
    desired: Desired | None
    releases: Mapping[str, Any]  # "kind:hash" -> Release, or the text why it cannot be used here
    views: Mapping[str, View]
    epoch_on_disk: int
    epoch_error: str = ""
    results: tuple[CheckResult, ...] = ()
    draining: bool = False
    wall: float = 0.0


class Run:
    """Ray or serve of the whole group, in one epoch."""

    def __init__(
        self, release: Release, epoch: int, nodes: tuple[str, ...], now: float, secrets: str = ""
    ):
        self.kind = release.kind
        self.release = release
        self.secrets = secrets
        self.ident = Ident(release.hash, epoch)
        self.nodes = nodes
        self.phase = "epoch"
        self.since = now
        self.stopping = False
        self.instances: dict[str, str] = {}
        self.seen: dict[str, float] = {}  # node -> since when its process runs
        self.targets: set[str] = set()  # nodes that were told to run it
        self.ready_after: float | None = None
        self.ready_at: float | None = None
        self.free = False  # Ray: NPUs were seen free and nothing was started on them since
        self.free_since: float | None = None

    def enter(self, phase: str, now: float) -> None:
        self.phase, self.since = phase, now


class Group:
    """The head's decisions: which process of which epoch every node shall run."""

    def __init__(self, me: str, timing: Timing, epoch: int):
        self.me = me
        self.timing = timing
        self.epoch = epoch
        self.desired: Desired | None = None
        self.runs: dict[str, Run | None] = {"ray": None, "serve": None}
        self.failures = 0
        self.last_failure: dict[str, Any] | None = None
        self.retry_at = 0.0
        self.down = False
        self.halted = ""  # everything is being stopped at once, and why
        self.targets: dict[str, dict[str, Ident | None]] = {}
        self.sequence: dict[str, int] = {}
        self.state, self.reason = "idle", "nothing is committed yet"
        self.warning = ""
        self._check_owner: Any = None
        self._check_number = 0
        self._check_open = False
        self._check_result: CheckResult | None = None
        self._next_check = 0.0
        self._detail = ""
        self._blamed: str | None = None  # the node that the newest look found wanting
        self._stall: tuple[float, float] | None = None  # (tokens, since)
        self._progress: tuple[str, str] | None = None

    # ---- one step

    def step(self, now: float, inp: GroupInput) -> list[Act]:
        acts: list[Act] = []
        self._progress = None
        self._note_desired(inp.desired)
        self._take_results(now, inp.results)
        self._watch(now, inp)
        want_ray, want_serve, hold = self._wanted(now, inp)
        self._stop(inp, want_ray, want_serve)
        if not inp.draining:
            self._advance(now, inp, want_ray, want_serve, acts)
        self._retarget(inp)
        self._summarise(now, inp, hold)
        return acts

    def _note_desired(self, desired: Desired | None) -> None:
        old, self.desired = self.desired, desired
        if desired is not None and (old is None or old.revision != desired.revision):
            self.failures, self.down, self.retry_at = 0, False, 0.0

    # ---- failures

    def _watch(self, now: float, inp: GroupInput) -> None:
        found: list[tuple[int, dict[str, Any]]] = []
        for run in self._live_runs():
            for node in run.nodes:
                view = inp.views.get(node)
                if view is not None and view.report.get("leaving") and view.fresh:
                    self.halt(f"{node} is shutting down")
                    return
                failure = self._failure_on(now, run, node, view)
                if failure:
                    # A process that ended is nearer to the cause than silence.
                    rank = 0 if failure["exitCode"] is not None or failure["signal"] else 1
                    found.append((rank, failure))
        if found:
            self._fail(now, inp, min(found, key=lambda item: item[0])[1])
        last = self.runs["serve"] or self.runs["ray"]
        if last and last.ready_at is not None and now - last.ready_at >= self.timing.reset:
            self.failures = 0

    def _failure_on(
        self, now: float, run: Run, node: str, view: View | None
    ) -> dict[str, Any] | None:
        if view is None or not view.fresh:
            silence = f"for {self.timing.lease:.0f} s"
            return _failure(node, "supervisor", f"no heartbeat from {node} {silence}")
        if view.report.get("instance") != run.instances.get(node):
            return _failure(node, "supervisor", f"the supervisor of {node} was restarted")
        slot = view.report["slots"][run.kind]
        ended = slot.get("exit")
        if ended and ended["epoch"] == run.ident.epoch:
            return _failure(node, run.kind, ended["reason"], ended)
        if slot.get("epoch") == run.ident.epoch and slot["state"] in ("running", "nothing"):
            run.seen.setdefault(node, now)
        elif node in run.seen:
            reason = slot.get("reason") or "it is not running any more"
            return _failure(node, run.kind, f"stopped by {node} itself: {reason}")
        return None

    def _fail(self, now: float, inp: GroupInput, failure: dict[str, Any]) -> None:
        policy = self._policy(inp)
        self.failures += 1
        self.down = self.failures >= policy.max_failures
        self.retry_at = now + policy.delay(self.failures)
        epochs = {run.kind: run.ident.epoch for run in self._live_runs()}
        self.last_failure = {**failure, "time": inp.wall, "epochs": epochs}
        self.halt(f"{failure['process']} on {failure['node']}: {failure['reason']}")

    def _fail_run(self, now: float, inp: GroupInput, run: Run, node: str, reason: str) -> None:
        """A start that does not get on: nothing ended, so the last lines of what runs must tell."""
        view = inp.views.get(node)
        tail = view.report["slots"][run.kind].get("tail", []) if view and view.report else []
        self._fail(now, inp, _failure(node, run.kind, reason, {"tail": tail}))

    def halt(self, reason: str) -> None:
        self.halted = reason
        for run in self._live_runs():
            run.stopping = True

    def _policy(self, inp: GroupInput) -> RestartPolicy:
        for run in (self.runs["serve"], self.runs["ray"]):
            if run:
                return run.release.restart
        return RestartPolicy()

    def _live_runs(self) -> list[Run]:
        return [run for run in self.runs.values() if run and not run.stopping]

    # ---- what shall run now

    def _wanted(
        self, now: float, inp: GroupInput
    ) -> tuple[str | None, str | None, tuple[str, str] | None]:
        """(ray hash, serve hash, (state, reason) that explains why it is not more)."""
        desired = self.desired
        if inp.draining:
            return None, None, ("stopped", "the supervisor is shutting down")
        if desired is None or (desired.ray is None and desired.serve is None):
            return None, None, ("idle", "nothing is committed yet")
        if desired.state == "stopped":
            return None, None, ("stopped", "switched off by the operator (set stopped)")
        if self.down:
            text = f"gave up after {self.failures} failures in a row, the last: {self._last_text()}"
            return None, None, ("down", text)
        if self.failures and now < self.retry_at:
            after = f"after failure {self.failures}: {self._last_text()}"
            return None, None, ("backoff", f"next start in {self.retry_at - now:.0f} s {after}")
        if self.halted:
            return None, None, None
        return self._wanted_hashes(inp, desired)

    def _wanted_hashes(
        self, inp: GroupInput, desired: Desired
    ) -> tuple[str | None, str | None, tuple[str, str] | None]:
        hold: tuple[str, str] | None = None
        want: dict[str, str | None] = {}
        for kind in KINDS:
            digest, run = getattr(desired, kind), self.runs[kind]
            problem = self._staging_problem(inp, kind, digest) if digest else ""
            if problem and run and not run.stopping and run.ident.hash != digest:
                # What runs is not given up for something that cannot start.
                want[kind] = run.ident.hash
                problem += f"; {kind} release {run.ident.hash} keeps running"
            elif problem and not (run and run.ident.hash == digest):
                want[kind] = None
            else:
                want[kind], problem = digest, ""
            if problem and not hold:
                hold = ("waiting", problem)
        serve = want["serve"]
        if serve:
            run = self.runs["serve"]
            release = (
                run.release if run and run.ident.hash == serve else inp.releases[f"serve:{serve}"]
            )
            if release.ray != want["ray"]:
                want["serve"] = None
                needs = f"Ray release {release.ray}" if release.ray else "no Ray"
                found = f"Ray release {want['ray']}" if want["ray"] else "no Ray"
                text = f"serve release {serve} needs {needs}, the group has {found}: commit serve"
                hold = hold or ("waiting", text)
        elif want["ray"] and not hold:
            hold = ("waiting", "no serve release is committed")
        return want["ray"], want["serve"], hold

    def _staging_problem(self, inp: GroupInput, kind: str, digest: str) -> str:
        own = inp.releases.get(f"{kind}:{digest}")
        if not isinstance(own, Release):
            return _staging_text(self.me, kind, digest, own)
        for node in self._nodes_of(inp, own):
            view = inp.views.get(node)
            if node != self.me and view and view.fresh and view.report:
                problem = view.report["releases"].get(f"{kind}:{digest}")
                if problem != "":
                    return _staging_text(node, kind, digest, problem)
        return ""

    def _nodes_of(self, inp: GroupInput, release: Release) -> tuple[str, ...]:
        nodes = release.nodes
        if not nodes and release.ray:
            ray = inp.releases.get(f"ray:{release.ray}")
            nodes = ray.nodes if isinstance(ray, Release) else ()
        return tuple(node.name for node in nodes) or (self.me,)

    def planned_nodes(self, inp: GroupInput) -> tuple[str, ...]:
        """All nodes that the desired releases name; empty when nothing is known."""
        names: dict[str, None] = {}
        for kind in KINDS:
            digest = getattr(self.desired, kind) if self.desired else None
            release = inp.releases.get(f"{kind}:{digest}") if digest else None
            run = self.runs[kind]
            for known in (release, run.release if run else None):
                if isinstance(known, Release):
                    names.update(dict.fromkeys(self._nodes_of(inp, known)))
        return tuple(names)

    # ---- stopping

    def _stop(self, inp: GroupInput, want_ray: str | None, want_serve: str | None) -> None:
        ray, serve = self.runs["ray"], self.runs["serve"]
        ray_leaves = ray is not None and (ray.stopping or ray.ident.hash != want_ray)
        if serve and (serve.ident.hash != want_serve or (ray_leaves and serve.release.ray)):
            serve.stopping = True
        desired = self.desired
        if serve and desired and serve.ident.hash == desired.serve:
            # A process gets its secrets at its start: a rotated one needs a new process.
            serve.stopping = serve.stopping or serve.secrets != desired.secrets
        if serve and serve.stopping and self._is_over(inp, serve):
            self.runs["serve"] = serve = None
            self._stall, self.warning = None, ""
            if ray:
                ray.free, ray.free_since = False, None
        if ray and ray_leaves and serve is None:
            ray.stopping = True
        if ray and ray.stopping and self._is_over(inp, ray):
            self.runs["ray"] = None
        if self.runs["ray"] is None and self.runs["serve"] is None:
            self.halted = ""

    def _is_over(self, inp: GroupInput, run: Run) -> bool:
        """No node that can be heard has a process of it; one that cannot stops by itself."""
        for node in run.nodes:
            view = inp.views.get(node)
            if run.phase == "epoch" or view is None or not view.fresh:
                continue
            if self.targets.get(node, NOTHING).get(run.kind) is not None:
                return False
            if view.report.get("ack") != self.sequence.get(node, 0):
                return False
            if view.report["slots"][run.kind]["state"] not in ("empty", "nothing", "stuck"):
                return False
        return True

    # ---- starting

    def _advance(
        self,
        now: float,
        inp: GroupInput,
        want_ray: str | None,
        want_serve: str | None,
        acts: list[Act],
    ) -> None:
        ray, serve = self.runs["ray"], self.runs["serve"]
        if ray is None and serve is None and (want_ray or want_serve):
            self._begin(now, inp, f"ray:{want_ray}" if want_ray else f"serve:{want_serve}")
        elif serve is None and want_serve and ray and ray.phase == "ready" and not ray.stopping:
            free = ray.free or self._await_free(now, inp, ray, acts)
            if free:
                self._begin(now, inp, f"serve:{want_serve}")
        for run in self._live_runs():
            done = None
            while run.phase not in (done, "ready") and not run.stopping:
                done = run.phase
                getattr(self, f"_{run.kind}_{run.phase}")(now, inp, run, acts)
            if run.kind == "serve" and run.phase == "ready":
                self._watch_completions(now, inp, run, acts)

    def _begin(self, now: float, inp: GroupInput, key: str) -> None:
        release = inp.releases.get(key)
        if not isinstance(release, Release):
            return  # it went away while what ran of it was being stopped
        nodes = self._nodes_of(inp, release)
        obstacle = self._obstacle(inp, release, nodes)
        if obstacle:
            self._progress = ("waiting", obstacle)
            return
        newest = [self.epoch, inp.epoch_on_disk]
        for node in nodes:
            newest += [slot["lastEpoch"] for slot in inp.views[node].report["slots"].values()]
        # Above what members remember too: a head that lost its disk must not reuse a number.
        self.epoch = max(newest) + 1
        secrets = self.desired.secrets if self.desired and release.kind == "serve" else ""
        run = Run(release, self.epoch, nodes, now, secrets)
        run.instances = {node: inp.views[node].report["instance"] for node in nodes}
        self.runs[release.kind] = run

    def _obstacle(self, inp: GroupInput, release: Release, nodes: tuple[str, ...]) -> str:
        if self.me not in nodes:
            return f"{release.kind} release {release.hash} does not plan this node ({self.me})"
        absent = []
        for node in nodes:
            view = inp.views.get(node)
            if view is None or not view.report:
                absent.append(f"{node} (not connected)")
            elif not view.fresh:
                absent.append(f"{node} (silent for {view.silent_for:.0f} s)")
        if absent:
            return "waiting for " + ", ".join(absent)
        for node in nodes:
            report = inp.views[node].report
            if report.get("leaving"):
                return f"waiting for {node} (shutting down)"
            for kind in KINDS if release.kind == "ray" or not release.ray else ("serve",):
                slot = report["slots"][kind]
                if slot["state"] == "stuck":
                    return f"{node}: {slot['reason']}; reboot the node if it does not go away"
                if slot["state"] not in ("empty", "nothing"):
                    return f"waiting for {node} to end {kind} of epoch {slot['epoch']}"
            if report.get("ack") != self.sequence.get(node, 0):
                return f"waiting for {node} to confirm"
            problem = report["releases"].get(f"{release.kind}:{release.hash}")
            if problem != "":
                return _staging_text(node, release.kind, release.hash, problem)
        return ""

    def _is_allocated(self, inp: GroupInput, run: Run, acts: list[Act]) -> bool:
        if inp.epoch_on_disk >= run.ident.epoch:
            return True
        self._progress = ("starting", f"{run.kind} release {run.ident.hash}")
        if inp.epoch_error:
            self._progress = ("waiting", f"cannot write out/epoch: {inp.epoch_error}")
        acts.append(Act("epoch", data=run.ident.epoch))
        return False

    def _ray_epoch(self, now: float, inp: GroupInput, run: Run, acts: list[Act]) -> None:
        if self._is_allocated(inp, run, acts):
            run.targets = {self.me}
            run.enter("head", now)

    def _serve_epoch(self, now: float, inp: GroupInput, run: Run, acts: list[Act]) -> None:
        if self._is_allocated(inp, run, acts):
            run.targets = set(run.nodes)
            run.enter("start", now)

    def _ray_head(self, now: float, inp: GroupInput, run: Run, acts: list[Act]) -> None:
        if not self._all_spawned(now, inp, run, (self.me,)):
            return
        result = self._checked(now, "health", run, acts)
        if result and result.ok:
            run.targets = set(run.nodes)
            run.enter("members", now)
        elif now - run.seen[self.me] >= run.release.start_timeout:
            text = f"not healthy after {run.release.start_timeout:.0f} s: {self._detail}"
            self._fail_run(now, inp, run, self.me, text)
        else:
            self._progress = ("starting", f"ray head on {self.me}: {self._detail or 'started'}")

    def _ray_members(self, now: float, inp: GroupInput, run: Run, acts: list[Act]) -> None:
        if self._all_spawned(now, inp, run, run.nodes):
            run.enter("probe", now)

    def _ray_probe(self, now: float, inp: GroupInput, run: Run, acts: list[Act]) -> None:
        result = self._checked(now, "probe", run, acts)
        if result and result.ok:
            run.ready_at, run.ready_after = now, now - run.seen[self.me]
            run.free = True
            run.enter("ready", now)
        elif now - run.since >= run.release.start_timeout:
            text = f"nodes not as planned after {run.release.start_timeout:.0f} s: {self._detail}"
            node = self._blamed if self._blamed in run.nodes else self.me
            self._fail_run(now, inp, run, node, text)
        else:
            self._progress = ("starting", f"ray nodes: {self._detail or 'all started'}")

    def _await_free(self, now: float, inp: GroupInput, ray: Run, acts: list[Act]) -> bool:
        """Ray's NPUs are free after an earlier serve; an orphaned engine holds them for ever."""
        if ray.free_since is None:
            ray.free_since = now
        result = self._checked(now, "probe", ray, acts)
        if result and result.ok:
            ray.free = True
            return True
        if now - ray.free_since >= self.timing.free:
            text = f"not free for a new serve after {self.timing.free:.0f} s: {self._detail}"
            self._fail_run(now, inp, ray, self.me, text)
        else:
            self._progress = ("starting", f"before serve: {self._detail or 'looking at the NPUs'}")
        return False

    def _serve_start(self, now: float, inp: GroupInput, run: Run, acts: list[Act]) -> None:
        ray = self.runs["ray"]
        if ray:
            ray.free, ray.free_since = False, None
        if not self._all_spawned(now, inp, run, run.nodes):
            return
        started = max(run.seen.values())
        result = self._checked(now, "completion", run, acts)
        if run.release.readiness is None or (result and result.ok):
            run.ready_at, run.ready_after = now, now - started
            run.enter("ready", now)
        elif now - started >= run.release.start_timeout:
            text = f"no completion after {run.release.start_timeout:.0f} s: {self._detail}"
            self._fail_run(now, inp, run, self.me, text)
        else:
            self._progress = ("starting", f"serve: {self._detail or 'started'}")

    def _all_spawned(self, now: float, inp: GroupInput, run: Run, nodes: Iterable[str]) -> bool:
        missing = [node for node in nodes if node not in run.seen]
        if not missing:
            return True
        node = missing[0]
        view = inp.views.get(node)
        slot = view.report["slots"][run.kind] if view and view.report else {}
        why = slot["reason"] if slot.get("epoch") == run.ident.epoch else ""
        # Each node gives up by itself after `prestart`; this bound is for one that does not say so.
        if now - run.since >= self.timing.prestart + run.release.start_timeout:
            text = f"not started after {now - run.since:.0f} s: {why}"
            self._fail_run(now, inp, run, node, text)
        else:
            self._progress = ("starting", f"{run.kind} on {node}: {why or 'told to start'}")
        return False

    # ---- looks outside

    def _checked(
        self, now: float, what: str, run: Run, acts: list[Act], interval: float | None = None
    ) -> CheckResult | None:
        """Keeps this look going, again and again; its newest result, once."""
        owner = (what, run.ident, run.phase, run.free_since)
        if self._check_owner != owner:
            self._check_owner, self._check_open, self._check_result = owner, False, None
            self._next_check = now if interval is None else now + interval
            self._detail, self._blamed = "", None
        if not self._check_open and self._check_result is None and now >= self._next_check:
            self._check_number += 1
            self._check_open = True
            self._next_check = now + (interval if interval is not None else self.timing.check)
            acts.append(Act("check", data=Check(self._check_number, what, run.release)))
        result, self._check_result = self._check_result, None
        return result

    def _take_results(self, now: float, results: Iterable[CheckResult]) -> None:
        for result in results:
            if self._check_open and result.number == self._check_number:
                self._check_open, self._check_result = False, result
                self._detail, self._blamed = result.detail, result.data.get("node")
                self._next_check = max(self._next_check, now + self.timing.check)

    def _watch_completions(self, now: float, inp: GroupInput, run: Run, acts: list[Act]) -> None:
        """No answers while the token counter stands still: reported, nothing is restarted."""
        readiness = run.release.readiness
        if readiness is None or readiness.probe_interval <= 0:
            return
        result = self._checked(now, "watch", run, acts, readiness.probe_interval)
        if result is None:
            return
        tokens, running = result.data.get("tokens"), result.data.get("running") or 0
        if result.ok or tokens is None or running <= 0:
            self._stall, self.warning = None, ""
        elif self._stall is None or self._stall[0] != tokens:
            self._stall, self.warning = (tokens, now), ""
        elif now - self._stall[1] >= readiness.stall:
            self.warning = (
                f"stalled: no completion and no generated token for {now - self._stall[1]:.0f} s "
                f"with {running:.0f} requests running ({result.detail})"
            )

    # ---- results

    def _retarget(self, inp: GroupInput) -> None:
        for node in set(inp.views) | set(self.targets):
            view = inp.views.get(node)
            target: dict[str, Ident | None] = dict(NOTHING)
            for run in self._live_runs():
                # A supervisor that was restarted must not start an epoch that its predecessor ran.
                same = view is not None and view.report.get("instance") == run.instances.get(node)
                if node in run.targets and same:
                    target[run.kind] = run.ident
            if self.targets.get(node) != target:
                self.targets[node] = target
                self.sequence[node] = self.sequence.get(node, 0) + 1

    def _summarise(self, now: float, inp: GroupInput, hold: tuple[str, str] | None) -> None:
        ray, serve = self.runs["ray"], self.runs["serve"]
        stopping = [run for run in (serve, ray) if run and run.stopping]
        if hold and hold[0] in ("idle", "stopped", "down", "backoff"):
            self.state, self.reason = hold
            if stopping:
                self.reason += "; still stopping " + " and ".join(run.kind for run in stopping)
        elif self.halted:
            self.state = "backoff" if self.failures else "waiting"
            self.reason = f"stopping, because {self.halted}"
        elif hold and not self._progress:
            self.state, self.reason = hold
        elif stopping:
            kinds = " and ".join(f"{run.kind} release {run.ident.hash}" for run in stopping)
            self.state, self.reason = "starting", f"stopping {kinds} for the new release"
        elif self._progress:
            self.state, self.reason = self._progress
        elif serve and serve.phase == "ready":
            self.state, self.reason = "ready", ""
        else:
            text = "Ray is ready, serve comes next" if ray else "nothing runs, the next start comes"
            self.state, self.reason = "starting", text

    def _last_text(self) -> str:
        last = self.last_failure
        return f"{last['process']} on {last['node']}: {last['reason']}" if last else "unknown"

    def kind_state(self, kind: str) -> str:
        run = self.runs[kind]
        if run is None:
            failed = self.last_failure and self.last_failure["process"] == kind
            return "failed" if failed and self.state in ("backoff", "down") else "stopped"
        if run.stopping:
            return "stopping"
        return "ready" if run.phase == "ready" else "starting"


def _failure(
    node: str, process: str, reason: str, ended: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    ended = ended or {}
    return {
        "node": node,
        "process": process,
        "exitCode": ended.get("exitCode"),
        "signal": ended.get("signal"),
        "reason": reason,
        "tail": list(ended.get("tail", [])),
    }


def _staging_text(node: str, kind: str, digest: str, problem: str | None) -> str:
    if problem:
        return f"{node}: {kind} release {digest} {problem}"
    return f"{node} has no {kind} release {digest}: stage it there"


# ----------------------------------------------------------------------- pure core: head and member


class Peer:
    """A member, as the head has heard it."""

    def __init__(self) -> None:
        self.connected = False
        self.heard: float | None = None
        self.report: dict[str, Any] = {}


@dataclasses.dataclass
class NodeInput:
    """What the effects know at this step."""

    facts: Mapping[str, Facts]
    releases: Mapping[str, Any]
    draining: bool = False
    force: bool = False
    wall: float = 0.0


class HeadCore:
    """The head: the group's decisions, its members' reports, and its own processes."""

    role = "head"

    def __init__(self, name: str, cluster: str, instance: str, timing: Timing, epoch: int):
        self.name, self.cluster, self.instance, self.timing = name, cluster, instance, timing
        self.group = Group(name, timing, epoch)
        self.node = NodeCore(timing)
        self.peers: dict[str, Peer] = {}
        self.ack = 0
        self.drain_until: float | None = None
        self.finished = False

    def admit(self, now: float, cluster: str, name: str, planned: tuple[str, ...]) -> str:
        """Why this member may not join; empty when it may."""
        if cluster != self.cluster:
            return f"this is the head of cluster {self.cluster}, not of {cluster}"
        if name == self.name:
            return f"{name} is the head's own name"
        if planned and name not in planned:
            return f"{name} is not a planned node ({', '.join(planned)})"
        peer = self.peers.get(name)
        if peer and peer.connected and peer.heard is not None:
            silent = now - peer.heard
            if silent < 3 * self.timing.heartbeat:
                return f"{name} is connected already, heard {silent:.1f} s ago"
        return ""

    def is_silent(self, now: float, name: str) -> bool:
        peer = self.peers.get(name)
        return peer is not None and now - (peer.heard or 0.0) >= self.timing.lease

    def on_report(self, now: float, name: str, report: dict[str, Any]) -> None:
        peer = self.peers.setdefault(name, Peer())
        peer.connected, peer.heard, peer.report = True, now, report

    def on_disconnect(self, name: str) -> None:
        peer = self.peers.get(name)
        if peer:
            peer.connected = False
            # What it acknowledged on the old connection says nothing about the next one.
            peer.report = {**peer.report, "ack": -1}

    def step(
        self,
        now: float,
        inp: NodeInput,
        desired: Desired | None,
        epoch_on_disk: int,
        epoch_error: str = "",
        results: tuple[CheckResult, ...] = (),
    ) -> list[Act]:
        group_input = GroupInput(
            desired=desired,
            releases=inp.releases,
            views=self._views(now, inp.releases),
            epoch_on_disk=epoch_on_disk,
            epoch_error=epoch_error,
            results=results,
            draining=inp.draining,
            wall=inp.wall,
        )
        if inp.draining:
            self._drain(now, inp.force)
        acts = self.group.step(now, group_input)
        self.planned = self.group.planned_nodes(group_input)
        target = self.group.targets[self.name]
        self.ack = self.group.sequence[self.name]
        acts += self.node.step(now, target, inp.facts, inp.releases, self._why(), inp.force)
        return acts

    def message_for(self, name: str) -> dict[str, Any]:
        group = self.group
        target = group.targets.get(name, NOTHING)
        return {
            "type": "target",
            "sequence": group.sequence.get(name, 0),
            "target": {kind: ident and ident._asdict() for kind, ident in target.items()},
            "group": {
                "state": group.state,
                "reason": group.reason,
                "kinds": {kind: group.kind_state(kind) for kind in KINDS},
                "desired": _desired_json(group.desired),
                "failures": {"count": group.failures, "last": group.last_failure},
            },
        }

    def status(self, now: float) -> dict[str, Any]:
        group = self.group
        kinds = {}
        for kind in KINDS:
            run, slot = group.runs[kind], self.node.slots[kind]
            facts = slot.facts
            kinds[kind] = {
                "state": group.kind_state(kind) if run or slot.clean else "stopping",
                "hash": run.ident.hash if run else None,
                "epoch": run.ident.epoch if run else None,
                "pid": facts.pid if facts.alive else None,
                "started": facts.started if facts.alive else None,
                "readyAfterSec": _rounded(run.ready_after) if run else None,
                "secrets": run.secrets if run else "",
            }
        return {
            "state": group.state,
            "reason": group.reason,
            "desired": _desired_json(group.desired),
            **kinds,
            "members": {name: self._member_status(now, name) for name in self._member_names()},
            "failures": {"count": group.failures, "last": group.last_failure},
            "warnings": [*([group.warning] if group.warning else []), *self._stuck(now)],
        }

    planned: tuple[str, ...] = ()

    def _why(self) -> str:
        return f"the group is stopped: {self.group.halted or self.group.reason or 'new release'}"

    def _views(self, now: float, releases: Mapping[str, Any]) -> dict[str, View]:
        own = {
            "instance": self.instance,
            "ack": self.ack,
            "leaving": False,
            "releases": release_problems(releases),
            "slots": self.node.report(with_tail=True),
        }
        views = {self.name: View(True, 0.0, own)}
        for name, peer in self.peers.items():
            silent = now - peer.heard if peer.heard is not None else float("inf")
            views[name] = View(silent < self.timing.lease, silent, peer.report)
        return views

    def _stuck(self, now: float) -> list[str]:
        return [
            f"{name}: {slot['reason']}"
            for name, view in self._views(now, {}).items()
            for slot in view.report.get("slots", {}).values()
            if slot["state"] == "stuck"
        ]

    def _drain(self, now: float, force: bool) -> None:
        """Orderly (serve everywhere, then Ray) for a bounded time, then all at once."""
        if self.drain_until is None:
            stops = [slot.release.stop_timeout for slot in self.node.slots.values() if slot.release]
            waits = self.timing.kill_wait + self.timing.leftover_grace
            self.drain_until = now + sum(stops) + 2 * waits
        late = force or now >= self.drain_until
        if late:
            self.group.halt("this supervisor is shutting down")
        runs = [run for run in self.group.runs.values() if run]
        self.finished = self.node.settled and (late or not runs)

    def _member_names(self) -> list[str]:
        return [name for name in dict.fromkeys((*self.planned, *self.peers)) if name != self.name]

    def _member_status(self, now: float, name: str) -> dict[str, Any]:
        peer = self.peers.get(name)
        if peer is None or peer.heard is None:
            return {"connected": False, "lastSeenSec": None, "ray": "stopped", "serve": "stopped"}
        slots = peer.report.get("slots", {})
        return {
            "connected": peer.connected,
            "lastSeenSec": round(now - peer.heard, 1),
            **{
                kind: slot_state(slots.get(kind, {}), self.group.kind_state(kind)) for kind in KINDS
            },
        }


class MemberCore:
    """A member: follows the newest target of the head for as long as the head is heard."""

    role = "member"

    def __init__(self, name: str, instance: str, timing: Timing):
        self.name, self.instance, self.timing = name, instance, timing
        self.node = NodeCore(timing)
        self.target: Target = NOTHING
        self.ack = -1
        self.heard: float | None = None
        self.connected = False
        self.group: dict[str, Any] = {}
        self.link_reason = "not connected yet"
        self.releases: Mapping[str, Any] = {}
        self.leaving = False
        self.finished = False

    def on_target(self, now: float, message: Mapping[str, Any]) -> None:
        self.connected, self.heard = True, now
        self.target = {
            kind: Ident(item["hash"], item["epoch"]) if item else None
            for kind, item in message["target"].items()
        }
        self._sequence = message["sequence"]
        self.group = dict(message["group"])

    _sequence = -1

    def on_disconnect(self, reason: str) -> None:
        self.connected, self.link_reason = False, reason
        self.ack = self._sequence = -1

    def step(self, now: float, inp: NodeInput) -> list[Act]:
        self.releases = inp.releases
        self.leaving = inp.draining
        target, why = self.target, "not in the head's target any more"
        if self.heard is None or now - self.heard >= self.timing.lease:
            target, why = NOTHING, f"no word from the head for {self.timing.lease:.0f} s"
        if inp.draining:
            target, why = self.node.drain_target(), "this supervisor is shutting down"
        acts = self.node.step(now, target, inp.facts, inp.releases, why, inp.force)
        # Only now: what the report says of the slots is the answer to this target.
        self.ack = self._sequence
        self.finished = inp.draining and self.node.settled
        return acts

    def report(self) -> dict[str, Any]:
        return {
            "instance": self.instance,
            "ack": self.ack,
            "leaving": self.leaving,
            "releases": release_problems(self.releases),
            "slots": self.node.report(with_tail=self.group.get("state") != "ready"),
        }

    def status(self, now: float) -> dict[str, Any]:
        if self.connected and self.group:
            state, reason = self.group["state"], self.group["reason"]
        else:
            state, reason = "waiting", f"no connection to the head: {self.link_reason}"
        if self.leaving:
            state, reason = "stopped", "the supervisor is shutting down"
        kinds = {}
        for kind, slot in self.node.slots.items():
            group_state = self.group.get("kinds", {}).get(kind, "starting")
            kinds[kind] = {
                "state": slot_state(slot.report(False), group_state),
                "hash": slot.ident.hash if slot.ident else None,
                "epoch": slot.ident.epoch if slot.ident else None,
                "pid": slot.facts.pid if slot.facts.alive else None,
                "started": slot.facts.started if slot.facts.alive else None,
                "readyAfterSec": None,
            }
        return {
            "state": state,
            "reason": reason,
            "desired": self.group.get("desired") or _desired_json(None),
            **kinds,
            "members": {},
            "failures": self.group.get("failures", {"count": 0, "last": None}),
            "warnings": [],
        }


def release_problems(releases: Mapping[str, Any]) -> dict[str, str]:
    return {key: "" if isinstance(item, Release) else item for key, item in releases.items()}


def slot_state(slot: Mapping[str, Any], group_state: str) -> str:
    """A slot in the words of status.json."""
    state = slot.get("state", "empty")
    if state in ("empty", "nothing"):
        return "failed" if slot.get("exit") and group_state == "failed" else "stopped"
    if state == "running":
        return "ready" if group_state == "ready" else "starting"
    return "starting" if state == "blocked" else "stopping"


def _desired_json(desired: Desired | None) -> dict[str, Any]:
    return (desired or Desired("running", None, None)).to_json()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


# ----------------------------------------------------------------------------------------- protocol


class ProtocolError(Exception):
    """What came over a connection is not from our group."""


class Channel:
    """One connection between supervisors: seals and opens lines.

    Both sides greet with a fresh nonce; the key of the connection is made from the group token, the
    cluster's name and both nonces, so nothing can be replayed from another connection; the counter
    refuses replay and reordering within one, the role in the MAC refuses reflection.
    """

    def __init__(self, token: bytes, cluster: str, role: str):
        self.token, self.cluster, self.role = token, cluster, role
        self.peer_role = "member" if role == "head" else "head"
        self.nonce = os.urandom(16).hex()
        self.key: bytes | None = None
        self.sent = self.received = 0

    def greeting(self) -> bytes:
        return _json_line({"protocol": PROTOCOL, "nonce": self.nonce})

    def open_greeting(self, line: bytes) -> None:
        message = _parse_line(line)
        nonce = message.get("nonce")
        if message.get("protocol") != PROTOCOL:
            raise ProtocolError(f"speaks protocol {message.get('protocol')!r}, not {PROTOCOL}")
        if not isinstance(nonce, str) or not re.fullmatch(r"[0-9a-f]{32}", nonce):
            raise ProtocolError("greets without a nonce")
        head, member = (self.nonce, nonce) if self.role == "head" else (nonce, self.nonce)
        context = f"vllm-cluster/{PROTOCOL}\0{self.cluster}\0{head}\0{member}"
        self.key = hmac.digest(self.token, context.encode(), "sha256")

    def seal(self, message: Mapping[str, Any]) -> bytes:
        body = json.dumps(message, separators=(",", ":"))
        self.sent += 1
        return _json_line(
            {"n": self.sent, "mac": self._mac(self.role, self.sent, body), "body": body}
        )

    def open(self, line: bytes) -> dict[str, Any]:
        envelope = _parse_line(line)
        number, mac, body = (envelope.get(name) for name in ("n", "mac", "body"))
        if not isinstance(body, str) or not isinstance(mac, str) or not isinstance(number, int):
            raise ProtocolError("sent a line without n, mac and body")
        if not hmac.compare_digest(mac.encode(), self._mac(self.peer_role, number, body).encode()):
            raise ProtocolError("failed authentication: its group token or cluster name differs")
        if number != self.received + 1:
            raise ProtocolError(f"sent line {number} after line {self.received}")
        self.received = number
        return _parse_line(body.encode())

    def _mac(self, role: str, number: int, body: str) -> str:
        assert self.key
        text = f"{role}\0{number}\0{body}".encode("utf-8", "surrogatepass")
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()


def _json_line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _parse_line(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("sent a line that is not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("sent a line that is not an object")
    return message


class LineSocket:
    """A non-blocking socket that carries lines of bounded length."""

    def __init__(self, sock: socket.socket):
        self.socket = sock
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in = bytearray()
        self._out = bytearray()

    def lines(self) -> tuple[list[bytes], str]:
        """(complete lines, why the connection is over or "")."""
        over = ""
        try:
            while len(self._in) <= LINE_LIMIT:
                data = self.socket.recv(65536)
                if not data:
                    over = "closed by the other side"
                    break
                self._in += data
        except BlockingIOError:
            pass
        except OSError as error:
            over = _os_text(error)
        *lines, rest = bytes(self._in).split(b"\n")
        self._in = bytearray(rest)
        if len(rest) > LINE_LIMIT or any(len(line) > LINE_LIMIT for line in lines):
            return [], f"sent a line longer than {LINE_LIMIT} bytes"
        return lines, over

    def send(self, data: bytes = b"") -> str:
        """Sends what fits, keeps the rest. Returns why the connection is over, or ""."""
        self._out += data
        try:
            while self._out:
                sent = self.socket.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            if len(self._out) > 4 * LINE_LIMIT:
                return "does not read what it is sent"
        except OSError as error:
            return _os_text(error)
        return ""

    def close(self) -> None:
        self.socket.close()


def _os_text(error: OSError) -> str:
    return error.strerror.lower() if error.strerror else str(error)


def parse_address(text: str) -> tuple[str, int]:
    """`10.0.0.1:7000`, `[fd00::1]:7000` -> (host, port)."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f'must be ADDRESS:PORT, got "{text}"')
    return host.strip("[]"), int(port)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _HeadConnection:
    def __init__(self, line_socket: LineSocket, channel: Channel, peer: str, now: float):
        self.line_socket, self.channel, self.peer, self.since = line_socket, channel, peer, now
        self.name: str | None = None
        self.sent = ""
        self.sent_at = 0.0


class HeadServer:
    """The head's end of the group protocol: listens on its own address, admits planned members."""

    def __init__(
        self, address: tuple[str, int], core: HeadCore, token: Callable[[], bytes], log: Log
    ):
        self.address, self.core, self.token, self.log = address, core, token, log
        self.problem = "not listening yet"
        self.connections: list[_HeadConnection] = []
        self._listener: socket.socket | None = None
        self._retry_at = 0.0
        self._said: dict[str, float] = {}

    def sockets(self) -> list[tuple[socket.socket, bool]]:
        out = [(item.line_socket.socket, bool(item.line_socket._out)) for item in self.connections]
        return out + ([(self._listener, False)] if self._listener else [])

    def service(self, now: float) -> None:
        self._listen(now)
        self._accept(now)
        for connection in list(self.connections):
            lines, over = connection.line_socket.lines()
            try:
                for line in lines:
                    self._take(now, connection, line)
            except ProtocolError as error:
                self._drop(now, connection, str(error))
                continue
            if over:
                self._drop(now, connection, over)
            elif connection.name is None and now - connection.since > HANDSHAKE_SEC:
                self._drop(
                    now, connection, f"did not introduce itself within {HANDSHAKE_SEC:.0f} s"
                )
            elif connection.name and self.core.is_silent(now, connection.name):
                self._drop(now, connection, "silent for too long")
            elif connection.name and self.core.planned and connection.name not in self.core.planned:
                self._refuse(now, connection, f"{connection.name} is not a planned node any more")

    def broadcast(self, now: float) -> None:
        """Each member's target: at once when it changes, else as a heartbeat."""
        for connection in list(self.connections):
            if connection.name is None:
                over = connection.line_socket.send()
            else:
                message = self.core.message_for(connection.name)
                text = json.dumps(message)
                due = now - connection.sent_at >= self.core.timing.heartbeat
                data = b""
                if due or text != connection.sent:
                    connection.sent, connection.sent_at = text, now
                    data = connection.channel.seal(message)
                over = connection.line_socket.send(data)
            if over:
                self._drop(now, connection, over)

    def close(self) -> None:
        for item in self.connections:
            item.line_socket.close()
        if self._listener:
            self._listener.close()

    def _listen(self, now: float) -> None:
        if self._listener or now < self._retry_at:
            return
        self._retry_at = now + 1.0
        listener = socket.socket(_family(self.address[0]), socket.SOCK_STREAM)
        try:
            # A restarted head must not wait for connections of its predecessor in TIME_WAIT.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(self.address)
            listener.listen(16)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            problem = f"cannot listen on {self.address[0]}:{self.address[1]}: {_os_text(error)}"
            if problem != self.problem:
                self.log.event(problem)
            self.problem = problem
            return
        self._listener, self.problem = listener, ""
        self.log.event(f"listening on {self.address[0]}:{self.address[1]}")

    def _accept(self, now: float) -> None:
        while self._listener:
            try:
                accepted, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self.log.event(f"accept failed: {_os_text(error)}")
                return
            token = self.token()
            if not token or len(self.connections) >= MAX_CONNECTIONS:
                why = (
                    "too many connections"
                    if token
                    else "in/secrets/group-token is missing or empty"
                )
                self._say(now, f"refused {peer[0]}: {why}")
                accepted.close()
                continue
            channel = Channel(token, self.core.cluster, "head")
            connection = _HeadConnection(LineSocket(accepted), channel, peer[0], now)
            self.connections.append(connection)
            connection.line_socket.send(channel.greeting())

    def _take(self, now: float, connection: _HeadConnection, line: bytes) -> None:
        if connection.channel.key is None:
            connection.channel.open_greeting(line)
            return
        message = connection.channel.open(line)
        name, report = message.get("node"), message.get("report")
        if not isinstance(name, str) or not isinstance(report, dict) or not _is_report(report):
            raise ProtocolError("sent a heartbeat that this supervisor cannot read")
        if connection.name is None:
            refusal = self.core.admit(now, str(message.get("cluster")), name, self.core.planned)
            if refusal:
                self._refuse(now, connection, refusal)
                return
            self._replace(now, name)
            connection.name = name
            self.log.event(f"{name} connected from {connection.peer}")
        if connection in self.connections:
            self.core.on_report(now, connection.name, report)

    def _replace(self, now: float, name: str) -> None:
        for other in [item for item in self.connections if item.name == name]:
            self._drop(now, other, "replaced by a new connection")

    def _refuse(self, now: float, connection: _HeadConnection, refusal: str) -> None:
        connection.line_socket.send(connection.channel.seal({"type": "refused", "reason": refusal}))
        self._drop(now, connection, f"refused: {refusal}")

    def _drop(self, now: float, connection: _HeadConnection, reason: str) -> None:
        if connection not in self.connections:
            return
        connection.line_socket.close()
        self.connections.remove(connection)
        if connection.name:
            self.core.on_disconnect(connection.name)
            self.log.event(f"{connection.name} disconnected: {reason}")
        else:
            self._say(now, f"dropped a connection from {connection.peer}: {reason}")

    def _say(self, now: float, text: str) -> None:
        """A peer that tries every second must not fill the log."""
        if now - self._said.get(text, -60.0) >= 60.0:
            if len(self._said) > 1000:
                self._said.clear()
            self._said[text] = now
            self.log.event(text)


def _is_report(report: Mapping[str, Any]) -> bool:
    """The head's core relies on this shape, so that a member of another version cannot crash it."""
    if not isinstance(report.get("releases"), dict):
        return False
    slots = report.get("slots")
    if not isinstance(report.get("instance"), str) or not isinstance(slots, dict):
        return False
    for kind in KINDS:
        slot = slots.get(kind)
        if not isinstance(slot, dict) or not isinstance(slot.get("state"), str):
            return False
        if not isinstance(slot.get("lastEpoch"), int) or not isinstance(slot.get("reason"), str):
            return False
        ended = slot.get("exit")
        if ended is not None and not (
            isinstance(ended, dict) and {"epoch", "reason"} <= set(ended)
        ):
            return False
    return True


class MemberClient:
    """A member's end: keeps one connection to the head, sends reports, receives targets."""

    def __init__(
        self,
        address: tuple[str, int],
        cluster: str,
        core: MemberCore,
        token: Callable[[], bytes],
        log: Log,
    ):
        self.address, self.cluster, self.core, self.token, self.log = (
            address,
            cluster,
            core,
            token,
            log,
        )
        self._line_socket: LineSocket | None = None
        self._channel: Channel | None = None
        self._state = "closed"  # -> connecting -> greeted (key known) -> up (head has answered)
        self._since = 0.0
        self._retry_at = 0.0
        self._delay = 0.1
        self._sent = ""
        self._sent_at = 0.0
        self._said = ""

    def sockets(self) -> list[tuple[socket.socket, bool]]:
        if self._line_socket is None:
            return []
        writes = self._state == "connecting" or bool(self._line_socket._out)
        return [(self._line_socket.socket, writes)]

    def service(self, now: float) -> None:
        if self._line_socket is None:
            if now >= self._retry_at:
                self._connect(now)
            return
        if self._state == "connecting" and not self._is_connected(now):
            return
        lines, over = self._line_socket.lines()
        try:
            for line in lines:
                self._take(now, line)
        except ProtocolError as error:
            over = f"the head {error}"
        if self._line_socket is None:
            return
        if not over and self._state != "up" and now - self._since > HANDSHAKE_SEC:
            over = f"no answer from the head within {HANDSHAKE_SEC:.0f} s"
        if (
            not over
            and self._state == "up"
            and now - (self.core.heard or 0) > self.core.timing.lease
        ):
            over = f"the head is silent for {self.core.timing.lease:.0f} s"
        if over:
            if self._state == "greeted" and over == "closed by the other side":
                over += " (does the group token differ from the head's?)"
            self._close(now, over)

    def send_report(self, now: float) -> None:
        if self._line_socket is None or self._channel is None or self._channel.key is None:
            return
        report = self.core.report()
        slots = {kind: {**slot, "tail": None} for kind, slot in report["slots"].items()}
        changed = json.dumps({**report, "slots": slots})
        data = b""
        if changed != self._sent or now - self._sent_at >= self.core.timing.heartbeat:
            self._sent, self._sent_at = changed, now
            message = {"cluster": self.cluster, "node": self.core.name, "report": report}
            data = self._channel.seal(message)
        over = self._line_socket.send(data)
        if over:
            self._close(now, over)

    def close(self) -> None:
        if self._line_socket:
            self._line_socket.close()

    def _connect(self, now: float) -> None:
        token = self.token()
        if not token:
            self._close(now, "in/secrets/group-token is missing or empty")
            return
        sock = socket.socket(_family(self.address[0]), socket.SOCK_STREAM)
        self._line_socket = LineSocket(sock)
        self._channel = Channel(token, self.cluster, "member")
        self._state, self._since, self._sent = "connecting", now, ""
        code = sock.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS):
            self._close(now, os.strerror(code).lower())

    def _is_connected(self, now: float) -> bool:
        assert self._line_socket and self._channel
        code = self._line_socket.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._close(now, os.strerror(code).lower())
            return False
        try:
            self._line_socket.socket.getpeername()
        except OSError:
            if now - self._since > HANDSHAKE_SEC:
                self._close(now, f"no connection within {HANDSHAKE_SEC:.0f} s")
            return False
        self._state = "greeted"
        self._line_socket.send(self._channel.greeting())
        return True

    def _take(self, now: float, line: bytes) -> None:
        if self._line_socket is None or self._channel is None:
            return
        if self._channel.key is None:
            self._channel.open_greeting(line)
            return
        message = self._channel.open(line)
        if message.get("type") == "refused":
            self._close(now, f"the head refuses this node: {message.get('reason')}")
            return
        if not _is_target(message):
            raise ProtocolError("sent a target that this supervisor cannot read")
        if self._state != "up":
            self._state, self._delay, self._said = "up", 0.1, ""
            self.log.event(f"connected to the head {self.address[0]}:{self.address[1]}")
        self.core.on_target(now, message)

    def _close(self, now: float, reason: str) -> None:
        if self._line_socket:
            self._line_socket.close()
        self._line_socket = self._channel = None
        self._state = "closed"
        self._retry_at = now + self._delay
        self._delay = min(1.0, self._delay * 2)
        self.core.on_disconnect(f"{self.address[0]}:{self.address[1]}: {reason}")
        if reason != self._said:
            self._said = reason
            self.log.event(f"no connection to the head: {reason}")


def _is_target(message: Mapping[str, Any]) -> bool:
    target = message.get("target")
    if not isinstance(target, dict) or set(target) != set(KINDS):
        return False
    if not isinstance(message.get("sequence"), int) or not isinstance(message.get("group"), dict):
        return False
    return all(
        item is None
        or (
            isinstance(item, dict)
            and isinstance(item.get("hash"), str)
            and isinstance(item.get("epoch"), int)
        )
        for item in target.values()
    )


# --------------------------------------------------------------------------- effects: logs, secrets


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
                self.problem = f"cannot write {self.path.name}: {_os_text(error)}"

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
        line = self.redactor.text(f"{_timestamp()} {self.node} {text}").replace("\n", " ")
        data = line.encode("utf-8", "replace") + b"\n"
        self.file.write(data)
        with contextlib.suppress(OSError):
            os.write(1, data)


def _timestamp() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


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


# ------------------------------------------------------------------------------- effects: processes


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
                args=command,
                env=dict(env),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            return 127, "", f"cannot start {command[0]}: {_os_text(error)}"
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
            f"=== {_timestamp()} epoch {ident.epoch} release {ident.hash}: {json.dumps(command)}\n"
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
        name = _signal_name(-code) if code < 0 else None
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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def child_env(release: Release, secret_files: Path | None) -> dict[str, str]:
    """The whole environment of a process; secrets only if their folder is given. @throws OSError"""
    env = {key: value for key, value in os.environ.items() if not key.startswith("VLLM_CLUSTER_")}
    env.update(release.env)
    if secret_files:
        for variable, name in release.secret_env.items():
            env[variable] = (secret_files / name).read_text(encoding="utf-8").strip()
    return env


def port_problem(release: Release) -> str:
    """The first of the release's ports that cannot be bound on this node's address, or ""."""
    for port in release.ports:
        with socket.socket(_family(release.address), socket.SOCK_STREAM) as probe:
            # As the servers do: connections in TIME_WAIT are no obstacle, a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((release.address, port))
                probe.listen(1)
            except OSError as error:
                where = f"port {port} on {release.address or 'this node'}"
                if error.errno != errno.EADDRINUSE:
                    return f"{where} cannot be bound: {_os_text(error)}"
                return f"{where} is held by {port_holder(port)}"
    return ""


def port_holder(port: int) -> str:
    """Who listens on it, as far as this container can see."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{words[9]}]")
    for pid, proc in read_processes().items():
        with contextlib.suppress(OSError):
            for entry in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{entry}") in inodes:
                        return f"pid {pid} ({proc.name})"
    return "a process outside this container (on the host: ss -ltnp)"


# ---------------------------------------------------------------------------------- effects: checks


class Checks:
    """Looks outside, each in a thread of its own with a deadline."""

    def __init__(self, layout: Layout, reaper: Reaper, wake: Callable[[], None]):
        self.layout, self.reaper, self.wake = layout, reaper, wake
        self._results: collections.deque[CheckResult] = collections.deque()

    def start(self, check: Check) -> None:
        threading.Thread(target=self._run, args=(check,), daemon=True).start()

    def take(self) -> tuple[CheckResult, ...]:
        taken = []
        while self._results:
            taken.append(self._results.popleft())
        return tuple(taken)

    def _run(self, check: Check) -> None:
        try:
            ok, detail, data = getattr(self, f"_{check.what}")(check.release)
        except Exception as error:  # a check that breaks is a check that failed, with its text
            ok, detail, data = False, f"{check.what}: {type(error).__name__}: {error}", {}
        self._results.append(CheckResult(check.number, ok, detail, data))
        self.wake()

    def _health(self, release: Release) -> tuple[bool, str, dict[str, Any]]:
        assert release.ray_address
        host, port = parse_address(release.ray_address)
        try:
            socket.create_connection((host, port), timeout=2.0).close()
        except OSError as error:
            return False, f"GCS {release.ray_address} does not answer: {_os_text(error)}", {}
        command = ["ray", "health-check", "--address", release.ray_address]
        code, out, err = self.reaper.run_helper(
            command, child_env(release, None), HELPER_DEADLINE_SEC
        )
        if code == 0:
            return True, "healthy", {}
        return False, f"ray health-check {_helper_end(code)}: {_last_line(err or out)}", {}

    def _probe(self, release: Release) -> tuple[bool, str, dict[str, Any]]:
        assert release.ray_address
        # The python3 beside the `ray` of the same PATH; ours may be another one.
        script = os.path.abspath(__file__)
        command = ["python3", script, "ray-probe", "--address", release.ray_address]
        code, out, err = self.reaper.run_helper(
            command, child_env(release, None), HELPER_DEADLINE_SEC
        )
        lines = [line for line in out.splitlines() if line.startswith("{")]
        if code != 0 or not lines:
            return False, f"ray-probe {_helper_end(code)}: {_last_line(err or out)}", {}
        problem, node = judge_ray(release.nodes, json.loads(lines[-1]))
        return not problem, problem or "all nodes as planned, all NPUs free", {"node": node}

    def _completion(self, release: Release) -> tuple[bool, str, dict[str, Any]]:
        problem = self._complete(release)
        return not problem, problem or "answers completions", {}

    def _watch(self, release: Release) -> tuple[bool, str, dict[str, Any]]:
        problem = self._complete(release)
        if not problem:
            return True, "answers completions", {}
        assert release.readiness
        data: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            _, metrics = http_exchange(f"{release.readiness.url}/metrics", 10.0)
            data = parse_metrics(metrics.decode("utf-8", "replace"))
        return False, problem, data

    def _complete(self, release: Release) -> str:
        """Asks for a real completion: /health stays 200 while all completions hang (vLLM 0.23)."""
        readiness = release.readiness
        assert readiness
        body = {
            "model": readiness.model,
            "prompt": readiness.prompt,
            "max_tokens": readiness.max_tokens,
            "temperature": 0,
        }
        headers = {"Content-Type": "application/json"}
        key_file = release.secret_env.get("VLLM_API_KEY")
        if key_file:
            key = (self.layout.secrets / key_file).read_text(encoding="utf-8").strip()
            headers["Authorization"] = f"Bearer {key}"
        url = f"{readiness.url}/v1/completions"
        try:
            code, answer = http_exchange(
                url, readiness.request_timeout, json.dumps(body).encode(), headers
            )
        except OSError as error:
            return f"{url}: {_os_text(error)}"
        except ValueError as error:
            return f"{url}: {error}"
        if code != 200:
            return f"{url} answers {code}: {_last_line(answer[:2000].decode('utf-8', 'replace'))}"
        return judge_completion(answer)


def judge_completion(body: bytes) -> str:
    """Why this is no completion, or ""."""
    try:
        choice = json.loads(body)["choices"][0]
        if choice.get("text") or choice.get("finish_reason"):
            return ""
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        pass
    return f"the answer holds no completion: {body[:200].decode('utf-8', 'replace')}"


def judge_ray(planned: Iterable[PlannedNode], seen: Mapping[str, Any]) -> tuple[str, str | None]:
    """(what differs from the plan or "", the node to blame)."""
    by_address = {node.address: node for node in planned}
    alive = {item["address"]: item for item in seen["nodes"] if item["alive"]}
    for address, node in by_address.items():
        if address not in alive:
            known = ", ".join(sorted(alive)) or "none"
            return f"{node.name} ({address}) has not joined Ray; alive: {known}", node.name
        npus = alive[address]["npus"]
        if npus != node.npus:
            return f"{node.name} offers {npus:g} NPUs to Ray, planned are {node.npus}", node.name
    foreign = sorted(set(alive) - set(by_address))
    if foreign:
        return f"unplanned nodes in Ray: {', '.join(foreign)}", None
    total = sum(node.npus for node in by_address.values())
    if seen["freeNpus"] < total:
        return f"{seen['freeNpus']:g} of {total} NPUs are free in Ray", None
    return "", None


def parse_metrics(text: str) -> dict[str, float]:
    """Sums over all engines."""
    sums: dict[str, float] = {}
    names = {"vllm:generation_tokens_total": "tokens", "vllm:num_requests_running": "running"}
    for line in text.splitlines():
        match = re.match(r"([a-zA-Z_:][\w:]*)(?:\{.*\})? ([-+.\deE]+)", line)
        if match and match[1] in names:
            key = names[match[1]]
            sums[key] = sums.get(key, 0.0) + float(match[2])
    return sums


def http_exchange(
    url: str,
    timeout: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """(status, body). Directly: a proxy of the environment must not stand before our own service.

    @throws OSError, ValueError
    """
    # Here, because it takes as long to load as all other modules together and few need it.
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, parts.path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read(16 * 1024 * 1024)
    except http.client.HTTPException as error:
        raise ValueError(f"no HTTP answer: {type(error).__name__} {error}") from None
    finally:
        connection.close()


def _helper_end(code: int | None) -> str:
    if code is None:
        return f"did not end within {HELPER_DEADLINE_SEC:.0f} s"
    return f"ended with {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:TAIL_LINE_CHARS] if lines else "no output"


# ----------------------------------------------------------------------------------- the supervisor


class ReleaseStore:
    """The staged releases of this node, read again when they change."""

    def __init__(self, layout: Layout, cluster: str, node: str, runtime: str):
        self.layout, self.cluster, self.node, self.runtime = layout, cluster, node, runtime
        self._cache: dict[str, tuple[Any, Any]] = {}
        self._releases: dict[str, Any] = {}
        self._read_at = -1e9

    def releases(self, now: float) -> Mapping[str, Any]:
        if now - self._read_at >= 0.5:
            self._read_at = now
            self._releases = self._read()
        return self._releases

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        cache = {}
        with contextlib.suppress(OSError):
            for path in self.layout.releases.iterdir():
                match = re.fullmatch(r"(ray|serve)-([\w.-]+)\.json", path.name)
                if match:
                    with contextlib.suppress(FileNotFoundError):
                        stamp = path.stat()
                        key = (stamp.st_mtime_ns, stamp.st_ino, stamp.st_size)
                        old = self._cache.get(path.name)
                        value = old[1] if old and old[0] == key else self._check(path)
                        cache[path.name] = (key, value)
                        found[f"{match[1]}:{match[2]}"] = value
        self._cache = cache
        return found

    def _check(self, path: Path) -> Any:
        try:
            return check_release_file(path, self.cluster, self.node, self.runtime)
        except BadFile as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {_os_text(error)}"


class DesiredFile:
    """out/desired.json, read when it changes; the last good content stays when it is damaged."""

    def __init__(self, path: Path):
        self.path = path
        self.problem = ""
        self._key: Any = None
        self._desired: Desired | None = None

    def read(self) -> Desired | None:
        try:
            stamp = os.stat(self.path)
            key = (stamp.st_mtime_ns, stamp.st_ino, stamp.st_size)
            if key != self._key:
                self._key = key
                self._desired = parse_desired(read_json(self.path))
                self.problem = ""
        except FileNotFoundError:
            self._key, self._desired, self.problem = None, None, ""
        except BadFile as error:
            self.problem = f"out/desired.json {error}"
        except OSError as error:
            self.problem = f"out/desired.json cannot be read: {_os_text(error)}"
        return self._desired


def read_epoch(layout: Layout) -> int:
    """The start counter; when its file is damaged, the newest epoch that the last status names."""
    try:
        return int(layout.epoch.read_text())
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        with contextlib.suppress(OSError, BadFile, AttributeError, TypeError):
            last = read_json(layout.status)
            return max((last[kind].get("epoch") or 0) for kind in KINDS)
        return 0


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
                self.epoch_error = _os_text(error)

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
            problem = f"cannot write status.json: {_os_text(error)}"
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


# ------------------------------------------------------------------------------------------ clients


class Refused(Exception):
    """What was asked for cannot be done, with the text for the operator."""


def say(text: str) -> None:
    """Progress. The connection behind stderr may be gone; that must not end a commit half-way."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def supervisor_is_alive(layout: Layout) -> bool:
    """The supervisor holds a lock for its whole life; unlike a time stamp it cannot be stale."""
    try:
        with open(layout.out / "supervisor.lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def live_status(layout: Layout, patience: float = STATUS_STALE_SEC) -> dict[str, Any]:
    """A status that a living supervisor wrote just now. @throws Refused"""
    until = time.monotonic() + patience
    while True:
        problem = "the supervisor of this container does not run"
        if supervisor_is_alive(layout):
            try:
                status = read_json(layout.status)
                age = time.time() - status["time"]
                if abs(age) <= STATUS_STALE_SEC:
                    return status
                problem = (
                    f"status.json is {age:.0f} s old: the supervisor hangs or its disk is full"
                )
            except (OSError, BadFile, KeyError, TypeError) as error:
                problem = f"status.json cannot be read: {error}"
        if time.monotonic() >= until:
            raise Refused(f"{problem}; next: docker logs of this container, out/log/supervisor.log")
        time.sleep(0.2)


@contextlib.contextmanager
def locked(path: Path, patience: float, what: str) -> Any:
    """@throws Refused"""
    with open(path, "a+") as file:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    file.seek(0)
                    raise Refused(f"{what} ({file.read().strip() or 'unknown'})") from None
                time.sleep(0.1)
        file.seek(0)
        file.truncate()
        file.write(f"pid {os.getpid()} since {_timestamp()}\n")
        file.flush()
        yield


def change_desired(
    layout: Layout, change: Callable[[Desired | None], Desired | None]
) -> tuple[Desired | None, Desired | None]:
    """Read, change, write under a lock. Returns (before, after). @throws Refused"""
    with locked(layout.out / "desired.lock", 10.0, "out/desired.json is locked"):
        try:
            before = parse_desired(read_json(layout.desired))
        except FileNotFoundError:
            before = None
        except BadFile as error:
            raise Refused(f"out/desired.json {error}; repair or remove it") from None
        after = change(before)
        if after is None:
            layout.desired.unlink(missing_ok=True)
        elif after != before:
            write_atomically(layout.desired, json.dumps(after.to_json()) + "\n", durable=True)
        return before, after


def new_revision() -> str:
    return f"{_timestamp()}-{os.urandom(4).hex()}"


class Commit:
    """`commit`: makes one release desired and waits until it is ready, else puts the old back."""

    def __init__(self, layout: Layout, manifest: Any):
        fields = _Fields(manifest)
        self.layout = layout
        self.kind = fields.text("kind")
        self.hash = fields.text("release")
        self.deadline = fields.number("deadlineSec", 0)
        self.secrets = ""
        if self.kind == "serve" and (versions := fields.get("secrets", dict, {})):
            text = json.dumps(versions, sort_keys=True)
            self.secrets = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.attempts = int(fields.number("commitAttempts", 2))
        if self.kind not in KINDS:
            raise BadFile(f'kind: must be "ray" or "serve", got "{self.kind}"')
        if not re.fullmatch(r"[\w.-]+", self.hash):
            raise BadFile(f'release: must be a release hash, got "{self.hash}"')
        if self.deadline <= 0:
            raise BadFile("deadlineSec: is missing")

    def run(self) -> int:
        with locked(self.layout.out / "commit.lock", 5.0, "another commit is under way"):
            status = live_status(self.layout)
            self._check(status)
            before, after = change_desired(self.layout, self._change)
            assert after
            try:
                final = self._wait(after)
            except BaseException as error:
                self._restore(before, after)
                if isinstance(error, Refused):
                    say(f"commit of {self.kind} release {self.hash} failed: {error}")
                    return 1
                raise
            part = final[self.kind]
            facts = {
                "kind": self.kind,
                "release": self.hash,
                "epoch": part["epoch"],
                "readyAfterSec": part["readyAfterSec"],
            }
            say(f"{self.kind} release {self.hash} is ready (epoch {part['epoch']})")
            with contextlib.suppress(OSError):
                print(json.dumps(facts), flush=True)
            return 0

    def _check(self, status: Mapping[str, Any]) -> None:
        """Everything that can be known before anything changes. @throws Refused"""
        if status["role"] != "head":
            raise Refused(
                f"{status['node']} is a member: commit on the head of cluster {status['cluster']}"
            )
        path = self.layout.release(self.kind, self.hash)
        try:
            check_release_file(path, status["cluster"], status["node"], status["runtime"])
        except FileNotFoundError:
            raise Refused(
                f"{status['node']} has no {self.kind} release {self.hash}: stage it first"
            ) from None
        except (BadFile, OSError) as error:
            raise Refused(f"{path.name} {error}") from None

    def _change(self, before: Desired | None) -> Desired:
        before = before or Desired("running", None, None)
        if before.state == "stopped":
            raise Refused(
                "the group is switched off by `set stopped`; switch it on with "
                "`supervisor.py set running`, then run this again"
            )
        if self.kind == "serve":
            needs = parse_release(read_json(self.layout.release("serve", self.hash))).ray
            if needs != before.ray:
                raise Refused(
                    f"it needs Ray release {needs}, committed is {before.ray}: commit Ray first"
                )
        if (
            getattr(before, self.kind) == self.hash
            and (self.kind == "ray" or before.secrets == self.secrets)
            and self._verdict(read_json(self.layout.status)) is True
        ):
            return before
        changed = {**before.to_json(), self.kind: self.hash, "revision": new_revision()}
        if self.kind == "serve":
            changed["secrets"] = self.secrets
        return Desired(**changed)

    def _verdict(self, status: Mapping[str, Any]) -> bool:
        part = status[self.kind]
        ready = part["state"] == "ready" and part["hash"] == self.hash
        if self.kind == "ray":
            return ready
        return ready and part.get("secrets") == self.secrets and status["state"] == "ready"

    def _wait(self, after: Desired) -> Mapping[str, Any]:
        """@throws Refused with the text why it did not become ready"""
        until = time.monotonic() + self.deadline
        said = ""
        while True:
            status = live_status(self.layout)
            seen = status["desired"].get("revision") == after.revision
            if seen and self._verdict(status):
                return status
            current = DesiredFile(self.layout.desired).read()
            if current is None or current.revision != after.revision:
                raise Refused(
                    "somebody else changed what is desired meanwhile; nothing is put back"
                )
            if seen:
                text = status["state"] + (f": {status['reason']}" if status["reason"] else "")
                key = re.sub(r"\d+(\.\d+)? s\b", "", text)
                if key != said:
                    said = key
                    say(text)
                self._check_failures(status)
            if time.monotonic() >= until:
                text = (
                    f"not ready after {self.deadline:.0f} s; {status['state']}: {status['reason']}"
                )
                raise Refused(text + self._last_failure(status))
            time.sleep(0.2)

    def _check_failures(self, status: Mapping[str, Any]) -> None:
        count = status["failures"]["count"]
        if status["state"] == "down" or (self.attempts and count >= self.attempts):
            raise Refused(f"{count} failed starts" + self._last_failure(status))

    def _last_failure(self, status: Mapping[str, Any]) -> str:
        last = status["failures"]["last"]
        if not status["failures"]["count"] or not last:
            return ""
        lines = [f"\n{last['process']} on {last['node']}: {last['reason']}"]
        if last["tail"]:
            lines.append(f"last lines of {last['process']} on {last['node']}:")
            lines += [f"  {line}" for line in last["tail"]]
        return "\n".join(lines)

    def _restore(self, before: Desired | None, after: Desired) -> None:
        def put_back(current: Desired | None) -> Desired | None:
            mine = current is not None and current.revision == after.revision
            return before if mine else current

        if before == after:
            return
        try:
            _, now_desired = change_desired(self.layout, put_back)
        except (Refused, OSError) as error:
            say(f"what was desired before could not be put back: {error}")
            return
        if now_desired == before:
            what = "nothing is desired again, as before"
            if before and getattr(before, self.kind):
                what = (
                    f"{self.kind} release {getattr(before, self.kind)} is desired again, as before"
                )
            elif before:
                what = f"no {self.kind} release is desired, as before"
            say(what)


def run_set(layout: Layout, state: str, deadline: float) -> int:
    """`set running|stopped`: the operator's switch."""
    status = require_head(layout)

    def change(before: Desired | None) -> Desired:
        before = before or Desired("running", None, None)
        return before._replace(state=state, revision=new_revision())

    _, after = change_desired(layout, change)
    assert after
    if state == "running":
        say(f"cluster {status['cluster']} is switched on; `status` shows how it starts")
        return 0
    return await_stopped(layout, KINDS, after, deadline)


def run_forget(layout: Layout, kind: str, deadline: float) -> int:
    """`forget ray|serve`: this kind is desired no more; returns when it is stopped everywhere."""
    require_head(layout)

    def change(before: Desired | None) -> Desired | None:
        if before is None or getattr(before, kind) is None:
            return before
        return Desired(**{**before.to_json(), kind: None, "revision": new_revision()})

    _, after = change_desired(layout, change)
    # Serve cannot outlive its Ray.
    return await_stopped(layout, KINDS if kind == "ray" else ("serve",), after, deadline)


def require_head(layout: Layout) -> dict[str, Any]:
    status = live_status(layout)
    if status["role"] != "head":
        raise Refused(
            f"{status['node']} is a member: do this on the head of cluster {status['cluster']}"
        )
    return status


def await_stopped(
    layout: Layout, kinds: Iterable[str], after: Desired | None, deadline: float
) -> int:
    until = time.monotonic() + deadline
    while True:
        status = live_status(layout)
        seen = after is None or status["desired"].get("revision") == after.revision
        running = [kind for kind in kinds if status[kind]["state"] not in ("stopped", "failed")]
        running += [
            f"{kind} on {name}"
            for name, member in status["members"].items()
            for kind in kinds
            if member["connected"] and member[kind] not in ("stopped", "failed")
        ]
        if seen and not running:
            say(" and ".join(kinds) + " stopped")
            return 0
        if time.monotonic() >= until:
            raise Refused(
                f"still running after {deadline:.0f} s: {', '.join(running)}; {status['reason']}"
            )
        time.sleep(0.2)


def run_status(layout: Layout, as_json: bool) -> int:
    """`status`: exit code 0 when a living supervisor wrote it."""
    problem = ""
    try:
        status = live_status(layout, patience=2.0)
    except Refused as error:
        problem = str(error)
        try:
            status = read_json(layout.status)
        except (OSError, BadFile):
            raise Refused(problem) from None
    if as_json:
        print(json.dumps(status))
    else:
        print("\n".join(render_status(status)))
    if problem:
        say(f"old status: {problem}")
    return 1 if problem else 0


def render_status(status: Mapping[str, Any]) -> list[str]:
    reason = f" - {status['reason']}" if status["reason"] else ""
    lines = [
        f"cluster {status['cluster']}, {status['role']} {status['node']}: {status['state']}{reason}"
    ]
    for kind in KINDS:
        part = status[kind]
        text = f"  {kind:5} {part['state']}"
        if part["hash"]:
            text += f", release {part['hash']}, epoch {part['epoch']}"
        if part["pid"]:
            text += f", pid {part['pid']}"
        if part.get("readyAfterSec") is not None:
            text += f", ready after {part['readyAfterSec']} s"
        lines.append(text)
    for name, member in status["members"].items():
        seen = f", seen {member['lastSeenSec']} s ago" if member["lastSeenSec"] is not None else ""
        link = "connected" if member["connected"] else "not connected"
        lines.append(f"  {name}: {link}{seen}, ray {member['ray']}, serve {member['serve']}")
    lines += [f"  warning: {warning}" for warning in status.get("warnings", [])]
    last = status["failures"]["last"]
    if last:
        when = datetime.datetime.fromtimestamp(last["time"], datetime.timezone.utc)
        lines.append(
            f"  failures in a row: {status['failures']['count']}; "
            f"the last, {when:%Y-%m-%dT%H:%M:%SZ}: "
            f"{last['process']} on {last['node']}: {last['reason']}"
        )
        lines += [f"    {line}" for line in last["tail"][-10:]]
    return lines


def run_ray_probe(address: str) -> int:
    """Helper in a process of its own: prints Ray's nodes and free NPUs as one JSON line."""
    import logging

    import ray  # type: ignore[import-not-found]

    ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    nodes = [
        {
            "address": node["NodeManagerAddress"],
            "alive": bool(node["Alive"]),
            "npus": node.get("Resources", {}).get("NPU", 0),
        }
        for node in ray.nodes()
    ]
    print(
        json.dumps({"nodes": nodes, "freeNpus": ray.available_resources().get("NPU", 0)}),
        flush=True,
    )
    # Without ray.shutdown(): it waits for threads, and the process ends anyway.
    os._exit(0)


# --------------------------------------------------------------------------------------------- main


def parse_timing(items: Iterable[str]) -> Timing:
    values = {}
    names = {field.name for field in dataclasses.fields(Timing)}
    for item in items:
        name, _, seconds = item.partition("=")
        if name not in names:
            raise argparse.ArgumentTypeError(
                f'unknown timing "{name}"; known: {", ".join(sorted(names))}'
            )
        values[name] = float(seconds)
    return Timing(**values)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="supervisor.py", description=__doc__.split("\n")[0])
    parser.add_argument("--base", default=BASE_DIR, help=argparse.SUPPRESS)
    modes = parser.add_subparsers(dest="mode", required=True)
    run = modes.add_parser("run", help="be the supervisor of this node")
    run.add_argument("--cluster", required=True)
    run.add_argument("--node", required=True)
    run.add_argument("--role", required=True, choices=("head", "member"))
    run.add_argument("--head", required=True, type=parse_address, metavar="ADDRESS:PORT")
    run.add_argument("--runtime", required=True)
    run.add_argument(
        "--timing", action="append", default=[], metavar="NAME=SEC", help=argparse.SUPPRESS
    )
    modes.add_parser(
        "commit", help="make a release desired (manifest on stdin) and wait until it is ready"
    )
    switch = modes.add_parser("set", help="switch the group on or off; survives reboots")
    switch.add_argument("state", choices=("running", "stopped"))
    forget = modes.add_parser("forget", help="stop a kind and want it no more")
    forget.add_argument("kind", choices=KINDS)
    for waits in (switch, forget):
        waits.add_argument("--deadline", type=float, default=300.0, metavar="SEC")
    status = modes.add_parser("status", help="show status.json")
    status.add_argument("--json", action="store_true")
    probe = modes.add_parser("ray-probe", help="print Ray's nodes (for the supervisor itself)")
    probe.add_argument("--address", required=True)
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = build_parser().parse_args(arguments)
    layout = Layout(Path(options.base))
    if options.mode == "run":
        options.timing = parse_timing(options.timing)
        return Supervisor(options).run()
    if options.mode == "ray-probe":
        return run_ray_probe(options.address)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # an interrupted commit puts back what was
    try:
        if options.mode == "commit":
            try:
                manifest = json.loads(sys.stdin.read())
            except ValueError as error:
                raise BadFile(f"is not JSON: {error}") from None
            return Commit(layout, manifest).run()
        if options.mode == "set":
            return run_set(layout, options.state, options.deadline)
        if options.mode == "forget":
            return run_forget(layout, options.kind, options.deadline)
        return run_status(layout, options.json)
    except BadFile as error:
        say(f"manifest: {error}")
    except Refused as error:
        say(f"{options.mode}: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
