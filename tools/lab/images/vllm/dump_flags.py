#!/usr/bin/env python3
"""Prints the flags of `vllm serve` as JSON: the table that the stand-in parses with.

Kinds are found by trying values, because vLLM wraps most types in anonymous functions.
"""

from __future__ import annotations

import argparse
import json
from typing import Any, Callable

from vllm.entrypoints.openai.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

FLAG_WITHOUT_VALUE = {"_StoreTrueAction": "true", "BooleanOptionalAction": "boolean"}


def main() -> None:
    parser = make_arg_parser(FlexibleArgumentParser())
    flags = [
        describe(action)
        for action in parser._actions
        if action.option_strings and not isinstance(action, argparse._HelpAction)
    ]
    print("[")
    print(",\n".join(json.dumps(flag) for flag in flags))
    print("]")


def describe(action: argparse.Action) -> dict[str, Any]:
    flag: dict[str, Any] = {"flags": list(action.option_strings)}
    action_name = type(action).__name__
    if action_name in FLAG_WITHOUT_VALUE:
        return flag | {"kind": FLAG_WITHOUT_VALUE[action_name]}
    flag["kind"] = kind_of(action.type)
    if isinstance(action, argparse._AppendAction):
        flag["append"] = True
    if action.nargs:
        flag["nargs"] = action.nargs
    if action.choices:
        flag["choices"] = [str(choice) for choice in action.choices]
    return flag


def kind_of(convert: Callable[[str], Any] | None) -> str:
    if convert is None or accepts(convert, "a word"):
        return "text"
    if accepts(convert, "1k"):
        return "size or auto" if accepts(convert, "auto") else "size"
    if accepts(convert, "0.5"):
        # JSON takes numbers, too.
        return "json" if accepts(convert, "[]") or accepts(convert, "{}") else "float"
    if accepts(convert, "1"):
        return "integer"
    return "json" if accepts(convert, "{}") else "text"


def accepts(convert: Callable[[str], Any], value: str) -> bool:
    try:
        convert(value)
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return False
    return True


if __name__ == "__main__":
    main()
