"""Looks outside that take time: Ray's health and nodes, what serve answers."""

from __future__ import annotations

import collections
import contextlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervisor.children import child_env
from supervisor.core.judge import judge_ray, judge_ray_token
from supervisor.core.release import Release
from supervisor.core.run import Check, CheckResult
from supervisor.files import Layout
from supervisor.processes import Reaper
from supervisor.serve_api import ServeApi
from supervisor.sockets import parse_address
from supervisor.text import last_line, os_text, signal_name

HELPER_DEADLINE_SEC = 60.0
# Read when the supervisor starts: a later staging may have removed this version's files.
PROBE_SCRIPT = Path(__file__).with_name("ray_probe.py").read_text(encoding="utf-8")


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
            return False, f"GCS {release.ray_address} does not answer: {os_text(error)}", {}
        command = ["ray", "health-check", "--address", release.ray_address]
        code, out, err = self.reaper.run_helper(
            command, child_env(release, None), HELPER_DEADLINE_SEC
        )
        if code == 0:
            return True, "healthy", {}
        return False, f"ray health-check {_helper_end(code)}: {last_line(err or out)}", {}

    def _probe(self, release: Release) -> tuple[bool, str, dict[str, Any]]:
        assert release.ray_address
        # The python3 beside the `ray` of the same PATH; ours may be another one.
        command = ["python3", "-c", PROBE_SCRIPT, release.ray_address]
        code, out, err = self.reaper.run_helper(
            command, child_env(release, None), HELPER_DEADLINE_SEC
        )
        lines = [line for line in out.splitlines() if line.startswith("{")]
        if code != 0 or not lines:
            return False, f"ray_probe {_helper_end(code)}: {last_line(err or out)}", {}
        seen = json.loads(lines[-1])
        problem, node = judge_ray(release.nodes, seen)
        problem = problem or judge_ray_token(release.env, seen["version"])
        return not problem, problem or "all nodes as planned, all NPUs free", {"node": node}

    def _completion(self, release: Release) -> tuple[bool, str, dict[str, Any]]:
        problem = self._serve_api(release).problem()
        return not problem, problem or "answers completions", {}

    def _watch(self, release: Release) -> tuple[bool, str, dict[str, Any]]:
        api = self._serve_api(release)
        problem = api.problem()
        if not problem:
            return True, "answers completions", {}
        data: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            data = {"engines": api.engines()}
        return False, problem, data

    def _serve_api(self, release: Release) -> ServeApi:
        assert release.readiness
        key_file = release.secret_env.get("VLLM_API_KEY")
        key = (self.layout.secrets / key_file).read_text(encoding="utf-8") if key_file else ""
        return ServeApi(release.readiness, key.strip())


def _helper_end(code: int | None) -> str:
    if code is None:
        return f"did not end within {HELPER_DEADLINE_SEC:.0f} s"
    return f"ended with {code}" if code >= 0 else f"was killed by {signal_name(-code)}"
