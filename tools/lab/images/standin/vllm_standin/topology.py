"""Which ranks and engines one `vllm serve` starts, and where the others are."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

# vllm/config/parallel.py
DEFAULT_MASTER_PORT = 29501
DEFAULT_RPC_PORT = 29550


@dataclass(frozen=True)
class Topology:
    executor: str  # "ray", "mp" or "single"
    world_size: int  # ranks of one engine, over all its nodes
    engines: int = 1  # --data-parallel-size
    local_engines: int = 1
    start_engine: int = 0
    headless: bool = False
    nnodes: int = 1
    node_rank: int = 0
    master: tuple[str, int] = ("127.0.0.1", DEFAULT_MASTER_PORT)
    handshake: tuple[str, int] = ("127.0.0.1", DEFAULT_RPC_PORT)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Topology:
        fields = json.loads(text)
        for name in ("master", "handshake"):
            fields[name] = tuple(fields[name])
        return cls(**fields)

    @property
    def local_engine_indexes(self) -> range:
        return range(self.start_engine, self.start_engine + self.local_engines)

    @property
    def local_ranks(self) -> range:
        """Ranks of one engine on this node; with Ray the executor decides."""
        count = self.world_size // self.nnodes
        return range(self.node_rank * count, (self.node_rank + 1) * count)


def topology(options: argparse.Namespace) -> Topology:
    """@throws ValueError with the words of vLLM 0.23 for what it refuses."""
    world_size = (options.tensor_parallel_size or 1) * (options.pipeline_parallel_size or 1)
    headless = bool(options.headless)
    nnodes = options.nnodes or 1
    engines = options.data_parallel_size or 1
    backend = options.distributed_executor_backend or ("mp" if world_size > 1 else "single")
    if headless and (options.api_server_count or 0) > 0:
        raise ValueError(
            f"--api-server-count={options.api_server_count} cannot be used with --headless (no "
            "API servers are started in headless mode)."
        )
    if options.data_parallel_start_rank is not None and not headless:
        refuse("the load balancing that --data-parallel-start-rank without --headless means")
    if backend not in ("ray", "mp", "single") or (backend == "ray" and (engines > 1 or headless)):
        refuse(f"executor {backend} with these flags")
    if nnodes > 1:
        return multi_node(options, world_size, nnodes, backend, headless)
    if engines == 1:
        if headless:
            refuse("--headless without other nodes")
        return Topology(backend, world_size)
    local = options.data_parallel_size_local
    if local is None:
        local = engines
    if headless and local <= 0:
        raise ValueError("data_parallel_size_local must be > 0 in headless mode")
    return Topology(
        backend,
        world_size,
        engines,
        local,
        options.data_parallel_start_rank or 0,
        headless,
        handshake=(
            options.data_parallel_address or "127.0.0.1",
            options.data_parallel_rpc_port or DEFAULT_RPC_PORT,
        ),
    )


def multi_node(
    options: argparse.Namespace, world_size: int, nnodes: int, backend: str, headless: bool
) -> Topology:
    rank = options.node_rank or 0
    if backend != "mp":
        raise ValueError(
            "nnodes > 1 can only be set when distributed executor backend is mp, uni or "
            "external_launcher."
        )
    if world_size % nnodes != 0:
        raise ValueError(
            f"--nnodes {nnodes} must evenly divide the total world size ({world_size})"
        )
    if not 0 <= rank < nnodes:
        raise ValueError(f"--node-rank must be between 0 and {nnodes - 1}, got {rank}")
    if headless != (rank > 0) or (options.data_parallel_size or 1) > 1:
        refuse("--nnodes with data parallelism, or with --headless on another node than the rest")
    return Topology(
        backend,
        world_size,
        headless=headless,
        nnodes=nnodes,
        node_rank=rank,
        master=(options.master_addr or "127.0.0.1", options.master_port or DEFAULT_MASTER_PORT),
    )


def refuse(what: str) -> None:
    raise NotImplementedError(
        f"the lab's stand-in does not know {what}: use the image lab/vllm"
    )
