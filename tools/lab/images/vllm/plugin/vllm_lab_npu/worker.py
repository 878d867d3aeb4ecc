from __future__ import annotations

from typing import Any

from vllm.v1.worker.cpu_worker import CPUWorker

from . import moe_patch


class LabWorker(CPUWorker):
    def load_model(self, *args: Any, **kwargs: Any) -> None:
        moe_patch.install()
        super().load_model(*args, **kwargs)
