"""The pure cores, case by case: one process, one member, the group's decisions.

Does not prove that the effects deliver the facts that are made up here; test_live.py does.
"""

from __future__ import annotations

import dataclasses
import unittest
from collections.abc import Callable
from typing import Any

from simulation import TIMING, World, run_until
from supervisor.core.group import Group
from supervisor.core.judge import (
    EngineLoad,
    judge_completion,
    judge_engines,
    judge_ray,
    judge_ray_token,
    parse_metrics,
)
from supervisor.core.looks import Looks
from supervisor.core.member import MemberCore
from supervisor.core.node import NodeInput
from supervisor.core.release import KINDS, PlannedNode, Readiness, Release, RestartPolicy
from supervisor.core.run import CheckResult, GroupInput, Run
from supervisor.core.slot import NO_FACTS, NOTHING, Act, Facts, Ident, Slot
from supervisor.core.stall import StallWatch

IDENT = Ident("h", 3)
RUNS = Facts(alive=True, pid=7)
CHILD = "pid 8 (VLLM::EngineCore, state S)"


def a_release(**changes: Any) -> Release:
    world = World(0, nodes=2, topology="ray")
    return dataclasses.replace(world.releases["node0"]["serve:s1"], **changes)


def exited(code: int) -> dict[str, Any]:
    return {"exitCode": code, "signal": None, "reason": f"exited with code {code}"}


