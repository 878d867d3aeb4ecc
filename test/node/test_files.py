"""What is read from and written to disk: releases, desired, logs, secrets."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import unittest
from pathlib import Path
from typing import Any

from supervisor.client import Refused, locked
from supervisor.core.fields import BadFile
from supervisor.core.release import Release, RestartPolicy, parse_release
from supervisor.files import DesiredFile, Layout, ReleaseStore, read_epoch, write_atomically
from supervisor.logs import TAIL_LINES, LogPump, Redactor, RotatingFile
from supervisor.ports import port_problem
from supervisor.text import TAIL_LINE_CHARS


READY = {"url": "http://10.0.0.1:8000", "model": "m", "prompt": "p"}


def raw_release(**changes: Any) -> dict[str, Any]:
    release = {
        "kind": "ray",
        "hash": "r1",
        "runtime": "rt",
        "cluster": "c",
        "node": "node0",
        "role": "head",
        "nodes": [{"name": "node0", "address": "10.0.0.1", "npus": 8}],
        "env": {"HCCL_IF_IP": "10.0.0.1"},
        "command": ["ray", "start"],
        "rayAddress": "10.0.0.1:6379",
        "startTimeoutSec": 180,
        **changes,
    }
    return {key: value for key, value in release.items() if value != "absent"}


class WithFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Releases(WithFolder):
    def test_a_release_of_the_plan_is_read_with_its_defaults(self) -> None:
        release = parse_release(raw_release())
        self.assertEqual(
            (release.address, release.stop_timeout, release.ports), ("10.0.0.1", 30, ())
        )
        self.assertEqual(release.restart, RestartPolicy(5, 2, 60))
        self.assertIsNone(parse_release(raw_release(command=None, rayAddress=None)).command)

    def test_what_is_wrong_is_named_by_its_field(self) -> None:
        cases: list[tuple[Any, str]] = [
            ([], "must be a JSON object, got list"),
            (raw_release(kind="pod"), 'kind: must be "ray" or "serve", got "pod"'),
            (raw_release(hash="absent"), "hash: is missing"),
            (raw_release(command=[]), "command: must be null or a list of at least one string"),
            (raw_release(command=["ray", 1]), "command: must be null or a list"),
            (raw_release(command="ray start"), "command: must be a list, got str"),
            (raw_release(env={"A": 1}), "env.A: must be a string"),
            (raw_release(startTimeoutSec=-1), "startTimeoutSec: must be a number >= 0, got -1"),
            (raw_release(ports=[0]), "ports: must be numbers 1-65535, got 0"),
            (raw_release(secretEnv={"K": "../../etc/shadow"}), "secretEnv: must name a file"),
            (raw_release(rayAddress="absent"), "rayAddress: is missing"),
            (raw_release(nodes=[{"name": "node0"}]), "address: is missing"),
            (raw_release(readiness={"url": "http://x"}), "model: is missing"),
            (raw_release(readiness={"url": "x:1"}), "readiness.url: must be http://ADDRESS:PORT"),
            (
                raw_release(readiness={**READY, "engines": 0}),
                "engines: must be a whole number >= 1",
            ),
            (raw_release(readiness={**READY, "engines": 1.5}), "engines: must be a whole"),
        ]
        for raw, text in cases:
            with self.assertRaises(BadFile) as caught:
                parse_release(raw)
            self.assertIn(text, str(caught.exception))

    def test_a_release_made_for_something_else_is_reported_not_started(self) -> None:
        layout = Layout(self.folder)
        layout.releases.mkdir(parents=True)
        files = {
            "ray-r1.json": raw_release(),
            "ray-r2.json": raw_release(hash="r2", runtime="other"),
            "ray-r3.json": raw_release(hash="r3", cluster="d"),
            "ray-r4.json": raw_release(),
            "notes.txt": "x",
        }
        for name, content in files.items():
            (layout.releases / name).write_text(json.dumps(content))
        (layout.releases / "ray-r5.json").write_text("{")
        store = ReleaseStore(layout, "c", "node0", "rt")
        found = store.releases(0)
        self.assertEqual(sorted(found), [f"ray:r{number}" for number in range(1, 6)])
        self.assertIsInstance(found["ray:r1"], Release)
        self.assertIn("needs runtime other, this container is rt", found["ray:r2"])
        self.assertIn("was made for node node0 of cluster d", found["ray:r3"])
        self.assertIn("holds ray release r1, which is not its file name", found["ray:r4"])
        self.assertIn("is not JSON", found["ray:r5"])
        (layout.releases / "ray-r2.json").write_text(json.dumps(raw_release(hash="r2")))
        (layout.releases / "ray-r5.json").unlink()
        found = store.releases(10)
        self.assertIsInstance(found["ray:r2"], Release)
        self.assertNotIn("ray:r5", found)


class Desires(WithFolder):
    def test_a_damaged_file_keeps_what_was_desired_and_is_reported(self) -> None:
        file = DesiredFile(self.folder / "desired.json")
        self.assertIsNone(file.read())
        file.path.write_text('{"state": "running", "ray": "r1", "serve": null}')
        desired = file.read()
        assert desired
        self.assertEqual((desired.state, desired.ray, desired.serve), ("running", "r1", None))
        file.path.write_text('{"state": "paused"}')
        self.assertEqual(file.read(), desired)
        self.assertIn('must be "running" or "stopped", got "paused"', file.problem)
        file.path.unlink()
        self.assertIsNone(file.read())
        self.assertEqual(file.problem, "")

    def test_the_epoch_counter_falls_back_to_the_last_status_when_damaged(self) -> None:
        layout = Layout(self.folder)
        layout.out.mkdir()
        self.assertEqual(read_epoch(layout), 0)
        write_atomically(layout.epoch, "41\n", durable=True)
        self.assertEqual(read_epoch(layout), 41)
        layout.epoch.write_text("")
        layout.status.write_text('{"ray": {"epoch": 7}, "serve": {"epoch": null}}')
        self.assertEqual(read_epoch(layout), 7)
        self.assertEqual(sorted(os.listdir(layout.out)), ["epoch", "status.json"])

    def test_a_commit_lock_names_who_holds_it(self) -> None:
        path = self.folder / "commit.lock"
        with locked(path, 0, "another commit is under way"):
            with self.assertRaisesRegex(Refused, rf"under way \(pid {os.getpid()} since"):
                with locked(path, 0, "another commit is under way"):
                    self.fail("locked twice")
        with locked(path, 0, "free again"):
            pass


class Logs(WithFolder):
    def test_secrets_are_replaced_also_when_they_were_rotated(self) -> None:
        (self.folder / "api-key").write_text("sk-first-key\n")
        (self.folder / "short").write_text("ab")
        redactor = Redactor(self.folder)
        self.assertEqual(redactor.text("key sk-first-key, ab"), "key [redacted], ab")
        (self.folder / "api-key").write_text("sk-second")
        redactor._read_at = -1e9
        self.assertEqual(
            redactor.deep({"a": ["sk-first-key", 1, None], "b": ("sk-second",)}),
            {"a": ["[redacted]", 1, None], "b": ["[redacted]"]},
        )

    def test_a_log_rotates_by_size_and_keeps_three_files(self) -> None:
        file = RotatingFile(self.folder / "log" / "ray.log", limit=10)
        for number in range(6):
            file.write(b"line %d\n" % number)
        names = sorted(os.listdir(self.folder / "log"))
        self.assertEqual(names, ["ray.log", "ray.log.1", "ray.log.2"])
        self.assertEqual((self.folder / "log" / "ray.log").read_text(), "line 5\n")
        self.assertEqual((self.folder / "log" / "ray.log.2").read_text(), "line 3\n")

    def test_a_log_that_cannot_be_written_is_reported_and_stops_nothing(self) -> None:
        (self.folder / "log").write_text("a file where a folder should be")
        file = RotatingFile(self.folder / "log" / "ray.log")
        file.write(b"x\n")
        self.assertIn("cannot write ray.log", file.problem)

    def test_the_tail_is_the_last_30_lines_bounded_and_printable(self) -> None:
        read_end, write_end = os.pipe()
        pump = LogPump(read_end, RotatingFile(self.folder / "ray.log"))
        pump.start()
        for number in range(40):
            os.write(write_end, b"line %d\n" % number)
        os.write(write_end, b"1%\r50%\r100%\r\n\x1b[31mred\n" + b"x" * 3000 + b"\n\nno newline")
        os.close(write_end)
        pump.join(5)
        tail = pump.tail()
        self.assertEqual(len(tail), TAIL_LINES)
        self.assertEqual(tail[-1], "no newline")
        self.assertEqual(tail[-4:-2], ("100%", "[31mred"))
        self.assertEqual(len(tail[-2]), TAIL_LINE_CHARS + 1)
        self.assertEqual(tail[0], "line 14")


class Ports(unittest.TestCase):
    def test_a_listener_is_an_obstacle_a_closed_one_is_not(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            nodes = [{"name": "node0", "address": "127.0.0.1", "npus": 0}]
            release = parse_release(raw_release(nodes=nodes, ports=[port]))
            text = port_problem(release)
            self.assertIn(f"port {port} on 127.0.0.1 is held by pid {os.getpid()} (", text)
        self.assertEqual(port_problem(release), "")

    def test_an_address_that_is_not_here_is_named(self) -> None:
        nodes = [{"name": "node0", "address": "192.0.2.1", "npus": 0}]
        release = parse_release(raw_release(nodes=nodes, ports=[7777]))
        text = port_problem(release)
        self.assertIn("port 7777 on 192.0.2.1 cannot be bound: cannot assign", text)


if __name__ == "__main__":
    unittest.main()
