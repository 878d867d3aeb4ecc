"""Real supervisors, processes and sockets on loopback; Ray and vLLM are the stand-ins of fake/.

Does not prove that the real Ray and vLLM behave like the stand-ins; the lab tests do that.
Each class runs in a process of its own (run.py).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import unittest

from live_group import API_KEY, LEASE_SEC, PATIENCE, TOKEN, LiveGroup, environ_of


class Running(unittest.TestCase):
    """A group that is ready; these tests only look, or try what must not change anything."""

    group: LiveGroup

    @classmethod
    def setUpClass(cls) -> None:
        cls.group = LiveGroup()
        cls.addClassCleanup(cls.group.__exit__)
        cls.group.bring_up()

    def setUp(self) -> None:
        self.desired, self.processes = self.group.desired(), self.group.processes()

    def tearDown(self) -> None:
        self.assertEqual(self.group.desired(), self.desired)
        self.assertEqual(self.group.processes(), self.processes)
        self.assertTrue(self.group.is_ready())

    def test_status_says_what_runs_on_every_node(self) -> None:
        group, status = self.group, self.group.status()
        self.assertEqual(
            (
                status["schema"],
                status["cluster"],
                status["role"],
                status["state"],
                status["reason"],
            ),
            (1, "c", "head", "ready", ""),
        )
        self.assertEqual(status["ray"]["pid"], group.pids("ray", "node0")[0])
        self.assertEqual(status["serve"]["pid"], group.pids("vllm", "node0")[0])
        self.assertEqual((status["serve"]["hash"], status["serve"]["epoch"]), ("s1", 2))
        member = group.wait(lambda: group.status()["members"]["node1"])
        self.assertEqual(
            (member["connected"], member["ray"], member["serve"]), (True, "ready", "stopped")
        )
        self.assertLess(member["lastSeenSec"], 2)
        self.assertEqual(status["failures"], {"count": 0, "last": None})
        own = group.wait(
            lambda: group.status("node1")["state"] == "ready" and group.status("node1")
        )
        self.assertEqual((own["role"], own["ray"]["state"]), ("member", "ready"))
        mode = os.stat(group.base("node0") / "out/status.json").st_mode & 0o777
        self.assertEqual(mode, 0o644)
        shown = group.run("node0", "status")
        self.assertEqual(shown.code, 0)
        self.assertIn("cluster c, head node0: ready", shown.out)
        self.assertEqual(json.loads(group.run("node0", "status", "--json").out)["state"], "ready")

    def test_processes_start_in_order(self) -> None:
        head, member = self.group.status(), self.group.status("node1")
        born = [head["ray"]["started"], member["ray"]["started"], head["serve"]["started"]]
        self.assertEqual(born, sorted(born))

    def test_children_get_the_planned_environment_and_only_serve_gets_the_key(self) -> None:
        group = self.group
        ray = environ_of(group.pids("ray", "node0")[0])
        serve = environ_of(group.pids("vllm", "node0")[0])
        member = environ_of(group.pids("ray", "node1")[0])
        self.assertEqual((ray["HCCL_IF_IP"], member["HCCL_IF_IP"]), ("127.0.0.1", "127.0.0.2"))
        self.assertEqual(ray["VLLM_CLUSTER_PROCESS"], "ray:r1:1")
        self.assertEqual(serve["VLLM_CLUSTER_PROCESS"], "serve:s1:2")
        self.assertEqual(serve["VLLM_API_KEY"], API_KEY)
        self.assertEqual(ray["CONTAINER_VARIABLE"], "kept")
        for env in (ray, member, serve):
            self.assertNotIn("VLLM_CLUSTER_HIDDEN", env)
        for key, pid in group.processes().items():
            with open(f"/proc/{pid}/cmdline") as file:
                self.assertNotIn(API_KEY, file.read())
            if key.split()[0] != "vllm":
                self.assertNotIn(API_KEY, str(environ_of(pid)), key)

    def test_output_goes_to_log_files_under_a_header(self) -> None:
        text = (self.group.base("node0") / "out/log/serve.log").read_text()
        self.assertRegex(text, r'^=== \S+Z epoch 2 release s1: \["vllm", "serve", ')
        self.assertIn("vLLM on node0: serve /model", text)

    def test_a_commit_of_what_is_ready_changes_nothing_and_prints_its_facts(self) -> None:
        result = self.group.commit("serve", "s1")
        self.assertEqual(result.code, 0, result)
        facts = json.loads(result.out.splitlines()[-1])
        self.assertGreater(facts.pop("readyAfterSec"), 0)
        self.assertEqual(facts, {"kind": "serve", "release": "s1", "epoch": 2, "outages": {}})

    def test_commits_that_cannot_succeed_are_refused(self) -> None:
        group = self.group
        group.stage("serve", "foreign", runtime="other")
        group.stage("serve", "mismatch", ray="r9")
        cases = [
            (
                group.commit("serve", "s1", node="node1"),
                "node1 is a member: commit on the head of cluster c",
            ),
            (
                group.commit("serve", "unknown"),
                "node0 has no serve release unknown: stage it first",
            ),
            (group.commit("serve", "foreign"), "needs runtime other, this container is rt"),
            (
                group.commit("serve", "mismatch"),
                "it needs Ray release r9, committed is r1: commit Ray first",
            ),
            (group.commit("pods", "s1"), 'kind: must be "ray" or "serve", got "pods"'),
            (group.commit("serve", "../x"), "release: must be a release hash"),
            (group.commit("serve", "s1", deadlineSec=0), "deadlineSec: is missing"),
            (group.run("node0", "commit", stdin="{"), "is not JSON"),
        ]
        for result, text in cases:
            self.assertEqual(result.code, 1, result)
            self.assertIn(text, result.err)

    def test_a_release_that_a_member_lacks_stops_nothing_and_names_the_node(self) -> None:
        group = self.group
        group.stage("serve", "s2", nodes=["node0"])
        result = group.commit("serve", "s2", deadlineSec=1)
        self.assertEqual(result.code, 1, result)
        self.assertIn("node1 has no serve release s2", result.err)
        self.assertIn("serve release s1 keeps running", result.err)
        group.wait(group.is_ready)

    def test_strangers_on_the_group_port_are_dropped(self) -> None:
        for data in (b"GET /\r\n\r\n", b"\xff" * 1_500_000, b'{"protocol": 1, "nonce": 7}\n'):
            with socket.create_connection(("127.0.0.1", self.group.group_port)) as stranger:
                stranger.settimeout(5)
                try:
                    stranger.sendall(data)
                    while stranger.recv(4096):
                        pass
                except ConnectionError:
                    pass
        for text in ("that is not JSON", "sent a line longer than", "greets without a nonce"):
            self.group.wait(lambda text=text: text in self.group.supervisor_log())
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.3", self.group.group_port), timeout=1)

    def test_a_second_supervisor_with_the_same_name_is_refused(self) -> None:
        group = self.group
        twin = group.root / "twin"
        (twin / "in/secrets").mkdir(parents=True)
        (twin / "in/secrets/group-token").write_text(TOKEN)
        words = [word.replace(str(group.base("node1")), str(twin)) for word in group.args("node1")]
        group.launch("twin", words)
        group.wait(lambda: "node1 is connected already" in group.supervisor_log("twin"))
        group.supervisors.pop("twin").kill()

    def test_an_unplanned_member_is_refused_by_name(self) -> None:
        group = self.group
        other = group.root / "node9"
        (other / "in/secrets").mkdir(parents=True)
        (other / "in/secrets/group-token").write_text(TOKEN)
        group.launch("node9", [word.replace("node1", "node9") for word in group.args("node1")])
        text = "refuses this node: node9 is not a planned node (node0, node1)"
        group.wait(lambda: text in group.status("node9")["reason"])
        self.assertNotIn("node9", group.status()["members"])
        group.supervisors.pop("node9").kill()


class Start(unittest.TestCase):
    def test_readiness_is_a_completion_not_a_health_check(self) -> None:
        with LiveGroup() as group:
            wedge = group.fault("serve-wedged")
            group.start()
            group.stage("ray", "r1")
            group.stage("serve", "s1", startTimeoutSec=3)
            ray = group.commit("ray", "r1")
            self.assertEqual(ray.code, 0, ray)
            result = group.commit("serve", "s1", commitAttempts=1)
            self.assertEqual(result.code, 1, result)
            self.assertIn("serve on node0: no completion after 3 s", result.err)
            self.assertIn("answers 500", result.err)
            self.assertIn("  vLLM on node0: serve /model", result.err)
            self.assertIn("no serve release is desired, as before", result.err)
            wedge.unlink()
            group.stage("serve", "s1")
            self.assertEqual(group.commit("serve", "s1").code, 0)


class WithoutRay(unittest.TestCase):
    """Serve on every node: vLLM's data parallelism or multi-node multiprocessing."""

    def test_every_node_starts_at_once_and_the_group_stops_as_one(self) -> None:
        with LiveGroup(topology="multiprocessing", nodes=3) as group:
            group.bring_up()
            status = group.status()
            self.assertEqual(status["ray"]["state"], "stopped")
            self.assertFalse(status["serve"]["headless"])
            for name in group.names:
                self.assertEqual(len(group.pids("vllm", name)), 1)
            for name in ("node1", "node2"):
                group.wait(lambda name=name: group.status()["members"][name]["serve"] == "ready")
                self.assertTrue(group.status(name)["serve"]["headless"])
            shown = group.run("node0", "status").out
            self.assertIn("ray stopped, serve headless, serving through rank 0", shown)
            old = group.processes()
            os.kill(group.pids("vllm", "node2")[0], signal.SIGKILL)
            group.wait(lambda: group.is_ready(newer_than=1))
            self.assertEqual(group.status()["failures"]["last"]["node"], "node2")
            group.wait(lambda: len(group.pids("engine")) == 3)
            self.assertFalse(set(old) & set(group.processes()))

    def test_data_parallelism_is_ready_when_every_engine_has_answered(self) -> None:
        with LiveGroup(topology="data-parallel") as group:
            group.start()
            slow = 2 * PATIENCE
            group.stage("serve", "s1", startTimeoutSec=slow + 4)
            for fault, text in (
                ("engine-1-hidden", "/metrics shows engines 0; planned are 0, 1"),
                ("engine-1-mute", f"no token from engine 1 in {slow:.0f} s of completions"),
            ):
                with self.subTest(fault=fault):
                    path = group.fault(fault)
                    result = group.commit("serve", "s1", commitAttempts=1)
                    self.assertEqual(result.code, 1, result)
                    self.assertIn("serve on node0: not every engine answers after", result.err)
                    self.assertIn(text, result.err)
                    path.unlink()
            group.stage("serve", "s2")
            result = group.commit("serve", "s2")
            self.assertEqual(result.code, 0, result)
            member = group.run("node1", "status").out
            self.assertIn("serve headless, serving through rank 0, release s2", member)

    def test_a_lost_head_or_member_restarts_every_rank(self) -> None:
        with LiveGroup(topology="data-parallel") as group:
            group.fault("engine-ignores-term")
            group.bring_up()
            for node in group.names:
                with self.subTest(killed=node):
                    self._all_start_anew(group, node, "SIGKILL")
            with self.subTest(left="node1"):
                self._all_start_anew(group, "node1", "")

    def _all_start_anew(self, group: LiveGroup, node: str, signal_name: str) -> None:
        old, epoch = group.processes(), group.status()["serve"]["epoch"]
        if signal_name:
            os.kill(group.pids("vllm", node)[0], signal.Signals[signal_name])
        else:
            group.fault("headless-ends")  # by itself, with exit code 0
        group.wait(lambda: group.is_ready(newer_than=epoch))
        # Neither the headless process that outlives its head, nor an engine that ignores SIGTERM.
        self.assertFalse(set(old) & set(group.processes()), "an old process lives")
        last = group.status()["failures"]["last"]
        self.assertEqual((last["node"], last["process"]), (node, "serve"))
        exited = (None, signal_name) if signal_name else (0, None)
        self.assertEqual((last["exitCode"], last["signal"]), exited)

    def test_a_head_that_dies_while_a_member_waits_for_it_takes_the_member_along(self) -> None:
        with LiveGroup(topology="data-parallel") as group:
            fault = group.fault("head-dies-waiting")
            group.stage("serve", "s1")
            group.write_desired({"state": "running", "ray": None, "serve": "s1"})
            group.start()
            first = group.wait(lambda: group.pids("vllm", "node1"))
            last = group.wait(lambda: group.status()["failures"]["last"])
            self.assertEqual((last["node"], last["exitCode"]), ("node0", 1))
            self.assertIn("RuntimeError: the head died in the handshake", last["tail"])
            fault.unlink()
            group.wait(group.is_ready)
            self.assertFalse(set(first) & set(group.pids("vllm", "node1")))

    def test_a_member_that_reboots_is_waited_for_and_the_group_serves_again(self) -> None:
        with LiveGroup(topology="data-parallel") as group:
            group.bring_up()
            os.kill(group.supervisors["node1"].pid, signal.SIGKILL)
            group.supervisors["node1"].wait()
            # In a container the processes of a dead PID 1 end with it.
            engine = int((group.fake_dir / "engine-node1.pid").read_text())
            for pid in [*group.pids("vllm", "node1"), engine]:
                os.kill(pid, signal.SIGKILL)
            group.wait(lambda: "waiting for node1" in group.status()["reason"])
            group.wait(lambda: not group.processes())
            group.start("node1")
            group.wait(lambda: group.is_ready(newer_than=1))

    def test_a_lost_head_makes_headless_members_stop(self) -> None:
        with LiveGroup(topology="data-parallel") as group:
            group.bring_up()
            os.kill(group.supervisors["node0"].pid, signal.SIGKILL)
            group.supervisors["node0"].wait()
            engine = int((group.fake_dir / "engine-node0.pid").read_text())
            for pid in [*group.pids("vllm", "node0"), engine]:
                os.kill(pid, signal.SIGKILL)
            group.wait(lambda: not group.processes())
            group.start("node0")
            group.wait(lambda: group.is_ready(newer_than=1))