class OneSlot(unittest.TestCase):
    """A slot fed by hand: (time, wanted, facts) -> actions and state."""

    def setUp(self) -> None:
        self.slot = Slot("serve", TIMING)
        self.release: Any = a_release(stop_timeout=5.0)

    def step(self, now: float, want: Any, facts: Facts = NO_FACTS, force: bool = False) -> Any:
        acts = self.slot.step(now, want, self.release, facts, "not wanted", force)
        return [act.verb for act in acts], self.slot.state

    def start(self) -> None:
        self.assertEqual(self.step(0, IDENT), ([], "blocked"))
        self.assertEqual(self.step(0, IDENT, Facts(blocked="")), (["spawn"], "running"))
        self.assertEqual(self.step(1, IDENT, RUNS), ([], "running"))

    def test_it_starts_only_after_the_ports_were_looked_at(self) -> None:
        self.step(0, IDENT)
        self.assertEqual(self.step(0, IDENT, Facts(blocked=None)), ([], "blocked"))
        self.assertEqual(self.step(1, IDENT, Facts(blocked="port 1 is held")), ([], "blocked"))
        self.assertEqual(self.slot.reason, "port 1 is held")
        self.assertEqual(self.step(2, IDENT, Facts(blocked="")), (["spawn"], "running"))

    def test_a_port_that_stays_held_is_a_failed_start_with_its_reason(self) -> None:
        self.step(0, IDENT)
        held = Facts(blocked="port 1 is held")
        self.step(TIMING.prestart - 1, IDENT, held)
        self.assertEqual(self.step(TIMING.prestart, IDENT, held), ([], "empty"))
        assert self.slot.exit
        self.assertEqual(self.slot.exit["reason"], "not started: port 1 is held, for 20 s")
        self.assertEqual(self.slot.exit["epoch"], 3)

    def test_sigterm_then_sigkill_after_the_stop_timeout(self) -> None:
        self.start()
        self.assertEqual(self.step(10, None, RUNS), (["term"], "stopping"))
        self.assertEqual(self.step(14.9, None, RUNS), ([], "stopping"))
        self.assertEqual(self.step(15, None, RUNS), (["kill"], "killing"))
        self.assertEqual(self.step(15.1, None), ([], "empty"))

    def test_leftovers_get_their_own_sigterm_and_a_short_grace(self) -> None:
        self.start()
        self.step(10, None, RUNS)
        left = Facts(exit=exited(0), leftovers=(CHILD,))
        self.assertEqual(self.step(11, None, left), (["term"], "stopping"))
        self.assertEqual(self.step(12.9, None, left), ([], "stopping"))
        self.assertEqual(self.step(13, None, left), (["kill"], "killing"))

    def test_what_outlives_sigkill_is_stuck_named_and_killed_again(self) -> None:
        self.start()
        left = Facts(exit=exited(0), leftovers=("pid 8 (python3, state D, uninterruptible)",))
        self.step(10, None, RUNS)
        for now in (11, 13, 17):
            self.step(now, None, left)
        self.assertEqual(self.slot.state, "stuck")
        self.assertIn("serve outlives SIGKILL: pid 8 (python3, state D", self.slot.reason)
        self.assertEqual(self.step(18, Ident("h", 4), left), ([], "stuck"))
        self.assertEqual(self.step(21, None, left), (["kill"], "stuck"))
        self.assertEqual(self.step(22, None, Facts(exit=exited(0))), ([], "empty"))

    def test_an_exit_nobody_asked_for_is_remembered_and_the_rest_is_ended(self) -> None:
        self.start()
        crash = Facts(exit=exited(1), leftovers=(CHILD,), tail=("last words",))
        self.assertEqual(self.step(10, IDENT, crash), (["term"], "stopping"))
        assert self.slot.exit
        self.assertEqual((self.slot.exit["exitCode"], self.slot.exit["tail"]), (1, ["last words"]))

    def test_an_epoch_that_ended_is_never_started_again_a_newer_one_is(self) -> None:
        self.start()
        self.step(10, IDENT, Facts(exit=exited(1)))
        self.step(11, IDENT, Facts(exit=exited(1)))
        self.assertEqual(self.slot.state, "empty")
        for epoch in (1, 2, 3):
            self.assertEqual(self.step(12, Ident("h", epoch)), ([], "empty"))
        self.assertEqual(self.step(13, Ident("h", 4)), ([], "blocked"))

    def test_another_epoch_of_the_same_release_replaces_the_process(self) -> None:
        self.start()
        self.assertEqual(self.step(10, Ident("h", 4), RUNS), (["term"], "stopping"))

    def test_a_node_without_a_command_runs_nothing(self) -> None:
        self.release = a_release(command=None)
        self.assertEqual(self.step(0, IDENT), ([], "nothing"))
        self.assertEqual(self.step(1, None), ([], "empty"))

    def test_a_release_that_is_missing_or_broken_is_not_started(self) -> None:
        self.release = None
        self.assertEqual(self.step(0, IDENT), ([], "empty"))
        self.assertEqual(self.slot.reason, "serve release h is not staged here")
        self.release = "needs runtime x"
        self.step(1, IDENT)
        self.assertEqual(self.slot.reason, "needs runtime x")

    def test_force_kills_at_once(self) -> None:
        self.start()
        self.step(10, None, RUNS)
        self.assertEqual(self.step(10.1, None, RUNS, force=True), (["kill"], "killing"))


