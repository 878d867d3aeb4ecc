"""`status`: shows status.json."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from supervisor.client import Refused, live_status, say
from supervisor.core.fields import BadFile
from supervisor.core.release import KINDS
from supervisor.files import Layout, read_json


def run_status(layout: Layout, as_json: bool) -> int:
    """`status`: exit code 0 when a living supervisor wrote it."""
    problem = ""
    try:
        status = live_status(layout, patience=2.0)
    except Refused as error:
        problem = str(error)
        try:
            status = read_json(layout.status)
        except (OSError, BadFile):
            raise Refused(problem) from None
    if as_json:
        print(json.dumps(status))
    else:
        print("\n".join(render_status(status)))
    if problem:
        say(f"old status: {problem}")
    return 1 if problem else 0


def render_status(status: Mapping[str, Any]) -> list[str]:
    reason = f" - {status['reason']}" if status["reason"] else ""
    lines = [
        f"cluster {status['cluster']}, {status['role']} {status['node']}: {status['state']}{reason}"
    ]
    for kind in KINDS:
        part = status[kind]
        text = f"  {kind:5} {headless_text(part['state'], part.get('headless', False))}"
        if part["hash"]:
            text += f", release {part['hash']}, epoch {part['epoch']}"
        if part["pid"]:
            text += f", pid {part['pid']}"
        if part.get("readyAfterSec") is not None:
            text += f", ready after {part['readyAfterSec']} s"
        lines.append(text)
    for name, member in status["members"].items():
        seen = f", seen {member['lastSeenSec']} s ago" if member["lastSeenSec"] is not None else ""
        link = "connected" if member["connected"] else "not connected"
        serve = headless_text(member["serve"], member.get("headless", False))
        lines.append(f"  {name}: {link}{seen}, ray {member['ray']}, serve {serve}")
    lines += [f"  warning: {warning}" for warning in status.get("warnings", [])]
    last = status["failures"]["last"]
    if last:
        when = datetime.datetime.fromtimestamp(last["time"], datetime.timezone.utc)
        lines.append(
            f"  failures in a row: {status['failures']['count']}; "
            f"the last, {when:%Y-%m-%dT%H:%M:%SZ}: "
            f"{last['process']} on {last['node']}: {last['reason']}"
        )
        lines += [f"    {line}" for line in last["tail"][-10:]]
    return lines


def headless_text(state: str, headless: bool) -> str:
    """Ranks without HTTP are judged by their process and by the answers of rank 0, on the head."""
    if not headless:
        return state
    return "headless, serving through rank 0" if state == "ready" else f"headless, {state}"
