"""The head's decisions: which process of which epoch every node shall run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.core.desired import Desired
from supervisor.core.looks import Looks
from supervisor.core.release import KINDS, Release, RestartPolicy
from supervisor.core.run import GroupInput, Run, View
from supervisor.core.slot import NOTHING, Act, Ident
from supervisor.core.stall import StallWatch
from supervisor.core.start import Failed, Progress, Start, obstacle_to_start, staging_text
from supervisor.core.timing import Timing


class Group:
    """Desired releases and what all nodes report in, a target for each node out."""

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
        self.looks = Looks(timing)
        self.stall = StallWatch(self.looks)
        self._start = Start(me, timing, self.looks)
        self._progress: Progress | None = None

    # ---- one step

    def step(self, now: float, inp: GroupInput) -> list[Act]:
        acts: list[Act] = []
        self._progress = None
        self._note_desired(inp.desired)
        self.looks.take(now, inp.results)
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
            return failure_of(node, "supervisor", f"no heartbeat from {node} {silence}")
        if view.report.get("instance") != run.instances.get(node):
            return failure_of(node, "supervisor", f"the supervisor of {node} was restarted")
        slot = view.report["slots"][run.kind]
        ended = slot.get("exit")
        if ended and ended["epoch"] == run.ident.epoch:
            return failure_of(node, run.kind, ended["reason"], ended)
        if slot.get("epoch") == run.ident.epoch and slot["state"] in ("running", "nothing"):
            run.seen.setdefault(node, now)
        elif node in run.seen:
            reason = slot.get("reason") or "it is not running any more"
            return failure_of(node, run.kind, f"stopped by {node} itself: {reason}")
        return None

    def _fail(self, now: float, inp: GroupInput, failure: dict[str, Any]) -> None:
        policy = self._policy(inp)
        self.failures += 1
        self.down = self.failures >= policy.max_failures
        self.retry_at = now + policy.delay(self.failures)
        epochs = {run.kind: run.ident.epoch for run in self._live_runs()}
        self.last_failure = {**failure, "time": inp.wall, "epochs": epochs}
        self.halt(f"{failure['process']} on {failure['node']}: {failure['reason']}")

    def _fail_run(self, now: float, inp: GroupInput, run: Run, failed: Failed) -> None:
        """A start that does not get on: nothing ended, so the last lines of what runs must tell."""
        view = inp.views.get(failed.node)
        tail = view.report["slots"][run.kind].get("tail", []) if view and view.report else []
        failure = failure_of(failed.node, run.kind, failed.reason, {"tail": tail})
        self._fail(now, inp, failure)

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
            return staging_text(self.me, kind, digest, own)
        for node in self._nodes_of(inp, own):
            view = inp.views.get(node)
            if node != self.me and view and view.fresh and view.report:
                problem = view.report["releases"].get(f"{kind}:{digest}")
                if problem != "":
                    return staging_text(node, kind, digest, problem)
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
            self.stall.forget()
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
            self._note(now, inp, ray, self._start.await_free(now, ray, acts))
            if ray.free and not ray.stopping:
                self._begin(now, inp, f"serve:{want_serve}")
        for run in self._live_runs():
            done = None
            while run.phase not in (done, "ready") and not run.stopping:
                done = run.phase
                self._note(now, inp, run, self._start.step(now, inp, run, self.runs["ray"], acts))
            if run.kind == "serve" and run.phase == "ready":
                self.stall.step(now, run, acts)

    def _note(self, now: float, inp: GroupInput, run: Run, seen: Failed | Progress | None) -> None:
        if isinstance(seen, Failed):
            self._fail_run(now, inp, run, seen)
        elif seen:
            self._progress = seen

    def _begin(self, now: float, inp: GroupInput, key: str) -> None:
        release = inp.releases.get(key)
        if not isinstance(release, Release):
            return  # it went away while what ran of it was being stopped
        nodes = self._nodes_of(inp, release)
        obstacle = obstacle_to_start(inp, release, nodes, self.me, self.sequence)
        if obstacle:
            self._progress = Progress("waiting", obstacle)
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


def failure_of(
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