class FirstCommit(unittest.TestCase):
    def test_a_held_port_a_missing_command_and_an_absent_member_are_named(self) -> None:
        with LiveGroup() as group:
            group.start("node0")
            group.stage("ray", "r1")
            group.stage("ray", "r2", command=["no-such-ray", "start"])
            result = group.commit("ray", "r1", deadlineSec=1)
            text = "not ready after 1 s; waiting: waiting for node1 (not connected)"
            self.assertIn(text, result.err, result)
            self.assertIn("nothing is desired again, as before", result.err)
            self.assertIsNone(group.desired())
            group.wait(lambda: group.status()["state"] == "idle")

            group.start("node1")
            result = group.commit("ray", "r2", commitAttempts=1)
            self.assertIn("ray on node0: cannot start no-such-ray", result.err, result)

            with socket.socket() as holder:
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.bind(("127.0.0.1", group.ray_port))
                holder.listen()
                result = group.commit("ray", "r1", commitAttempts=1)
                text = f"port {group.ray_port} on 127.0.0.1 is held by pid {os.getpid()} ("
                self.assertIn(text, result.err, result)
                self.assertEqual(group.pids("ray"), [])
            self.assertEqual(group.commit("ray", "r1").code, 0)

    def test_too_many_failures_end_in_down_and_set_running_tries_again(self) -> None:
        with LiveGroup() as group:
            group.start()
            restart = {"maxFailures": 2, "backoffSec": 0.1}
            group.stage("ray", "r1", restart=restart, command=["false"])
            result = group.commit("ray", "r1", commitAttempts=0)
            self.assertEqual(result.code, 1, result)
            self.assertIn("2 failed starts\nray on node0: exited with code 1", result.err)
            group.write_desired({"state": "running", "ray": "r1", "serve": None})
            group.wait(lambda: group.status()["state"] == "down")
            reason = group.status()["reason"]
            self.assertIn("gave up after 2 failures in a row, the last: ray on node0", reason)
            epoch = int((group.base("node0") / "out/epoch").read_text())
            self.assertEqual(group.run("node0", "set", "running").code, 0)
            group.wait(lambda: int((group.base("node0") / "out/epoch").read_text()) > epoch)


