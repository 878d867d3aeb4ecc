"""`commit`: makes one release desired and waits until it is ready, else puts the old back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from supervisor.client import Refused, change_desired, live_status, locked, new_revision, say
from supervisor.core.desired import Desired
from supervisor.core.fields import BadFile, Fields
from supervisor.core.release import KINDS, Release, parse_release
from supervisor.files import DesiredFile, Layout, check_release_file, read_json
from supervisor.outages import Outages

# For stopping what ran, freed NPUs and a back-off, on top of serve's own start.
CARRIED_MARGIN_SEC = 300.0


class Commit:
    """`commit`: makes one release desired and waits until it is ready, else puts the old back.

    Ray under a group that has served takes the staged serve along. With two steps, a serve that
    fails on the new Ray could only be put back onto a Ray that it was not made for.
    """

    def __init__(self, layout: Layout, manifest: Any):
        fields = Fields(manifest)
        self.layout = layout
        self.kind = fields.text("kind")
        self.hash = fields.text("release")
        self.deadline = fields.number("deadlineSec", 0)
        self.secrets = ""
        if self.kind == "serve" and (versions := fields.get("secrets", dict, {})):
            text = json.dumps(versions, sort_keys=True)
            self.secrets = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.attempts = int(fields.number("commitAttempts", 2))
        self.carried: Release | None = None  # the serve release that a commit of Ray takes along
        self.status: Mapping[str, Any] = {}  # before anything is changed
        if self.kind not in KINDS:
            raise BadFile(f'kind: must be "ray" or "serve", got "{self.kind}"')
        if not re.fullmatch(r"[\w.-]+", self.hash):
            raise BadFile(f'release: must be a release hash, got "{self.hash}"')
        if self.deadline <= 0:
            raise BadFile("deadlineSec: is missing")

    def run(self) -> int:
        with locked(self.layout.out / "commit.lock", 5.0, "another commit is under way"):
            self.status = live_status(self.layout)
            self._check(self.status)
            outages = Outages(self.layout.out / "outages.json")
            began = time.time()
            before, after = change_desired(self.layout, self._change)
            assert after
            try:
                final = self._wait(after)
                if final["state"] == "ready" and before != after:
                    outages.note(self.kind, self.status, began, time.time())
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
                "outages": outages.read(),
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
                "`vllm-cluster start`, then run this again"
            )
        # A serve without Ray ends the Ray that another topology has left.
        needs = self._needed_ray() if self.kind == "serve" else before.ray
        if needs is not None and needs != before.ray:
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
            changed |= {"ray": needs, "secrets": self.secrets}
        elif before.serve and before.ray != self.hash:
            self.carried = self._staged_serve()
            changed |= {"serve": self.carried.hash} if self.carried else {}
        return Desired(**changed)

    def _staged_serve(self) -> Release | None:
        """The serve release that was staged together with this Ray release, if it can start here."""
        try:
            staged = Fields(read_json(self.layout.staged))
            if staged.get("ray", str, None) != self.hash:
                return None
            path = self.layout.release("serve", staged.text("serve"))
            names = (self.status[key] for key in ("cluster", "node", "runtime"))
            release = check_release_file(path, *names)
        except (OSError, BadFile):
            return None
        return release if release.ray == self.hash else None

    def _needed_ray(self) -> str | None:
        return parse_release(read_json(self.layout.release("serve", self.hash))).ray

    def _verdict(self, status: Mapping[str, Any]) -> bool:
        part = status[self.kind]
        ready = part["state"] == "ready" and part["hash"] == self.hash
        if self.carried:
            serves = status["serve"]["hash"] == self.carried.hash and status["state"] == "ready"
            return ready and serves
        if self.kind == "ray":
            return ready
        return ready and part.get("secrets") == self.secrets and status["state"] == "ready"

    def _wait(self, after: Desired) -> Mapping[str, Any]:
        """@throws Refused with the text why it did not become ready"""
        if self.carried:
            self.deadline += self.carried.start_timeout + CARRIED_MARGIN_SEC
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
            say(self._what_is_back(before))

    def _what_is_back(self, before: Desired | None) -> str:
        if before is None:
            return "nothing is desired again, as before"
        digest = getattr(before, self.kind)
        if digest is None:
            return f"no {self.kind} release is desired, as before"
        text = f"{self.kind} release {digest} is desired again, as before"
        names = (self.status[key] for key in ("cluster", "node", "runtime"))
        try:
            check_release_file(self.layout.release(self.kind, digest), *names)
        except (OSError, BadFile) as error:
            return f"{text}, but cannot start here ({error}): revert the change, run `pulumi up`"
        return f"{text}: the group goes back to it by itself"
