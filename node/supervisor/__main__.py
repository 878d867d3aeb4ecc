"""Supervisor of one node: starts, watches and stops Ray and vLLM together with its group."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from supervisor.client import Refused, say
from supervisor.core.fields import BadFile
from supervisor.core.release import KINDS
from supervisor.core.timing import Timing
from supervisor.files import BASE_DIR, Layout
from supervisor.sockets import parse_address


def main(arguments: list[str] | None = None) -> int:
    options = build_parser().parse_args(arguments)
    layout = Layout(Path(options.base))
    if options.mode == "run":
        # Here, because no other mode needs the loop, and a container compiles what it loads.
        from supervisor.loop import Supervisor

        options.timing = parse_timing(options.timing)
        return Supervisor(options).run()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # an interrupted commit puts back what was
    try:
        return run_client(options, layout)
    except BadFile as error:
        say(f"manifest: {error}")
    except Refused as error:
        say(f"{options.mode}: {error}")
    return 1


def run_client(options: argparse.Namespace, layout: Layout) -> int:
    """The modes that talk to a running supervisor through its files. @throws BadFile, Refused"""
    if options.mode == "commit":
        from supervisor.commit import Commit

        try:
            manifest = json.loads(sys.stdin.read())
        except ValueError as error:
            raise BadFile(f"is not JSON: {error}") from None
        return Commit(layout, manifest).run()
    if options.mode == "status":
        from supervisor.status import run_status

        return run_status(layout, options.json)
    if options.mode == "processes":
        from supervisor.process_report import run_processes

        return run_processes(layout, options.variables)
    from supervisor.switch import run_forget, run_set

    if options.mode == "set":
        return run_set(layout, options.state)
    return run_forget(layout, options.kind)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("--base", default=BASE_DIR, help=argparse.SUPPRESS)
    modes = parser.add_subparsers(dest="mode", required=True)
    run = modes.add_parser("run", help="be the supervisor of this node")
    run.add_argument("--cluster", required=True)
    run.add_argument("--node", required=True)
    run.add_argument("--role", required=True, choices=("head", "member"))
    run.add_argument("--head", required=True, type=parse_address, metavar="ADDRESS:PORT")
    run.add_argument("--runtime", required=True)
    run.add_argument(
        "--timing", action="append", default=[], metavar="NAME=SEC", help=argparse.SUPPRESS
    )
    modes.add_parser(
        "commit", help="make a release desired (manifest on stdin) and wait until it is ready"
    )
    switch = modes.add_parser("set", help="switch the group on or off; survives reboots")
    switch.add_argument("state", choices=("running", "stopped"))
    forget = modes.add_parser("forget", help="stop a kind and want it no more")
    forget.add_argument("kind", choices=KINDS)
    status = modes.add_parser("status", help="show status.json")
    status.add_argument("--json", action="store_true")
    processes = modes.add_parser("processes", help="what Ray and vLLM were really started with")
    processes.add_argument("variables", nargs="*", metavar="VARIABLE")
    return parser


def parse_timing(items: Iterable[str]) -> Timing:
    values = {}
    names = {field.name for field in dataclasses.fields(Timing)}
    for item in items:
        name, _, seconds = item.partition("=")
        if name not in names:
            raise argparse.ArgumentTypeError(
                f'unknown timing "{name}"; known: {", ".join(sorted(names))}'
            )
        values[name] = float(seconds)
    return Timing(**values)


if __name__ == "__main__":
    sys.exit(main())