class OneMember(unittest.TestCase):
    def setUp(self) -> None:
        self.member = MemberCore("node1", "i1", TIMING)
        releases = World(0, nodes=2, topology="ray").releases["node1"]
        self.input = NodeInput({"ray": Facts(blocked="")}, releases)

    def target(self, now: float, epoch: int | None, sequence: int = 1) -> None:
        ray = {"hash": "r1", "epoch": epoch} if epoch else None
        self.member.on_target(
            now, {"sequence": sequence, "target": {"ray": ray, "serve": None}, "group": {}}
        )

    def verbs(self, now: float) -> list[str]:
        return [act.verb for act in self.member.step(now, self.input)]

    def test_it_runs_nothing_before_the_head_spoke(self) -> None:
        self.assertEqual(self.verbs(0), [])
        self.assertEqual(self.member.report()["ack"], -1)

    def test_it_follows_the_target_and_confirms_it_with_what_it_did(self) -> None:
        self.target(0, 5, sequence=9)
        self.assertEqual(self.member.report()["ack"], -1)
        self.assertEqual(self.verbs(0) + self.verbs(0.1), ["spawn"])
        report = self.member.report()
        self.assertEqual((report["ack"], report["slots"]["ray"]["epoch"]), (9, 5))

    def test_it_stops_when_the_head_is_silent_for_t_and_says_why(self) -> None:
        self.target(0, 5)
        self.verbs(0)
        self.verbs(0.1)
        self.input.facts = {"ray": RUNS}
        self.assertEqual(self.verbs(TIMING.lease - 0.1), [])
        self.assertEqual(self.verbs(TIMING.lease), ["term"])
        reason = self.member.report()["slots"]["ray"]["reason"]
        self.assertEqual(reason, "no word from the head for 10 s")

    def test_a_short_break_of_the_connection_stops_nothing_but_is_not_confirmed(self) -> None:
        self.target(0, 5)
        self.verbs(0)
        self.verbs(0.1)
        self.input.facts = {"ray": RUNS}
        self.member.on_disconnect("reset")
        self.assertEqual(self.verbs(3), [])
        self.assertEqual(self.member.report()["ack"], -1)
        self.assertIn("no connection to the head: reset", self.member.status(3)["reason"])

    def test_a_drain_ends_serve_before_ray(self) -> None:
        serve = {"hash": "s1", "epoch": 6}
        ray = {"hash": "r1", "epoch": 5}
        self.input.releases = World(0, nodes=2, topology="ray").releases["node0"]
        self.member.on_target(
            0, {"sequence": 1, "target": {"ray": ray, "serve": serve}, "group": {}}
        )
        self.input.facts = {kind: Facts(blocked="") for kind in KINDS}
        self.verbs(0)
        self.verbs(0.1)
        self.input.facts = {kind: RUNS for kind in KINDS}
        self.input.draining = True
        acts = self.member.step(1, self.input)
        self.assertEqual([(act.verb, act.kind) for act in acts], [("term", "serve")])
        self.input.facts = {"ray": RUNS}
        self.member.step(2, self.input)
        acts = self.member.step(2.1, self.input)
        self.assertEqual([(act.verb, act.kind) for act in acts], [("term", "ray")])
        self.assertTrue(self.member.report()["leaving"])
        self.input.facts = {}
        self.member.step(3, self.input)
        self.assertTrue(self.member.finished)