class Change(unittest.TestCase):
    def test_a_new_serve_release_leaves_ray_alone_and_a_failed_one_is_put_back(self) -> None:
        with LiveGroup() as group:
            group.bring_up()
            rays = sorted(group.pids("ray"))
            old = group.pids("vllm") + group.pids("engine")
            words = ["vllm", "serve", "/model", "--port", str(group.http_port), "--seed", "1"]
            group.stage("serve", "s2", command=words, nodes=["node0"])
            group.stage("serve", "s2", nodes=["node1"])
            result = group.commit("serve", "s2")
            self.assertEqual(result.code, 0, result)
            self.assertEqual(sorted(group.pids("ray")), rays)
            self.assertFalse(set(old) & set(group.processes().values()))
            status = group.status()
            self.assertEqual((status["ray"]["epoch"], status["serve"]["epoch"]), (1, 3))
            outages = json.loads(result.out.splitlines()[-1])["outages"]
            self.assertEqual(list(outages), ["serve"])
            self.assertGreaterEqual(outages["serve"]["sec"], status["serve"]["readyAfterSec"])

            # Only another version of the key: a new process that has it.
            group.write_secret("node0", "api-key", API_KEY + "-rotated")
            result = group.commit("serve", "s2", secrets={"node0": "v2"})
            self.assertEqual(result.code, 0, result)
            self.assertEqual(group.status()["serve"]["epoch"], 4)
            key = environ_of(group.pids("vllm")[0])["VLLM_API_KEY"]
            self.assertEqual((key, sorted(group.pids("ray"))), (API_KEY + "-rotated", rays))

            before = group.desired()
            bad = ["vllm", "serve", "/model", "--fail-with", "no such quantization"]
            group.stage("serve", "s3", command=bad, nodes=["node0"])
            group.stage("serve", "s3", nodes=["node1"])
            result = group.commit("serve", "s3")
            self.assertEqual(result.code, 1, result)
            self.assertIn("2 failed starts", result.err)
            self.assertIn("serve on node0: exited with code 3", result.err)
            self.assertIn("  ValueError: no such quantization (key [redacted])", result.err)
            self.assertIn("serve release s2 is desired again, as before", result.err)
            self.assertEqual(group.desired(), before)
            group.wait(group.is_ready)
            self.assertEqual(group.status()["serve"]["hash"], "s2")
            for path in (group.base("node0") / "out/status.json", group.root / "node0.out"):
                self.assertNotIn(API_KEY, path.read_text())
            self.assertNotIn(API_KEY, group.supervisor_log())

    def test_a_commit_of_ray_takes_the_staged_serve_along_and_a_failure_puts_both_back(self) -> None:
        with LiveGroup() as group:
            group.bring_up()
            before = group.desired()
            bad = ["vllm", "serve", "/model", "--fail-with", "HCCL_BUFFSIZE is too large"]
            group.stage_together("r2", "s2", command=bad)
            result = group.commit("ray", "r2")
            self.assertEqual(result.code, 1, result)
            self.assertIn("commit of ray release r2 failed: 2 failed starts", result.err)
            self.assertIn("serve on node0: exited with code 3", result.err)
            self.assertIn("  ValueError: HCCL_BUFFSIZE is too large", result.err)
            self.assertIn("ray release r1 is desired again, as before: the group goes", result.err)
            self.assertEqual(group.desired(), before)
            group.wait(group.is_ready)
            self.assertEqual(self._hashes(group, "node0"), ("r1", "s1"))
            group.wait(lambda: self._hashes(group, "node1")[0] == "r1")
            # What the revert of the whole change would commit: it runs already.
            pids = group.processes()
            self.assertEqual(group.commit("ray", "r1").code, 0)
            self.assertEqual(group.processes(), pids)

            group.stage_together("r3", "s3")
            result = group.commit("ray", "r3")
            self.assertEqual(result.code, 0, result)
            self.assertEqual(self._hashes(group, "node0"), ("r3", "s3"))
            facts = json.loads(result.out.splitlines()[-1])
            self.assertEqual(list(facts["outages"]), ["ray"])
            pids = group.processes()
            result = group.commit("serve", "s3")
            self.assertEqual(result.code, 0, result)
            self.assertEqual(group.processes(), pids)

    def _hashes(self, group: LiveGroup, node: str) -> tuple[str | None, str | None]:
        status = group.status(node)
        return status["ray"]["hash"], status["serve"]["hash"]

    def test_a_container_that_is_stopped_while_it_serves_says_since_when(self) -> None:
        with LiveGroup() as group:
            group.bring_up()
            self.assertIsNone(group.status()["servedUntil"])
            group.supervisors["node0"].terminate()
            self.assertEqual(group.supervisors["node0"].wait(10 * PATIENCE), 0)
            until = group.status()["servedUntil"]
            # As when Pulumi replaces the containers: nothing that is staged fits them any more.
            for kind in ("ray", "serve"):
                group.stage(kind, f"{kind[0]}1", runtime="before")
            group.start("node0")
            group.wait(lambda: "needs runtime before" in group.status()["reason"])
            self.assertEqual(group.status()["servedUntil"], until)
            group.stage_together("r2", "s2")
            result = group.commit("ray", "r2")
            self.assertEqual(result.code, 0, result)
            outages = json.loads(result.out.splitlines()[-1])["outages"]
            self.assertEqual(list(outages), ["containers"])
            self.assertGreaterEqual(outages["containers"]["at"] - until, 0)
            group.wait(lambda: group.status()["servedUntil"] is None)
            result = group.commit("ray", "r1")
            self.assertIn("needs runtime before, this container is rt", result.err)

    def test_the_operators_switch_survives_a_restart_and_forget_stops_serve_then_ray(self) -> None:
        with LiveGroup() as group:
            group.bring_up()
            result = group.run("node0", "set", "stopped")
            self.assertEqual(result.code, 0, result)
            self.assertEqual(group.processes(), {})
            refused = group.commit("serve", "s1")
            self.assertIn("switched off by `set stopped`", refused.err)
            group.supervisors["node0"].terminate()
            self.assertEqual(group.supervisors["node0"].wait(10 * PATIENCE), 0)
            group.start("node0")
            group.wait(
                lambda: (
                    group.status()["state"] == "stopped"
                    and group.status()["members"]["node1"]["connected"]
                )
            )
            self.assertEqual(group.processes(), {})
            self.assertEqual(group.run("node0", "set", "running").code, 0)
            group.wait(group.is_ready)

            self.assertEqual(group.run("node0", "forget", "serve").code, 0)
            self.assertEqual(group.pids("vllm") + group.pids("engine"), [])
            self.assertEqual(len(group.pids("ray")), 2)
            self.assertEqual(group.run("node0", "forget", "ray").code, 0)
            self.assertEqual(group.processes(), {})
            group.wait(lambda: group.status()["state"] == "idle")

    def test_a_serve_without_ray_ends_the_ray_of_another_topology_and_the_way_back_works(self) -> None:
        with LiveGroup() as group:
            group.bring_up()
            group.topology = "mp"
            group.stage("serve", "s2")
            result = group.commit("serve", "s2")
            self.assertEqual(result.code, 0, result)
            self.assertEqual(group.pids("ray"), [])
            serve = sorted(group.pids("vllm"))
            self.assertEqual(len(serve), 2)
            # Pulumi deletes the Ray commit last, when nothing desires it any more.
            result = group.run("node0", "forget", "ray")
            self.assertEqual(result.code, 0, result)
            self.assertEqual(sorted(group.pids("vllm")), serve)

            result = group.commit("ray", "r1")
            self.assertEqual(result.code, 0, result)
            self.assertEqual(group.pids("vllm"), [])
            result = group.commit("serve", "s1")
            self.assertEqual(result.code, 0, result)
            self.assertEqual((len(group.pids("ray")), len(group.pids("vllm"))), (2, 1))


