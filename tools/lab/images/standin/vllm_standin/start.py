"""What a `vllm serve` with and without HTTP have in common."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from . import VLLM_VERSION
from .faults import Faults
from .log import Log
from .topology import Topology, topology


class Start(NamedTuple):
    model: str
    topology: Topology
    faults: Faults
    log: Log


def prepare(options: argparse.Namespace, log: Log) -> Start:
    """What all modes say and refuse first."""
    model = options.model_tag or options.model
    if not model:
        raise ValueError("`model` should be provided as the first positional argument")
    faults = Faults(model)
    log.raw(
        f"WARNING this is the lab's stand-in for vllm {VLLM_VERSION}: no model is loaded, "
        f"answers are invented; faults are read from {faults.path}"
    )
    log.info("api_utils.py:339", f"version {VLLM_VERSION} (stand-in)  model {model}")
    given = {name: value for name, value in vars(options).items() if value not in (None, False)}
    log.info("api_utils.py:273", f"non-default args: {without_secrets(given)}")
    return Start(model, topology(options), faults, log)


def check_model(model: str) -> None:
    if not (Path(model) / "config.json").is_file():
        raise OSError(f"{model} is not a model directory: it has no config.json")


def without_secrets(given: dict[str, Any]) -> dict[str, Any]:
    secrets = ("api_key", "hf_token")
    return {name: "***" if name in secrets else value for name, value in given.items()}
