"""The command line of `vllm serve` 0.23.0, from a table that was read off the real parser."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any, Callable, NoReturn

TABLE = Path(__file__).with_name("vllm-flags.json")
COMMANDS = ["chat", "complete", "serve", "launch", "bench", "collect-env", "run-batch"]


def parse(argv: list[str]) -> argparse.Namespace:
    """Arguments after `vllm serve`; a usage error exits with 2."""
    parser = Parser(prog="vllm serve", usage="vllm serve [model_tag] [options]")
    parser.add_argument("model_tag", nargs="?", default=None)
    for flag in json.loads(TABLE.read_text()):
        add(parser, flag)
    arguments, unknown = parser.parse_known_args([with_dashes(argument) for argument in argv])
    if unknown:
        # vLLM's serve is a subparser: the error comes from the parser above it.
        fail(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


def fail(message: str) -> NoReturn:
    parser = argparse.ArgumentParser(prog="vllm")
    parser.add_argument("-v", "--version", action="store_true")
    parser.add_argument("subparser", choices=COMMANDS, nargs="...")
    parser.usage = "vllm [-h] [-v]\n            {" + ",".join(COMMANDS) + "} ..."
    parser.error(message)


class Parser(argparse.ArgumentParser):
    """Errors as argparse prints them, help without the 260 descriptions of the real one."""


def with_dashes(argument: str) -> str:
    """vLLM takes underscores in flag names, up to the first dot or equals sign."""
    if not argument.startswith("--"):
        return argument
    name = re.match(r"--[^.=]*", argument)
    assert name is not None
    return name.group().replace("_", "-") + argument[name.end() :]


def add(parser: argparse.ArgumentParser, flag: dict[str, Any]) -> None:
    names = flag["flags"]
    if flag["kind"] == "true":
        parser.add_argument(*names, action="store_true")
    elif flag["kind"] == "boolean":
        # Names with the prefix --no- are made by the action itself.
        own = [name for name in names if not name.startswith("--no-") or len(names) == 1]
        parser.add_argument(*own, action=argparse.BooleanOptionalAction, default=None)
    else:
        parser.add_argument(
            *names,
            type=KINDS[flag["kind"]],
            choices=flag.get("choices") if flag["kind"] == "text" else None,
            metavar=names[0].lstrip("-").upper().replace("-", "_"),
            **({"nargs": flag["nargs"]} if "nargs" in flag else {}),
            **({"action": "append"} if flag.get("append") else {}),
        )


def integer(value: str) -> int:
    return int(value)


def json_value(value: str) -> Any:
    return json.loads(value)


def size(value: str) -> int:
    """1k = 1000, 1K = 1024, 25.6k = 25600."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT])", value.strip())
    if match is None:
        return int(value)
    number, suffix = match.groups()
    exponent = "kmgt".index(suffix.lower()) + 1
    return int(float(number) * 1000**exponent) if suffix.islower() else int(number) * 1024**exponent


def size_or_auto(value: str) -> int:
    return -1 if value.strip().lower() in ("-1", "auto") else size(value)


# The names of the functions occur in argparse's error messages.
integer.__name__ = "int"
json_value.__name__ = "loads"
size.__name__ = "human_readable_int"
size_or_auto.__name__ = "human_readable_int_or_auto"
KINDS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "integer": integer,
    "float": float,
    "json": json_value,
    "size": size,
    "size or auto": size_or_auto,
}