class Killed(unittest.TestCase):
    def test_the_group_serves_again_after_kill_9_of_each_process(self) -> None:
        with LiveGroup() as group:
            group.bring_up()
            for command, node, process in (
                ("ray", "node0", "ray"),
                ("ray", "node1", "ray"),
                ("vllm", "node0", "serve"),
            ):
                with self.subTest(process=process, node=node):
                    old = group.processes()
                    epoch = group.status()["serve"]["epoch"]
                    os.kill(group.pids(command, node)[0], signal.SIGKILL)
                    group.wait(lambda epoch=epoch: group.is_ready(newer_than=epoch))
                    self.assertFalse(set(old) & set(group.processes()), "an old process lives")
                    last = group.status()["failures"]["last"]
                    self.assertEqual(
                        (last["node"], last["process"], last["signal"]), (node, process, "SIGKILL")
                    )
                    self.assertTrue(last["tail"], last)

    def test_an_orphan_that_hides_and_ignores_sigterm_is_killed_before_the_next_start(self) -> None:
        with LiveGroup() as group:
            group.fault("engine-ignores-term")
            group.bring_up()
            engine = group.pids("engine")
            os.kill(group.pids("vllm")[0], signal.SIGKILL)
            group.wait(lambda: group.is_ready(newer_than=2))
            self.assertEqual(len(group.pids("engine")), 1)
            self.assertNotEqual(group.pids("engine"), engine)
            self.assertIn("SIGKILL to serve of epoch 2", group.supervisor_log())


