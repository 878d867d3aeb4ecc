from __future__ import annotations

import os
import socket
from typing import Any

import torch
import torch.distributed as dist
from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator


class LabCommunicator(CpuCommunicator):
    """What vLLM 0.23's CPU communicator lacks for groups over hosts and for MoE with DP."""

    def _all_group_ranks_share_shm_group_name(self) -> bool:
        # The Ray executor gives all ranks one init method, hence one shared-memory name, even
        # across hosts; vLLM then dies with "open shm in SHMManager failed. errno: 2".
        here = (socket.gethostname(), os.stat("/dev/shm").st_dev)
        places: list[Any] = [None] * self.world_size
        dist.all_gather_object(places, here, group=self.device_group)
        return len(set(places)) == 1 and super()._all_group_ranks_share_shm_group_name()

    def all_gatherv(
        self,
        input_: torch.Tensor | list[torch.Tensor],
        dim: int = 0,
        sizes: list[int] | None = None,
    ) -> torch.Tensor | list[torch.Tensor]:
        if isinstance(input_, list):
            return [self.all_gatherv(tensor, dim, sizes) for tensor in input_]
        assert dim == 0
        if self.world_size == 1:
            return input_
        sizes = sizes or [input_.shape[0]] * self.world_size
        # gloo gathers equal sizes only.
        padded = input_.new_zeros((max(sizes), *input_.shape[1:]))
        padded[: input_.shape[0]] = input_
        parts = [torch.empty_like(padded) for _ in range(self.world_size)]
        dist.all_gather(parts, padded, group=self.cpu_group)
        return torch.cat([part[:size] for part, size in zip(parts, sizes)], 0)

    def reduce_scatterv(
        self, input_: torch.Tensor, dim: int = -1, sizes: list[int] | None = None
    ) -> torch.Tensor:
        if self.world_size == 1:
            return input_
        total = input_.movedim(dim, 0).contiguous()
        dist.all_reduce(total, group=self.cpu_group)
        sizes = sizes or [total.shape[0] // self.world_size] * self.world_size
        start = sum(sizes[: self.rank_in_group])
        mine = total[start : start + sizes[self.rank_in_group]]
        return mine.movedim(0, dim).contiguous()
