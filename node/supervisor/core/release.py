"""What a node runs of one kind: release files, typed and checked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from supervisor.core.fields import BadFile, Fields

KINDS = ("ray", "serve")


class PlannedNode(NamedTuple):
    name: str
    address: str
    npus: int


class RestartPolicy(NamedTuple):
    max_failures: int = 5
    backoff: float = 2.0
    backoff_max: float = 60.0

    def delay(self, failures: int) -> float:
        return min(self.backoff_max, self.backoff * 2 ** max(0, min(failures, 32) - 1))


class Readiness(NamedTuple):
    url: str
    model: str
    prompt: str
    max_tokens: int
    request_timeout: float
    probe_interval: float  # 0: no completions by ourselves once ready
    stall: float
    engines: int | None = None  # data-parallel size: each engine must be there and answer


@dataclasses.dataclass(frozen=True)
class Release:
    """What this node runs of one kind. The hash is the same on all nodes, the content is not."""

    kind: str
    hash: str
    runtime: str
    cluster: str
    node: str
    nodes: tuple[PlannedNode, ...]
    env: Mapping[str, str]
    secret_env: Mapping[str, str]
    command: tuple[str, ...] | None
    start_timeout: float
    stop_timeout: float
    ports: tuple[int, ...]
    restart: RestartPolicy
    ray: str | None = None
    ray_address: str | None = None
    readiness: Readiness | None = None

    @property
    def headless(self) -> bool:
        """Ranks without an API of their own (`vllm serve --headless`); rank 0 answers for them."""
        return self.kind == "serve" and self.command is not None and self.readiness is None

    @property
    def address(self) -> str:
        """This node's address, or "" (all addresses) when the plan does not say."""
        return next((node.address for node in self.nodes if node.name == self.node), "")


def parse_release(raw: Any) -> Release:
    """Turns a release file into a Release. @throws BadFile naming the field."""
    fields = Fields(raw)
    kind = fields.text("kind")
    if kind not in KINDS:
        raise BadFile(f'kind: must be "ray" or "serve", got "{kind}"')
    command = fields.get("command", list, None)
    if command is not None and (not command or not all(isinstance(word, str) for word in command)):
        raise BadFile("command: must be null or a list of at least one string")
    release = Release(
        kind=kind,
        hash=fields.text("hash"),
        runtime=fields.text("runtime"),
        cluster=fields.text("cluster"),
        node=fields.text("node"),
        nodes=tuple(
            PlannedNode(node.text("name"), node.text("address"), int(node.number("npus", 0)))
            for node in map(Fields, fields.get("nodes", list, []))
        ),
        env=fields.strings("env"),
        secret_env=fields.strings("secretEnv"),
        command=None if command is None else tuple(command),
        start_timeout=fields.number("startTimeoutSec", 600),
        stop_timeout=fields.number("stopTimeoutSec", 30),
        ports=tuple(fields.get("ports", list, [])),
        restart=_parse_restart(fields.get("restart", dict, {})),
        ray=fields.get("ray", str, None),
        ray_address=fields.get("rayAddress", str, None),
        readiness=_parse_readiness(fields.get("readiness", dict, None)),
    )
    for port in release.ports:
        if not isinstance(port, int) or not 0 < port < 65536:
            raise BadFile(f"ports: must be numbers 1-65535, got {port!r}")
    for name in release.secret_env.values():
        if "/" in name or name in ("", ".", ".."):
            raise BadFile(f'secretEnv: must name a file in in/secrets, got "{name}"')
    if kind == "ray" and release.command is not None and not release.ray_address:
        raise BadFile("rayAddress: is missing")
    return release


def _parse_restart(raw: Mapping[str, Any]) -> RestartPolicy:
    fields, default = Fields(raw), RestartPolicy()
    return RestartPolicy(
        int(fields.number("maxFailures", default.max_failures)),
        fields.number("backoffSec", default.backoff),
        fields.number("backoffMaxSec", default.backoff_max),
    )


def _parse_readiness(raw: Mapping[str, Any] | None) -> Readiness | None:
    if raw is None:
        return None
    fields = Fields(raw)
    url = fields.text("url").rstrip("/")
    if not re.fullmatch(r"http://[^/?#]+", url):
        raise BadFile(f'readiness.url: must be http://ADDRESS:PORT, got "{url}"')
    return Readiness(
        url=url,
        model=fields.text("model"),
        prompt=fields.text("prompt"),
        max_tokens=int(fields.number("maxTokens", 8)),
        request_timeout=fields.number("requestTimeoutSec", 120),
        probe_interval=fields.number("probeIntervalSec", 0),
        stall=fields.number("stallSec", 600),
        engines=fields.count("engines"),
    )