class TheGroup(unittest.TestCase):
    """A simulated group of two, without random faults."""

    def setUp(self) -> None:
        self.world = World(3, nodes=2, topology="ray")
        self.world.calm = True
        self.world.want("running", "r1", "s1")

    @property
    def group(self) -> Group:
        return self.world.head.core.group

    def until(self, truth: Callable[[], Any], seconds: float = 120) -> None:
        text = lambda: f"{self.group.state}: {self.group.reason}"  # noqa: E731
        self.assertTrue(run_until(self.world, truth, seconds), text())

    def until_ready(self) -> None:
        self.until(lambda: self.world.head.core and self.group.state == "ready")

    def until_reason(self, text: str) -> None:
        self.until(lambda: text in self.group.reason)

    def test_a_member_supervisor_that_restarts_fails_the_run_and_gets_no_old_target(self) -> None:
        self.until_ready()
        member = self.world.nodes["node1"]
        # Its processes die with it, and it is back before any time-out.
        self.world.disconnect(member)
        member.processes = {"ray": None, "serve": None}
        member.boot(self.world.now)
        self.until(lambda: self.group.last_failure)
        assert self.group.last_failure
        self.assertEqual(self.group.last_failure["reason"], "the supervisor of node1 was restarted")
        self.until_ready()
        assert self.group.runs["ray"]
        self.assertEqual(self.group.runs["ray"].ident.epoch, 3)

    def test_a_restarted_member_is_never_told_an_epoch_that_its_predecessor_was_told(self) -> None:
        self.until(lambda: self.group.targets.get("node1", NOTHING)["ray"])
        report = dict(self.world.nodes["node1"].core.report(), instance="another")
        self.world.head.core.on_report(self.world.now, "node1", report)
        self.world._step_node(self.world.head)
        self.assertEqual(self.group.targets["node1"], NOTHING)

    def test_a_ray_that_is_not_as_planned_gets_no_serve_and_is_given_up(self) -> None:
        blame = {"node": "node1"}
        self.world._judge = lambda check: CheckResult(  # type: ignore[method-assign]
            check.number, check.what == "health", "node1 has not joined Ray", blame
        )
        self.until_reason("ray nodes: node1 has not joined Ray")
        self.until(lambda: self.group.last_failure)
        assert self.group.last_failure
        self.assertEqual(self.group.last_failure["node"], "node1")
        reason = self.group.last_failure["reason"]
        self.assertEqual(reason, "nodes not as planned after 40 s: node1 has not joined Ray")
        self.assertFalse(any(node.processes["serve"] for node in self.world.nodes.values()))

    def test_npus_that_stay_taken_after_a_serve_fail_the_group(self) -> None:
        self.until_ready()
        self.world._truth_probe = lambda release: False  # type: ignore[method-assign]
        self.world.want("running", "r1", "s2")
        self.until_reason("before serve: no probe")
        self.until(lambda: self.group.last_failure)
        assert self.group.last_failure
        reason = self.group.last_failure["reason"]
        self.assertEqual(reason, "not free for a new serve after 20 s: no probe")
        self.until(lambda: not self.world.live("ray"))

    def test_a_start_that_takes_too_long_shows_the_last_lines_of_what_runs(self) -> None:
        self.world._truth_completion = lambda release: False  # type: ignore[method-assign]
        self.until(lambda: self.group.last_failure)
        assert self.group.last_failure
        self.assertEqual(self.group.last_failure["process"], "serve")
        self.assertEqual(
            self.group.last_failure["reason"], "no completion after 40 s: no completion"
        )

    def test_back_off_doubles_up_to_its_limit_then_the_group_is_down_until_asked_again(
        self,
    ) -> None:
        self.world._truth_health = lambda release: False  # type: ignore[method-assign]
        self.until(lambda: self.group.state == "backoff" and "next start" in self.group.reason)
        self.until(lambda: self.group.state == "down", 400)
        self.assertIn("gave up after 3 failures in a row", self.group.reason)
        run_until(self.world, lambda: False, 60)
        self.assertEqual((self.group.state, self.world.live("ray")), ("down", []))
        del self.world._truth_health
        self.world.want("running", "r1", "s1")
        self.until_ready()
        self.assertEqual(self.group.failures, 0)

    def test_failures_are_forgotten_after_the_group_was_ready_for_long(self) -> None:
        self.until_ready()
        self._crash("node0", "serve")
        self.until(lambda: self.group.failures == 1)
        self.until_ready()
        self.assertEqual(self.group.failures, 1)
        run_until(self.world, lambda: False, TIMING.reset + 5)
        self.assertEqual((self.group.state, self.group.failures), ("ready", 0))

    def test_a_process_that_ended_is_blamed_before_silence(self) -> None:
        self.until_ready()
        head = self.world.head.core
        views = head._views(self.world.now, head.node.slots)
        slots = views["node0"].report["slots"]
        slots["ray"]["exit"] = {**exited(1), "epoch": 1, "tail": []}
        views["node1"] = views["node1"]._replace(fresh=False)
        inp = GroupInput(self.world.desired, self.world.releases["node0"], views, 2)
        self.group._watch(self.world.now, inp)
        assert self.group.last_failure
        self.assertEqual(self.group.last_failure["node"], "node0")

    def test_a_head_that_lost_its_disk_starts_above_the_epochs_its_members_remember(self) -> None:
        self.until_ready()
        self.world.epoch_on_disk = 0
        self.world.head.power_off(self.world.now, 1)
        self.world.require = lambda *_: None  # type: ignore[method-assign]
        run_until(self.world, lambda: False, 5)
        self.until_ready()
        assert self.group.runs["ray"]
        self.assertGreater(self.group.runs["ray"].ident.epoch, 1)

    def test_an_epoch_that_cannot_be_written_is_not_used_and_the_cause_is_told(self) -> None:
        self.world.disk_full_until = 30
        self.until_reason("cannot write out/epoch: no space left on device")
        self.assertEqual(self.world.live("ray"), [])
        self.until_ready()

    def test_leftovers_that_cannot_be_killed_are_reported_and_nothing_starts_on_them(self) -> None:
        self.until_ready()
        process = self.world.nodes["node1"].processes["ray"]
        assert process
        process.lingers, process.immortal_until = 1e9, self.world.now + 60
        process.end(self.world.now, 1, None)
        self.until_reason("node1: ray outlives SIGKILL: pid 2")
        status = self.world.head.core.status(self.world.now)
        self.assertIn("node1: ray outlives SIGKILL", status["warnings"][0])
        self.assertEqual(status["members"]["node1"]["ray"], "stopping")
        self.assertEqual([name for name, _ in self.world.live("ray")], ["node1"])
        self.until_ready()

    def test_a_release_that_vanishes_while_it_is_being_replaced_is_waited_for(self) -> None:
        self.until_ready()
        self.world.want("running", "r1", "s2")
        self.until(lambda: self.group.runs["serve"] and self.group.runs["serve"].stopping)
        for key in ("serve:s1", "serve:s2"):
            self.world.head.staged_at[key] = 1e9
        self.until(lambda: not self.world.live("serve"))
        run_until(self.world, lambda: False, 10)
        self.assertEqual(self.group.reason, "node0 has no serve release s2: stage it there")
        self.assertEqual(self.world.live("serve"), [])
        self.world.head.staged_at = {}
        self.until_ready()

    def test_a_lost_release_file_does_not_stop_what_runs(self) -> None:
        self.until_ready()
        for node in self.world.nodes.values():
            node.staged_at = {"serve:s1": 1e9, "ray:r1": 1e9}
        run_until(self.world, lambda: False, 20)
        self.assertEqual(self.group.state, "ready")

    def test_a_stall_is_reported_only_when_requests_run_and_no_token_comes(self) -> None:
        release = a_release(readiness=Readiness("u", "m", "p", 1, 5, 10.0, 60.0))
        looks = Looks(TIMING)
        stall = StallWatch(looks)
        run = Run(release, 1, ("node0",), 0.0)
        run.phase = "ready"

        def watch(now: float, ok: bool, tokens: float, running: float) -> str:
            acts: list[Act] = []
            stall.step(now, run, acts)
            for act in acts:
                data = {"engines": {"0": EngineLoad(9, 0), "1": EngineLoad(tokens, running)}}
                looks.take(now, [CheckResult(act.data.number, ok, "timed out", data)])
            stall.step(now, run, [])
            return stall.warning

        self.assertEqual(watch(0, False, 5, 3), "")
        for now in (10, 30, 50):
            self.assertEqual(watch(now, False, 5, 3), "")
        self.assertIn(
            "stalled: engine 1: no completion and no generated token for 60 s",
            watch(70, False, 5, 3),
        )
        self.assertEqual(watch(90, False, 6, 3), "")
        self.assertIn("stalled", watch(110, False, 6, 3) + watch(170, False, 6, 3))
        self.assertEqual(watch(190, False, 6, 0), "")
        self.assertEqual(watch(210, True, 6, 3), "")

    def _crash(self, node: str, kind: str) -> None:
        process = self.world.nodes[node].processes[kind]
        assert process
        process.end(self.world.now, 1, None)