class Lost(unittest.TestCase):
    def test_a_lost_head_makes_the_member_stop_and_its_return_starts_the_group(self) -> None:
        with LiveGroup() as group:
            group.bring_up()
            os.kill(group.supervisors["node0"].pid, signal.SIGKILL)
            group.supervisors["node0"].wait()
            # In a container the processes of a dead PID 1 end with it.
            mine = group.pids("ray", "node0") + group.pids("vllm", "node0") + group.pids("engine")
            for pid in mine:
                os.kill(pid, signal.SIGKILL)
            group.wait(lambda: not group.pids("ray", "node1"))
            status = group.wait(
                lambda: group.status("node1")["state"] == "waiting" and group.status("node1")
            )
            self.assertIn("no connection to the head: 127.0.0.1:", status["reason"])
            dead = group.run("node0", "status")
            self.assertEqual(dead.code, 1)
            self.assertIn("the supervisor of this container does not run", dead.err)
            group.start("node0")
            group.wait(lambda: group.is_ready(newer_than=2))

    def test_a_silent_member_makes_the_group_stop_and_wait_for_it(self) -> None:
        with LiveGroup() as group:
            group.bring_up()
            os.kill(group.supervisors["node1"].pid, signal.SIGSTOP)
            group.wait(lambda: "waiting for node1" in group.status()["reason"])
            self.assertEqual(group.pids("vllm") + group.pids("ray", "node0"), [])
            last = group.status()["failures"]["last"]
            self.assertEqual(last["reason"], f"no heartbeat from node1 for {LEASE_SEC} s")
            os.kill(group.supervisors["node1"].pid, signal.SIGCONT)
            group.wait(lambda: group.is_ready(newer_than=2))
            self.assertEqual(len(group.pids("ray", "node1")), 1)


