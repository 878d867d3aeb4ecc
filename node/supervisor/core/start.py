"""The steps of a start, from the epoch on disk to ready: what each waits for, when it gives up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from supervisor.core.looks import Looks
from supervisor.core.release import KINDS, Release
from supervisor.core.run import GroupInput, Run
from supervisor.core.slot import Act
from supervisor.core.timing import Timing


class Failed(NamedTuple):
    """This start does not get on; `node` is the one whose log tells most."""

    node: str
    reason: str


class Progress(NamedTuple):
    """What the start waits for, as state and reason of `status.json`."""

    state: str
    reason: str


def obstacle_to_start(
    inp: GroupInput, release: Release, nodes: tuple[str, ...], me: str, sequence: Mapping[str, int]
) -> str:
    """Why no epoch of this release can begin now, or ""."""
    if me not in nodes:
        return f"{release.kind} release {release.hash} does not plan this node ({me})"
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
        if report.get("ack") != sequence.get(node, 0):
            return f"waiting for {node} to confirm"
        problem = report["releases"].get(f"{release.kind}:{release.hash}")
        if problem != "":
            return staging_text(node, release.kind, release.hash, problem)
    return ""


def staging_text(node: str, kind: str, digest: str, problem: str | None) -> str:
    if problem:
        return f"{node}: {kind} release {digest} {problem}"
    return f"{node} has no {kind} release {digest}: stage it there"


class Start:
    """Takes a run from phase to phase: Ray epoch, head, members, probe; serve epoch, start."""

    def __init__(self, me: str, timing: Timing, looks: Looks):
        self.me, self.timing, self.looks = me, timing, looks

    def step(
        self, now: float, inp: GroupInput, run: Run, ray: Run | None, acts: list[Act]
    ) -> Failed | Progress | None:
        """One phase; None when the next one was entered. `ray` is the run that serve runs on."""
        if run.phase == "epoch":
            return self._epoch(now, inp, run, acts)
        if run.phase == "head":
            return self._ray_head(now, inp, run, acts)
        if run.phase == "members":
            return self._ray_members(now, inp, run)
        if run.phase == "probe":
            return self._ray_probe(now, run, acts)
        return self._serve(now, inp, run, ray, acts)

    def await_free(self, now: float, ray: Run, acts: list[Act]) -> Failed | Progress | None:
        """Ray's NPUs are free after an earlier serve; an orphaned engine holds them for ever."""
        if ray.free:
            return None
        if ray.free_since is None:
            ray.free_since = now
        result = self.looks.ask(now, "probe", ray, acts)
        if result and result.ok:
            ray.free = True
            return None
        detail = self.looks.detail
        if now - ray.free_since >= self.timing.free:
            text = f"not free for a new serve after {self.timing.free:.0f} s: {detail}"
            return Failed(self.me, text)
        return Progress("starting", f"before serve: {detail or 'looking at the NPUs'}")

    def _epoch(
        self, now: float, inp: GroupInput, run: Run, acts: list[Act]
    ) -> Failed | Progress | None:
        if inp.epoch_on_disk < run.ident.epoch:
            acts.append(Act("epoch", data=run.ident.epoch))
            if inp.epoch_error:
                return Progress("waiting", f"cannot write out/epoch: {inp.epoch_error}")
            return Progress("starting", f"{run.kind} release {run.ident.hash}")
        if run.kind == "ray":
            run.targets = {self.me}
            run.enter("head", now)
        else:
            # All at once: without Ray, a head waits for its peers in vLLM's own handshake.
            run.targets = set(run.nodes)
            run.enter("serve", now)
        return None

    def _ray_head(
        self, now: float, inp: GroupInput, run: Run, acts: list[Act]
    ) -> Failed | Progress | None:
        waits = self._await_spawned(now, inp, run, (self.me,))
        if waits:
            return waits
        result = self.looks.ask(now, "health", run, acts)
        if result and result.ok:
            run.targets = set(run.nodes)
            run.enter("members", now)
            return None
        if now - run.seen[self.me] >= run.release.start_timeout:
            text = f"not healthy after {run.release.start_timeout:.0f} s: {self.looks.detail}"
            return Failed(self.me, text)
        return Progress("starting", f"ray head on {self.me}: {self.looks.detail or 'started'}")

    def _ray_members(self, now: float, inp: GroupInput, run: Run) -> Failed | Progress | None:
        waits = self._await_spawned(now, inp, run, run.nodes)
        if not waits:
            run.enter("probe", now)
        return waits

    def _ray_probe(self, now: float, run: Run, acts: list[Act]) -> Failed | Progress | None:
        result = self.looks.ask(now, "probe", run, acts)
        if result and result.ok:
            run.free = True
            run.be_ready(now, run.seen[self.me])
            return None
        if now - run.since >= run.release.start_timeout:
            seconds = f"{run.release.start_timeout:.0f} s"
            text = f"nodes not as planned after {seconds}: {self.looks.detail}"
            blamed = self.looks.blamed
            return Failed(blamed if blamed and blamed in run.nodes else self.me, text)
        return Progress("starting", f"ray nodes: {self.looks.detail or 'all started'}")

    def _serve(
        self, now: float, inp: GroupInput, run: Run, ray: Run | None, acts: list[Act]
    ) -> Failed | Progress | None:
        if ray:
            ray.free, ray.free_since = False, None
        waits = self._await_spawned(now, inp, run, run.nodes)
        if waits:
            return waits
        started = max(run.seen.values())
        readiness = run.release.readiness
        result = self.looks.ask(now, "completion", run, acts) if readiness else None
        if readiness is None or (result and result.ok):
            run.be_ready(now, started)
            return None
        if now - started >= run.release.start_timeout:
            what = "no completion" if readiness.engines is None else "not every engine answers"
            text = f"{what} after {run.release.start_timeout:.0f} s: {self.looks.detail}"
            return Failed(self.me, text)
        return Progress("starting", f"serve: {self.looks.detail or 'started'}")

    def _await_spawned(
        self, now: float, inp: GroupInput, run: Run, nodes: Iterable[str]
    ) -> Failed | Progress | None:
        missing = [node for node in nodes if node not in run.seen]
        if not missing:
            return None
        node = missing[0]
        view = inp.views.get(node)
        slot = view.report["slots"][run.kind] if view and view.report else {}
        why = slot["reason"] if slot.get("epoch") == run.ident.epoch else ""
        # Each node gives up by itself after `prestart`; this bound is for one that does not say so.
        if now - run.since >= self.timing.prestart + run.release.start_timeout:
            return Failed(node, f"not started after {now - run.since:.0f} s: {why}")
        return Progress("starting", f"{run.kind} on {node}: {why or 'told to start'}")