class Judgements(unittest.TestCase):
    PLANNED = (PlannedNode("node0", "10.0.0.1", 8), PlannedNode("node1", "10.0.0.2", 8))

    def seen(self, *nodes: tuple[str, bool, float], free: float = 16) -> dict[str, Any]:
        return {
            "nodes": [{"address": a, "alive": alive, "npus": n} for a, alive, n in nodes],
            "freeNpus": free,
        }

    def test_ray_nodes_are_compared_with_the_plan(self) -> None:
        good = ("10.0.0.1", True, 8.0), ("10.0.0.2", True, 8.0)
        cases: list[tuple[Any, str]] = [
            (self.seen(*good), ""),
            (self.seen(*good, ("10.0.0.2", False, 0)), ""),
            (self.seen(good[0]), "node1 (10.0.0.2) has not joined Ray; alive: 10.0.0.1"),
            (
                self.seen(good[0], ("10.0.0.2", False, 8)),
                "node1 (10.0.0.2) has not joined Ray; alive: 10.0.0.1",
            ),
            (
                self.seen(good[0], ("10.0.0.2", True, 0)),
                "node1 offers 0 NPUs to Ray, planned are 8",
            ),
            (self.seen(*good, ("10.0.0.9", True, 8)), "unplanned nodes in Ray: 10.0.0.9"),
            (self.seen(*good, free=12), "12 of 16 NPUs are free in Ray"),
        ]
        for seen, problem in cases:
            self.assertEqual(judge_ray(self.PLANNED, seen)[0], problem)

    def test_a_ray_that_ignores_the_planned_token_is_refused(self) -> None:
        token = {"RAY_AUTH_MODE": "token"}
        self.assertEqual(judge_ray_token({}, "2.48.0"), "")
        for version in ("2.52.0", "2.52.0rc1", "2.100.1", "3.0.0"):
            self.assertEqual(judge_ray_token(token, version), "")
        for version in ("2.48.0", "2.51.1", "1.99.0", ""):
            self.assertIn("has no token authentication", judge_ray_token(token, version))

    def test_only_an_answer_with_a_choice_is_a_completion(self) -> None:
        good = [
            b'{"choices": [{"text": "hi"}]}',
            b'{"choices": [{"text": "", "finish_reason": "length"}]}',
        ]
        bad = [b"", b"ok", b"{}", b'{"choices": []}', b'{"choices": [{"text": ""}]}', b"[1]"]
        self.assertEqual([judge_completion(body) for body in good], ["", ""])
        for body in bad:
            self.assertIn("the answer holds no completion", judge_completion(body))

    def test_metrics_are_read_by_engine(self) -> None:
        text = (
            "# HELP vllm:generation_tokens_total x\n"
            'vllm:generation_tokens_total{engine="0",model_name="a b"} 1.5e+03\n'
            'vllm:generation_tokens_total{engine="1"} 5.0\n'
            'vllm:num_requests_running{model_name="a",engine="0"} 2.0\n'
            'vllm:num_requests_running{engine="1"} 0.0\n'
            'vllm:num_requests_running{engine="2"} 0.0\n'
            'vllm:num_requests_running_other{engine="0"} 9.0\n'
        )
        self.assertEqual(
            parse_metrics(text), {"0": EngineLoad(1500.0, 2.0), "1": EngineLoad(5.0, 0.0)}
        )

    def test_engines_are_compared_with_the_data_parallel_size(self) -> None:
        cases = [
            (2, ["0", "1"], ""),
            (12, [str(number) for number in range(12)], ""),
            (2, ["0"], "/metrics shows engines 0; planned are 0, 1"),
            (2, ["0", "1", "2"], "/metrics shows engines 0, 1, 2; planned are 0, 1"),
            (1, [], "/metrics shows no engine (is --disable-log-stats set?); planned are 0"),
        ]
        for planned, seen, problem in cases:
            self.assertEqual(judge_engines(planned, seen), problem)

    def test_back_off_doubles_up_to_its_maximum(self) -> None:
        policy = RestartPolicy()
        self.assertEqual([policy.delay(n) for n in (1, 2, 3, 6, 99)], [2, 4, 8, 60, 60])


if __name__ == "__main__":
    unittest.main()
