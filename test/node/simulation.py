"""A group of supervisors without processes, sockets, files or time.

The pure cores of node/supervisor/core, driven by a seeded random number generator through faults,
with the invariants checked after every step.

Proves nothing about the effects (signals, /proc, TCP, HTTP); test_live.py does that.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from supervisor.core.desired import Desired
from supervisor.core.group import Group
from supervisor.core.head import HeadCore
from supervisor.core.member import MemberCore
from supervisor.core.node import NodeInput
from supervisor.core.release import KINDS, PlannedNode, Readiness, Release, RestartPolicy
from supervisor.core.run import Check, CheckResult
from supervisor.core.slot import Act, Facts, Ident
from supervisor.core.timing import Timing

TIMING = Timing(prestart=20, free=20, kill_wait=4, leftover_grace=2, reset=60)


class InvariantBroken(AssertionError):
    """Something happened that must never happen, with the seed that shows it."""


@dataclasses.dataclass
class Process:
    """A fake main process with one fake child that may outlive it."""

    ident: Ident
    born: float
    obeys_term: bool
    lingers: float  # how long its child outlives it without being killed
    immortal_until: float = 0.0  # uninterruptible: SIGKILL does nothing before
    alive: bool = True
    exit: dict[str, Any] | None = None
    term_at: float | None = None
    child_until: float | None = None
    peers: set[str] = dataclasses.field(default_factory=set)  # headless ones that joined this head

    def end(self, now: float, code: int | None, signal: str | None) -> None:
        if self.alive:
            reason = f"killed by {signal}" if signal else f"exited with code {code}"
            self.alive, self.exit = False, {"exitCode": code, "signal": signal, "reason": reason}
            self.child_until = now + self.lingers

    def kill(self, now: float) -> None:
        if now >= self.immortal_until:
            self.end(now, None, "SIGKILL")
            self.child_until = now
        else:
            # The main process is gone, the one stuck in the driver is not.
            self.end(now, None, "SIGKILL")
            self.child_until = self.immortal_until

    def lives(self, now: float) -> bool:
        return self.alive or (self.child_until is not None and now < self.child_until)


class Node:
    """One host: its supervisor, its processes, its connection to the head."""

    def __init__(self, world: World, name: str):
        self.world, self.name = world, name
        self.boots = 0
        self.core: Any = None
        self.up_at = 0.0
        self.processes: dict[str, Process | None] = {"ray": None, "serve": None}
        self.draining = False
        self.port_busy_until = 0.0
        self.staged_at: dict[str, float] = {}
        self.started: set[tuple[str, int]] = set()
        # the connection of a member: None, or the time since which it is up
        self.link: float | None = None
        self.retry_at = 0.0
        self.cut_until = 0.0
        self.cut_since = 0.0
        self.deaf_until = 0.0  # hears nothing of the head, which hears it
        self.lag = 0.0  # what the head says takes so long
        self.to_head: list[tuple[float, Any]] = []
        self.from_head: list[tuple[float, Any]] = []
        self.sent_to_head = self.sent_from_head = (-9.0, "")

    @property
    def is_head(self) -> bool:
        return self.name == self.world.names[0]

    def boot(self, now: float) -> None:
        self.boots += 1
        self.draining = False
        instance = f"{self.name}#{self.boots}"
        if self.is_head:
            self.core = HeadCore(self.name, "c", instance, TIMING, self.world.epoch_on_disk)
        else:
            self.core = MemberCore(self.name, instance, TIMING)

    def power_off(self, now: float, seconds: float) -> None:
        """The container is killed: all its processes go with it."""
        self.core = None
        self.up_at = now + seconds
        self.processes = {"ray": None, "serve": None}
        self.world.disconnect(self if not self.is_head else None)

    def facts(self, now: float) -> dict[str, Facts]:
        result = {}
        for kind, slot in self.core.node.slots.items():
            blocked = None
            if slot.state == "blocked":
                blocked = "port 1 is held" if now < self.port_busy_until else ""
            process = self.processes[kind]
            if process is None or process.ident != slot.ident:
                result[kind] = Facts(blocked=blocked)
                continue
            child = not process.alive and process.lives(now)
            result[kind] = Facts(
                alive=process.alive,
                pid=1,
                started=process.born,
                exit=process.exit,
                leftovers=("pid 2 (child, state S)",) if child else (),
                blocked=blocked,
            )
        return result

    def releases(self, now: float) -> dict[str, Any]:
        own = self.world.releases[self.name]
        return {key: value for key, value in own.items() if now >= self.staged_at.get(key, 0.0)}


class World:
    """All nodes, their network and one clock."""

    def __init__(self, seed: int, nodes: int, topology: str):
        self.random = random.Random(seed)
        self.seed, self.topology = seed, topology
        self.now = 0.0
        self.names = [f"node{index}" for index in range(nodes)]
        self.releases = {name: self._releases(name) for name in self.names}
        self.nodes = {name: Node(self, name) for name in self.names}
        self.head = self.nodes[self.names[0]]
        self.epoch_on_disk = 0
        self.disk_full_until = 0.0
        self.desired: Desired | None = None
        self.revision = 0
        self.checks: list[tuple[float, Check]] = []
        self.calm = False  # no more faults
        self.faults: list[tuple[float, str]] = []

    # ---- what is released

    def _releases(self, name: str) -> dict[str, Any]:
        planned = tuple(
            PlannedNode(other, f"10.0.0.{index}", 8) for index, other in enumerate(self.names)
        )
        head = name == self.names[0]

        def release(kind: str, digest: str, ray: str | None, runs: bool) -> Release:
            return Release(
                kind=kind,
                hash=digest,
                runtime="rt",
                cluster="c",
                node=name,
                nodes=planned,
                env={},
                secret_env={},
                command=("x",) if runs else None,
                start_timeout=40.0,
                stop_timeout=5.0,
                ports=(),
                restart=RestartPolicy(3, 1.0, 8.0),
                ray=ray,
                ray_address="10.0.0.0:6379",
                readiness=Readiness("http://x", "m", "p", 1, 5, 0, 0) if head else None,
            )

        if self.topology == "mp":
            return {f"serve:{s}": release("serve", s, None, True) for s in ("s1", "s2")}
        items = [release("ray", ray, None, True) for ray in ("r1", "r2")]
        items += [
            release("serve", serve, ray, head)
            for serve, ray in (("s1", "r1"), ("s2", "r1"), ("s3", "r2"))
        ]
        return {f"{item.kind}:{item.hash}": item for item in items}

    def choices(self) -> list[tuple[str | None, str]]:
        if self.topology == "mp":
            return [(None, "s1"), (None, "s2")]
        return [("r1", "s1"), ("r1", "s2"), ("r2", "s3")]

    def want(self, state: str, ray: str | None, serve: str | None, secrets: str = "") -> None:
        self.revision += 1
        self.desired = Desired(state, ray, serve, str(self.revision), secrets)

    # ---- one step of everything

    def step(self) -> None:
        self.now += self.random.uniform(0.3, 1.0)
        for node in self.nodes.values():
            if node.core is None and self.now >= node.up_at:
                node.boot(self.now)
        self._age_processes()
        self._carry()
        for node in self.random.sample(list(self.nodes.values()), len(self.nodes)):
            if node.core is not None:
                self._step_node(node)
        self.check()

    def _step_node(self, node: Node) -> None:
        now = self.now
        inp = NodeInput(node.facts(now), node.releases(now), draining=node.draining, wall=now)
        if node.is_head:
            results = tuple(self._judge(check) for at, check in self.checks if now >= at)
            self.checks = [item for item in self.checks if now < item[0]]
            acts = node.core.step(now, inp, self.desired, self.epoch_on_disk, self._disk(), results)
        else:
            acts = node.core.step(now, inp)
        for act in acts:
            self._perform(node, act)
        if node.is_head:
            for member in self.nodes.values():
                if member is not node and member.link is not None:
                    self._send_target(member)
        elif node.link is not None:
            self._send_report(node)
        if node.core.finished:
            if any(process and process.lives(now) for process in node.processes.values()):
                slots = node.core.node.slots.values()
                self.require(
                    any(slot.state == "stuck" for slot in slots), "drained, but processes live"
                )
            node.power_off(now, 1.0)

    def _disk(self) -> str:
        return "no space left on device" if self.now < self.disk_full_until else ""

    def _perform(self, node: Node, act: Act) -> None:
        now = self.now
        process = node.processes.get(act.kind)
        if act.verb == "epoch":
            if not self._disk():
                self.require(act.data > self.epoch_on_disk, "epoch does not grow")
                self.epoch_on_disk = act.data
        elif act.verb == "check":
            self.checks.append((now + self.random.uniform(0.2, 2.0), act.data))
        elif act.verb == "spawn":
            assert act.ident
            self._check_spawn(node, act.kind, act.ident)
            if not self.calm and self.random.random() < 0.15:
                stuck = now + self.random.uniform(5, 30)
            else:
                stuck = 0.0
            node.processes[act.kind] = Process(
                act.ident,
                now,
                obeys_term=self.random.random() < 0.8,
                lingers=self.random.choice([0.0, 0.0, 1.0, 1e9]),
                immortal_until=stuck,
            )
        elif act.verb == "term" and process:
            if process.term_at is None:
                process.term_at = now
        elif act.verb == "kill" and process:
            process.kill(now)

    def _age_processes(self) -> None:
        for node in self.nodes.values():
            for process in node.processes.values():
                if process and process.alive and process.term_at is not None and process.obeys_term:
                    if self.now - process.term_at >= 0.5:
                        process.end(self.now, 0, None)

        if self.topology == "mp":
            self._age_handshake()

    def _age_handshake(self) -> None:
        """vLLM without Ray: the head ends when it loses a peer; a headless peer outlives its head."""
        head = self.head.processes["serve"]
        if head is None or not head.alive:
            return
        for node in self.nodes.values():
            process = node.processes["serve"]
            joined = process is not None and process.alive and process.ident == head.ident
            if joined and not node.is_head:
                head.peers.add(node.name)
            elif node.name in head.peers and self.random.random() < 0.5:
                head.end(self.now, 1, None)

    # ---- the network

    def disconnect(self, member: Node | None) -> None:
        """Both ends see the connection end; None = all connections (the head's end went away)."""
        for node in (
            [member] if member else [item for item in self.nodes.values() if not item.is_head]
        ):
            if node.link is None:
                continue
            node.link = None
            node.to_head, node.from_head = [], []
            node.sent_to_head = node.sent_from_head = (-9.0, "")
            node.retry_at = self.now + self.random.uniform(0.1, 1.0)
            if node.core is not None:
                node.core.on_disconnect("connection lost")
            if self.head.core is not None:
                self.head.core.on_disconnect(node.name)

    def _carry(self) -> None:
        now = self.now
        for node in self.nodes.values():
            if node.is_head or node.core is None or self.head.core is None:
                continue
            cut = now < node.cut_until
            if node.link is None:
                if not cut and now >= node.retry_at:
                    refusal = self.head.core.admit(now, "c", node.name, self.head.core.planned)
                    if not refusal:
                        node.link = now
                        self.head.core.on_report(now, node.name, node.core.report())
                continue
            if cut:
                # TCP keeps the connection through a short cut and delivers late.
                if now - node.cut_since > 2 * TIMING.lease:
                    self.disconnect(node)
                continue
            while node.to_head and node.to_head[0][0] <= now:
                self.head.core.on_report(now, node.name, node.to_head.pop(0)[1])
            while node.from_head and node.from_head[0][0] <= now and now >= node.deaf_until:
                node.core.on_target(now, node.from_head.pop(0)[1])

    def _send_target(self, member: Node) -> None:
        message = self.head.core.message_for(member.name)
        at, text = member.sent_from_head
        key = repr((message["sequence"], message["target"]))
        if key != text or self.now - at >= TIMING.heartbeat:
            member.sent_from_head = (self.now, key)
            self._queue(member.from_head, message, member.lag)

    def _send_report(self, node: Node) -> None:
        report = node.core.report()
        at, text = node.sent_to_head
        key = repr(report["slots"])
        if key != text or self.now - at >= TIMING.heartbeat:
            node.sent_to_head = (self.now, key)
            self._queue(node.to_head, report)

    def _queue(self, queue: list[tuple[float, Any]], body: Any, lag: float = 0.0) -> None:
        at = self.now + lag + self.random.choice([0.0, 0.0, 0.1, 0.5])
        queue.append((max(at, queue[-1][0] if queue else 0.0), body))

    # ---- what a look outside would find

    def _judge(self, check: Check) -> CheckResult:
        truth = getattr(self, f"_truth_{check.what}")(check.release)
        return CheckResult(check.number, truth, "fine" if truth else f"no {check.what}")

    def _lives(self, node: Node, kind: str, digest: str, age: float) -> bool:
        process = node.processes[kind]
        return bool(
            process
            and process.alive
            and process.ident.hash == digest
            and self.now - process.born >= age
        )

    def _truth_health(self, release: Release) -> bool:
        return self._lives(self.head, "ray", release.hash, 1.0)

    def _truth_probe(self, release: Release) -> bool:
        return all(
            self._lives(node, "ray", release.hash, 1.0) for node in self.nodes.values()
        ) and not (
            any(
                process.lives(self.now)
                for node in self.nodes.values()
                if (process := node.processes["serve"])
            )
        )

    def _truth_completion(self, release: Release) -> bool:
        runs = [
            node
            for node in self.nodes.values()
            if self.releases[node.name][f"serve:{release.hash}"].command
        ]
        rays = list(self.nodes.values()) if release.ray else []
        return all(self._lives(node, "serve", release.hash, 2.0) for node in runs) and all(
            self._lives(node, "ray", release.ray or "", 0.0) for node in rays
        )

    # ---- invariants

    def require(self, truth: bool, text: str) -> None:
        if not truth:
            raise InvariantBroken(f"seed {self.seed}, {self.topology}, t={self.now:.1f}: {text}")

    def live(self, kind: str) -> list[tuple[str, Ident]]:
        return [
            (node.name, process.ident)
            for node in self.nodes.values()
            if (process := node.processes[kind]) and process.lives(self.now)
        ]

    def check(self) -> None:
        for kind in KINDS:
            idents = {ident for _, ident in self.live(kind)}
            self.require(len(idents) <= 1, f"two epochs of {kind} live: {self.live(kind)}")
        group = self.head.core.group if self.head.core else None
        if group and group.state == "ready":
            serve = group.runs["serve"]
            self.require(
                serve is not None and serve.phase == "ready", "ready without a ready serve"
            )
            if serve and self.now - max(self.last_fault, serve.ready_at or 0) > TIMING.lease + 5:
                missing = self.missing_processes(group)
                self.require(not missing, f"ready for long, but {missing} do not live")
        for node in self.nodes.values():
            if not node.is_head and node.core is not None:
                self._check_lease(node)

    def _check_lease(self, node: Node) -> None:
        """A member without a head ends its ranks: T, SIGTERM, SIGKILL and what the driver holds."""
        heard = node.core.heard
        bound = TIMING.lease + 5.0 + TIMING.leftover_grace + TIMING.kill_wait + 5.0
        if heard is None or self.now - heard > bound:
            for process in node.processes.values():
                if process and process.lives(self.now) and self.now > process.immortal_until + 10:
                    self.require(False, f"{node.name} runs {process.ident} without its head")

    def missing_processes(self, group: Group) -> list[str]:
        return [
            f"{kind} on {name}"
            for kind, run in group.runs.items()
            for name in self.names
            if run and self.releases[name][f"{kind}:{run.ident.hash}"].command
            if (name, run.ident) not in self.live(kind)
        ]

    def _check_spawn(self, node: Node, kind: str, ident: Ident) -> None:
        self.require(
            ident.epoch <= self.epoch_on_disk, f"epoch {ident.epoch} used before it was written"
        )
        self.require(
            (kind, ident.epoch) not in node.started, f"{kind} epoch {ident.epoch} started twice"
        )
        node.started.add((kind, ident.epoch))
        old = node.processes[kind]
        self.require(not (old and old.lives(self.now)), f"{kind} started on top of {old}")
        if kind == "serve":
            release = self.releases[node.name][f"serve:{ident.hash}"]
            if release.ray:
                # A process can die at the very instant; none may be missing otherwise.
                rays = {name for name, item in self.live("ray") if item.hash == release.ray}
                excused = {
                    item.name
                    for item in self.nodes.values()
                    if item.core is None or self.now < item.cut_until
                }
                self.require(
                    rays | excused | self.just_died() >= set(self.names),
                    f"serve started with Ray on {sorted(rays)} only",
                )

    def just_died(self) -> set[str]:
        """Nodes whose Ray ended or that restarted so lately that the head cannot know yet."""
        lately = self.now - 3.0
        names = {node.name for node in self.nodes.values() if node.up_at >= lately}
        for node in self.nodes.values():
            process = node.processes["ray"]
            if process and process.exit and (process.child_until or 0) >= lately:
                names.add(node.name)
        return names | self.recent_faults(lately)

    def recent_faults(self, since: float) -> set[str]:
        return {name for at, name in self.faults if at >= since}

    @property
    def last_fault(self) -> float:
        return self.faults[-1][0] if self.faults else 0.0


FAULTS = "exit exit exit power cut cut deaf lag desired desired port unstage disk drain".split()


def fault(world: World) -> str:
    """One random fault, now."""
    rng, now = world.random, world.now
    node = world.nodes[rng.choice(world.names)]
    kind = rng.choice(KINDS)
    what = rng.choice(FAULTS)
    world.faults.append((now, node.name))
    process = node.processes[kind]
    if what == "exit" and process:
        process.end(now, rng.choice([0, 1, 137]), None)
    elif what == "power":
        node.power_off(now, rng.uniform(0.5, 15))
    elif what == "cut" and not node.is_head:
        node.cut_since, node.cut_until = now, now + rng.choice([3, 8, 12, 30])
    elif what == "deaf":
        node.deaf_until = now + rng.choice([5, 15])
    elif what == "lag":
        node.lag = rng.choice([0, 2, 6])
    elif what == "desired":
        ray, serve = rng.choice(world.choices())
        world.want(
            rng.choice(["running", "running", "stopped"]),
            ray if rng.random() < 0.9 else None,
            serve if rng.random() < 0.9 else None,
            secrets=rng.choice(["", "", "rotated"]),
        )
    elif what == "port":
        node.port_busy_until = now + rng.choice([2, 10, 30])
    elif what == "unstage":
        key = rng.choice(list(world.releases[node.name]))
        node.staged_at[key] = now + rng.uniform(5, 20)
    elif what == "disk":
        world.disk_full_until = now + rng.uniform(1, 10)
    elif what == "drain" and node.core is not None:
        node.draining = True
    return f"{now:.1f} {what} {node.name} {kind}"


def heal(world: World) -> None:
    """No fault goes on; what is broken by now may stay so until the supervisors repair it."""
    world.calm = True
    world.disk_full_until = 0.0
    for node in world.nodes.values():
        node.cut_until = min(node.cut_until, world.now)
        node.deaf_until, node.lag = 0.0, 0.0
        node.port_busy_until = 0.0
        node.staged_at = {}
        node.up_at = min(node.up_at, world.now + 1.0)


def run_until(world: World, truth: Any, seconds: float) -> bool:
    end = world.now + seconds
    while world.now < end:
        world.step()
        if truth():
            return True
    return False
