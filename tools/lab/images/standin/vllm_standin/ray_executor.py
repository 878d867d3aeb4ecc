"""One Ray actor per rank, as vllm/v1/executor/ray_executor_v2.py and ray_utils.py of vLLM 0.23."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any, Callable

import ray
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from .faults import Faults
from .log import Log

DEVICE = "NPU"
VISIBLE_DEVICES = "ASCEND_RT_VISIBLE_DEVICES"
NOSET = "RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES"
PLACEMENT_TIMEOUT_SEC = 1800
# Not copied from the driver to the ranks (vllm/v1/executor/ray_utils.py, WORKER_SPECIFIC_ENV_VARS).
NODE_SPECIFIC = {
    "VLLM_HOST_IP",
    "VLLM_HOST_PORT",
    "VLLM_NIXL_SIDE_CHANNEL_HOST",
    "LOCAL_RANK",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
}
SHOWN = [
    "VLLM_HOST_IP",
    "HCCL_IF_IP",
    "GLOO_SOCKET_IFNAME",
    "TP_SOCKET_IFNAME",
    "HCCL_SOCKET_IFNAME",
    VISIBLE_DEVICES,
]


class RayWorkerProc:
    """What runs in a Ray worker process: holds one NPU until it is killed."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def place(self) -> dict[str, Any]:
        context = ray.get_runtime_context()
        return {
            "node": context.get_node_id(),
            "address": ray.util.get_node_ip_address(),
            "npus": context.get_accelerator_ids()[DEVICE],
        }

    def initialize_worker(
        self, faults_path: str, visible: str, driver_env: dict[str, str]
    ) -> dict[str, Any]:
        for name, value in driver_env.items():
            # A node's own value wins; a node without one silently gets the head's.
            os.environ.setdefault(name, value)
        os.environ[VISIBLE_DEVICES] = visible
        os.environ["VLLM_STANDIN_FAULTS"] = faults_path
        faults = Faults("")
        if faults.get("crashRank", 0) == self.rank:
            faults.pass_through("load")
        return {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "env": {name: os.environ.get(name, "") for name in SHOWN},
        }

    def step(self) -> int:
        return self.rank

    def run(self) -> None:
        while True:
            time.sleep(3600)