class Drain(unittest.TestCase):
    def test_sigterm_to_a_member_counts_no_failure_and_sigterm_to_the_head_drains_all(self) -> None:
        with LiveGroup() as group:
            group.bring_up()
            group.supervisors["node1"].terminate()
            self.assertEqual(group.supervisors["node1"].wait(10 * PATIENCE), 0)
            self.assertEqual(group.pids("ray", "node1"), [])
            group.wait(
                lambda: "waiting for node1" in group.status()["reason"] and not group.processes()
            )
            self.assertEqual(group.status()["failures"]["count"], 0)
            group.start("node1")
            group.wait(lambda: group.is_ready(newer_than=2))

            group.supervisors["node0"].terminate()
            self.assertEqual(group.supervisors["node0"].wait(10 * PATIENCE), 0)
            self.assertEqual(group.processes(), {})
            self.assertEqual(group.status()["state"], "stopped")
            log = group.supervisor_log().rpartition(" ready\n")[2]
            self.assertLess(log.index("SIGTERM to serve"), log.index("SIGTERM to ray"))

    def test_a_second_sigterm_kills_what_takes_its_time(self) -> None:
        with LiveGroup() as group:
            stubborn = ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"]
            group.stage("ray", "r1", stopTimeoutSec=60, command=stubborn)
            group.write_desired({"state": "running", "ray": "r1", "serve": None})
            group.start()
            group.wait(lambda: group.pids("-c", "node0"))
            head = group.supervisors["node0"]
            head.terminate()
            group.wait(lambda: "SIGTERM to ray" in group.supervisor_log())
            with self.assertRaises(subprocess.TimeoutExpired):
                head.wait(0.5)
            head.terminate()
            self.assertEqual(head.wait(5 * PATIENCE), 0)
            self.assertEqual(group.pids("-c", "node0"), [])


class Admission(unittest.TestCase):
    def test_a_wrong_token_keeps_a_member_out_and_the_right_one_lets_it_in(self) -> None:
        with LiveGroup() as group:
            group.write_secret("node1", "group-token", "another-token")
            group.start()
            text = "its group token or cluster name differs"
            group.wait(lambda: text in group.supervisor_log())
            group.wait(lambda: "does the group token differ" in group.status("node1")["reason"])
            self.assertEqual(group.status()["members"], {})
            group.write_secret("node1", "group-token", TOKEN)
            group.wait(lambda: group.status()["members"]["node1"]["connected"])

    def test_a_head_that_cannot_listen_says_so_and_keeps_trying(self) -> None:
        with LiveGroup() as group:
            with socket.socket() as blocker:
                blocker.bind(("127.0.0.1", group.group_port))
                blocker.listen()
                group.start("node0")
                group.wait(lambda: "cannot listen on 127.0.0.1" in str(group.status()["warnings"]))
            group.wait(lambda: not group.status()["warnings"])


if __name__ == "__main__":
    unittest.main()
