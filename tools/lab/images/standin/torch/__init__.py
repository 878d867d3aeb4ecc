"""Stand-in for the few functions of torch that the smoke run of a cluster calls.

Real: processes, TCP connections over the interface that GLOO_SOCKET_IFNAME names, sums and exchanges. Not real: a tensor
is a list of runs of equal values, and the first member of a group carries the words of all others.

$STANDIN_TORCH_FAULT = "<rank> <place> hang|crash|wrong" is a fault of one rank; places: "matrix", "all-reduce".
"""

from __future__ import annotations

import os
import sys
import time
from itertools import groupby

from torch import distributed

__all__ = ["Tensor", "distributed", "float16", "float32", "full", "ones"]
__version__ = "2.11.0+standin"
float16, float32 = "float16", "float32"


class Tensor:
    """A vector of runs `(value, count)`; a square matrix has one value only."""

    def __init__(self, runs: list[tuple[float, int]], size: int | None = None) -> None:
        self.runs, self.size = runs, size

    def __matmul__(self, other: Tensor) -> Tensor:
        assert self.size
        wrong = fault("matrix") == "wrong"
        value = self.runs[0][0] * other.runs[0][0] * self.size
        return Tensor([(value + wrong, self.size**2)], self.size)

    def __len__(self) -> int:
        return sum(count for _, count in self.runs)

    def __getitem__(self, part: slice) -> Tensor:
        start, stop, _ = part.indices(len(self))
        runs, at = [], 0
        for value, count in self.runs:
            inside = min(stop, at + count) - max(start, at)
            if inside > 0:
                runs.append((value, inside))
            at += count
        return Tensor(runs)

    def float(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def min(self) -> float:
        return min(value for value, _ in self.runs)

    def max(self) -> float:
        return max(value for value, _ in self.runs)


def full(shape: tuple[int], value: float, device: str = "cpu") -> Tensor:
    return Tensor([(value, shape[0])])


def ones(shape: tuple[int, int], dtype: str = float32, device: str = "cpu") -> Tensor:
    return Tensor([(1.0, shape[0] * shape[1])], shape[0])


def merged(runs: list[tuple[float, int]]) -> list[tuple[float, int]]:
    return [
        (value, sum(count for _, count in equal))
        for value, equal in groupby(runs, key=lambda run: run[0])
    ]


def fault(place: str) -> str:
    """The fault that a test has set for this rank here; "hang" and "crash" do not return."""
    rank, where, what = (os.environ.get("STANDIN_TORCH_FAULT") or "- - -").split()
    if rank != os.environ.get("RANK") or where != place:
        return ""
    if what == "hang":
        time.sleep(100_000)
    if what == "crash":
        print("fault set by the test", file=sys.stderr, flush=True)
        os._exit(139)
    return what