class RayExecutor:
    def __init__(self, world_size: int, faults: Faults, log: Log) -> None:
        self.log = log
        self.lost = threading.Event()
        self.stopping = False
        self.actors: list[Any] = []
        ray.init(address="auto", logging_level="warning", log_to_driver=True)
        self.group = self._place(world_size)
        self._start_ranks(faults)

    def step(self) -> None:
        """One forward pass: every rank takes part.

        Blocks for ever when a node is lost, as vLLM 0.23 was seen to do (worker container killed:
        requests hang, /health stays 200, the process stays).
        """
        for rank, actor in enumerate(self.actors):
            try:
                ray.get(actor.step.remote())
            except ray.exceptions.RayActorError:
                if not self.lost.is_set() and not self._node_is_lost(rank):
                    raise
                self.lost.set()
            if self.lost.is_set():
                threading.Event().wait()

    def watch(self, on_failure: Callable[[], None]) -> None:
        """Calls `on_failure` when the process of a rank dies while its node lives."""

        def monitor() -> None:
            done: list[Any] = []
            while not done and not self.stopping:
                done, _ = ray.wait(list(self.runs), num_returns=1, timeout=1.0)
            if self.stopping:
                return
            rank = self.runs[done[0]]
            self.log.error(
                "ray_executor_v2.py:464",
                f"RayWorkerProc rank=[{rank}] died unexpectedly, shutting down executor.",
            )
            if self._node_is_lost(rank):
                self.lost.set()
                # vLLM kills its ranks, too, before it hangs: the NPUs that are left become free.
                self._kill_ranks()
            else:
                on_failure()

        threading.Thread(target=monitor, daemon=True, name="RayWorkerMonitor").start()

    def shutdown(self) -> None:
        self.stopping = True
        self._kill_ranks()
        remove_placement_group(self.group)
        ray.shutdown()

    def _kill_ranks(self) -> None:
        for actor in self.actors:
            ray.kill(actor)

    def _place(self, world_size: int) -> PlacementGroup:
        self.log.info(
            "ray_utils.py:622",
            "No current placement group found. Creating a new placement group.",
        )
        if world_size > ray.cluster_resources().get(DEVICE, 0):
            self.log.warning(
                "ray_utils.py:628",
                f"The number of required {DEVICE}s exceeds the total number of available "
                f"{DEVICE}s in the placement group.",
            )
        bundles = [{DEVICE: 1.0} for _ in range(world_size)]
        group = placement_group(bundles, strategy="PACK")
        begin = time.monotonic()
        interval = 10.0
        while time.monotonic() - begin < PLACEMENT_TIMEOUT_SEC:
            if ray.wait([group.ready()], timeout=interval)[0]:
                return group
            interval *= 2
            self.log.info(
                "ray_utils.py:465",
                "Waiting for creating a placement group of specs for "
                f"{int(time.monotonic() - begin)} seconds. specs={bundles}. Check `ray status` and "
                "`ray list nodes` to see if you have enough resources, and make sure the IP "
                "addresses used by ray cluster are the same as VLLM_HOST_IP environment variable "
                "specified in each node if you are running on a multi-node.",
            )
        raise ValueError(
            f"Cannot provide a placement group of placement_group_specs={bundles} within "
            f"{PLACEMENT_TIMEOUT_SEC} seconds. See `ray status` and `ray list nodes` to make sure "
            "the cluster has enough resources."
        )

    def _bundles_by_node(self) -> list[int]:
        """Ranks go to the driver's node first, then node by node."""
        driver = ray.get_runtime_context().get_node_id()
        nodes: dict[int, str] = placement_group_table(self.group)["bundles_to_node_id"]
        return sorted(nodes, key=lambda bundle: (nodes[bundle] != driver, nodes[bundle], bundle))

    def _start_ranks(self, faults: Faults) -> None:
        driver_env = {
            name: value for name, value in os.environ.items() if name not in NODE_SPECIFIC
        }
        self.actors = [
            ray.remote(RayWorkerProc)
            .options(
                num_cpus=0,
                num_gpus=0,
                resources={DEVICE: 1},
                # run() occupies one thread for good.
                max_concurrency=2,
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    placement_group=self.group, placement_group_bundle_index=bundle
                ),
                runtime_env={"env_vars": {NOSET: "1"}},
            )
            .remote(rank)
            for rank, bundle in enumerate(self._bundles_by_node())
        ]
        places = ray.get([actor.place.remote() for actor in self.actors])
        self.node_of_rank = [place["node"] for place in places]
        npus_of_node: dict[str, list[str]] = {}
        for place in places:
            npus_of_node.setdefault(place["node"], []).extend(map(str, place["npus"]))
        workers = ray.get(
            [
                actor.initialize_worker.remote(
                    str(faults.path), ",".join(sorted(npus_of_node[place["node"]])), driver_env
                )
                for actor, place in zip(self.actors, places)
            ]
        )
        for rank, (place, worker) in enumerate(zip(places, workers)):
            settings = " ".join(f"{name}={value}" for name, value in worker["env"].items())
            self.log.info(
                "standin",
                f"rank {rank}: {worker['host']} {place['address']} pid {worker['pid']} "
                f"NPU {','.join(map(str, place['npus']))} {settings}",
            )
        self.runs = {actor.run.remote(): rank for rank, actor in enumerate(self.actors)}

    def _node_is_lost(self, rank: int) -> bool:
        """Ray learns it by missed heartbeats only, half a minute later; its raylet is gone at once."""
        node = next(node for node in ray.nodes() if node["NodeID"] == self.node_of_rank[rank])
        raylet = (node["NodeManagerAddress"], node["NodeManagerPort"])
        try:
            socket.create_connection(raylet, timeout=2).close()
        except OSError:
            return True
        return False
