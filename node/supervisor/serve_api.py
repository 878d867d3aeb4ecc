"""The API of the group's `vllm serve`: completions, metrics, each engine's own answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping

from supervisor.core.judge import EngineLoad, judge_completion, judge_engines, parse_metrics
from supervisor.core.release import Readiness
from supervisor.http_client import http_exchange
from supervisor.text import last_line, os_text

METRICS_DEADLINE_SEC = 10.0
# Counters are written after the answer was sent.
COUNTER_POLL_SEC = 0.5


class ServeApi:
    """Asks as a client would. /health stays 200 while all completions hang (vLLM 0.23)."""

    def __init__(self, readiness: Readiness, api_key: str | None):
        self.readiness = readiness
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def problem(self) -> str:
        """Why the group does not serve, or "": a completion, and one of each planned engine."""
        problem = self._complete(self._headers, self.readiness.request_timeout)
        engines = self.readiness.engines
        return problem if problem or engines is None else self._engines_problem(engines)

    def engines(self) -> dict[str, EngineLoad]:
        """What `/metrics` shows, by engine. @throws OSError, ValueError"""
        url = f"{self.readiness.url}/metrics"
        code, text = http_exchange(url, METRICS_DEADLINE_SEC)
        if code != 200:
            raise ValueError(f"{url} answers {code}")
        return parse_metrics(text.decode("utf-8", "replace"))

    def _engines_problem(self, planned: int) -> str:
        until = time.monotonic() + self.readiness.request_timeout
        try:
            before = self.engines()
            problem = judge_engines(planned, before)
            silent = sorted(before, key=int) if not problem else []
            while silent:
                problem = self._complete_on(silent, until)
                seen = self.engines()
                problem = problem or judge_engines(planned, seen)
                if problem:
                    break
                silent = [name for name in silent if seen[name].tokens <= before[name].tokens]
                if silent and time.monotonic() >= until:
                    seconds = f"{self.readiness.request_timeout:.0f} s"
                    return f"no token from engine {', '.join(silent)} in {seconds} of completions"
                if silent:
                    time.sleep(COUNTER_POLL_SEC)
            return problem
        except OSError as error:
            return f"{self.readiness.url}/metrics: {os_text(error)}"
        except ValueError as error:
            return str(error)

    def _complete_on(self, engines: Iterable[str], until: float) -> str:
        """One completion on each of these engines, all at once; the first problem, or ""."""
        problems: dict[str, str] = {}
        timeout = max(1.0, until - time.monotonic())

        def complete(engine: str) -> None:
            # vLLM's own header (entrypoints/openai/engine/serving.py, 0.23). Where it is unknown, the
            # internal load balancing spreads requests that come at once.
            headers = {**self._headers, "X-data-parallel-rank": engine}
            problems[engine] = self._complete(headers, timeout)

        threads = [threading.Thread(target=complete, args=(name,), daemon=True) for name in engines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = {engine: text for engine, text in problems.items() if text}
        return next((f"engine {name}: {found[name]}" for name in sorted(found, key=int)), "")

    def _complete(self, headers: Mapping[str, str], timeout: float) -> str:
        body = {
            "model": self.readiness.model,
            "prompt": self.readiness.prompt,
            "max_tokens": self.readiness.max_tokens,
            "temperature": 0,
        }
        url = f"{self.readiness.url}/v1/completions"
        try:
            code, answer = http_exchange(url, timeout, json.dumps(body).encode(), headers)
        except OSError as error:
            return f"{url}: {os_text(error)}"
        except ValueError as error:
            return f"{url}: {error}"
        if code != 200:
            return f"{url} answers {code}: {last_line(answer[:2000].decode('utf-8', 'replace'))}"
        return judge_completion(answer)
