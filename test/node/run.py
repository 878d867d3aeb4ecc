"""Runs the Python tests of this folder, each class in a process of its own, some at a time.

usage: run.py [CLASS...]      CLASS = module.Class; prints {"id", "ok", "seconds", "text"} per test
       run.py --list          prints one id per line
       run.py --check         exit code 0 when this Python can run them
"""

from __future__ import annotations

import concurrent.futures
import http.server  # noqa: F401  the stand-ins need it; a reduced Python has not got it
import json
import os
import subprocess
import sys
import time
import traceback
import unittest
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
PYCACHE = CHECKOUT / ".cache" / "pycache"
CLASS_DEADLINE_SEC = 150 * float(os.environ.get("SUPERVISOR_TEST_PATIENCE", "1"))
# The live tests mostly wait, the schedules compute.
AT_A_TIME = 4


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        return 0 if sys.version_info >= (3, 10) else 1
    # Nothing is written beside the sources.
    sys.pycache_prefix = os.environ.setdefault("PYTHONPYCACHEPREFIX", str(PYCACHE))
    # So that tests import the package `supervisor` as the launcher does.
    sys.path.insert(0, str(CHECKOUT / "node"))
    if sys.argv[1:2] == ["--class"]:
        return run_class(sys.argv[2])
    ids = [test.id() for test in tests(unittest.defaultTestLoader.discover(str(HERE)))]
    if sys.argv[1:] == ["--list"]:
        print("\n".join(ids))
        return 0
    classes = list(dict.fromkeys(name.rpartition(".")[0] for name in ids))
    chosen = [name for name in classes if not sys.argv[1:] or name in sys.argv[1:]]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(lambda name: run_apart(name, ids), sorted(chosen, key=weight)))
    return 0 if all(results) else 1


def weight(name: str) -> int:
    """The long ones first, so that none is left alone at the end."""
    order = [
        "test_live.WithoutRay",
        "test_live.Lost",
        "test_live.Change",
        "test_schedules",
        "test_live",
    ]
    return next((at for at, prefix in enumerate(order) if name.startswith(prefix)), len(order))


def tests(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests(item)
        else:
            yield item


def run_apart(name: str, ids: list[str]) -> bool:
    command = [sys.executable, str(Path(__file__).resolve()), "--class", name]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        out, _ = child.communicate(timeout=CLASS_DEADLINE_SEC)
        problem = f"ended with {child.returncode}"
    except subprocess.TimeoutExpired:
        child.kill()
        out, _ = child.communicate()
        problem = f"did not end within {CLASS_DEADLINE_SEC:.0f} s"
    seen = {}
    for line in out.splitlines():
        if line.startswith('{"id": '):
            seen[json.loads(line)["id"]] = line
    good = True
    for test in [item for item in ids if item.rpartition(".")[0] == name]:
        missing = {
            "id": test,
            "ok": False,
            "seconds": 0,
            "text": f"{name} {problem}\n{out[-4000:]}",
        }
        line = seen.get(test) or json.dumps(missing)
        good = good and json.loads(line)["ok"]
        print(line, flush=True)
    return good


def run_class(name: str) -> int:
    os.chdir(HERE)
    sys.path.insert(0, str(HERE))
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    result = JsonResult()
    suite.run(result)
    # Errors of setUpClass: run_apart sees the tests missing and shows what is printed here.
    for test, text in result.errors:
        if not isinstance(test, unittest.TestCase) or not hasattr(test, "_testMethodName"):
            print(text)
    return 0 if result.wasSuccessful() else 1


class JsonResult(unittest.TestResult):
    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._texts: list[str] = []
        self._started = time.monotonic()

    def addError(self, test: unittest.TestCase, err) -> None:
        super().addError(test, err)
        self._note(err)

    def addFailure(self, test: unittest.TestCase, err) -> None:
        super().addFailure(test, err)
        self._note(err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err) -> None:
        super().addSubTest(test, subtest, err)
        if err:
            self._note(err)

    def stopTest(self, test: unittest.TestCase) -> None:
        seconds = round(time.monotonic() - self._started, 2)
        text = "\n".join(self._texts)
        print(
            json.dumps({"id": test.id(), "ok": not text, "seconds": seconds, "text": text}),
            flush=True,
        )
        super().stopTest(test)

    def _note(self, err) -> None:
        if hasattr(self, "_texts"):
            self._texts.append("".join(traceback.format_exception(*err)))


if __name__ == "__main__":
    sys.exit(main())
