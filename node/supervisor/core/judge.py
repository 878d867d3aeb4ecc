"""Verdicts on what was seen outside: Ray's nodes, a completion, metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from supervisor.core.release import PlannedNode


def judge_completion(body: bytes) -> str:
    """Why this is no completion, or ""."""
    try:
        choice = json.loads(body)["choices"][0]
        if choice.get("text") or choice.get("finish_reason"):
            return ""
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        pass
    return f"the answer holds no completion: {body[:200].decode('utf-8', 'replace')}"


def judge_ray(planned: Iterable[PlannedNode], seen: Mapping[str, Any]) -> tuple[str, str | None]:
    """(what differs from the plan or "", the node to blame)."""
    by_address = {node.address: node for node in planned}
    alive = {item["address"]: item for item in seen["nodes"] if item["alive"]}
    for address, node in by_address.items():
        if address not in alive:
            known = ", ".join(sorted(alive)) or "none"
            return f"{node.name} ({address}) has not joined Ray; alive: {known}", node.name
        npus = alive[address]["npus"]
        if npus != node.npus:
            return f"{node.name} offers {npus:g} NPUs to Ray, planned are {node.npus}", node.name
    foreign = sorted(set(alive) - set(by_address))
    if foreign:
        return f"unplanned nodes in Ray: {', '.join(foreign)}", None
    total = sum(node.npus for node in by_address.values())
    if seen["freeNpus"] < total:
        return f"{seen['freeNpus']:g} of {total} NPUs are free in Ray", None
    return "", None


def judge_ray_token(env: Mapping[str, str], version: str) -> str:
    """Why Ray is open although the plan asks for its token, or "".

    Ray before 2.52 does not know RAY_AUTH_MODE and lets everybody in without a word.
    """
    if env.get("RAY_AUTH_MODE") != "token":
        return ""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers >= (2, 52):
        return ""
    return (
        f"Ray {version} has no token authentication, which image.rayVersion promises; "
        "set it to the version in the image"
    )


class EngineLoad(NamedTuple):
    """Two numbers of one vLLM engine (`engine="0"`, …) in `/metrics`."""

    tokens: float = 0.0  # vllm:generation_tokens_total, since the process started
    running: float = 0.0  # vllm:num_requests_running


def parse_metrics(text: str) -> dict[str, EngineLoad]:
    """By engine. Only engines count that have both numbers' samples (vLLM 0.23 writes zeros too)."""
    fields = {"vllm:generation_tokens_total": "tokens", "vllm:num_requests_running": "running"}
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        match = re.match(r"([a-zA-Z_:][\w:]*)\{(.*)\} ([-+.\deE]+)", line)
        if match and match[1] in fields:
            label = re.search(r'(?:^|,)engine="([^"]*)"', match[2])
            engine = found.setdefault(label[1] if label else "", {})
            field = fields[match[1]]
            # Summed over what else tells samples apart, as the model's name does.
            engine[field] = engine.get(field, 0.0) + float(match[3])
    return {name: EngineLoad(**load) for name, load in found.items() if len(load) == 2}


def judge_engines(planned: int, seen: Iterable[str]) -> str:
    """What differs from the data-parallel size, or ""."""
    expected = [str(number) for number in range(planned)]
    names = sorted(seen)
    if names == sorted(expected):
        return ""
    shown = f"engines {', '.join(names)}" if names else "no engine (is --disable-log-stats set?)"
    return f"/metrics shows {shown}; planned are {', '.join(expected)}"
