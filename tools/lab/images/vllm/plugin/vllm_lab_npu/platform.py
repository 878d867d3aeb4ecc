from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

from vllm.platforms.cpu import CpuPlatform

if TYPE_CHECKING:
    from vllm.config import VllmConfig

# Enough for one sequence of 8192 tokens of the tiny models on each of 16 ranks.
DEFAULT_KV_BYTES = 32 << 20


class LabNpuPlatform(CpuPlatform):
    """`_enum` stays CPU, so that vLLM takes its CPU branches everywhere."""

    # The three as in vllm_ascend/platform.py: vLLM's Ray executor asks Ray for "NPU".
    ray_device_key = "NPU"
    device_control_env_var = "ASCEND_RT_VISIBLE_DEVICES"
    ray_noset_device_env_vars = ["RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES"]

    @classmethod
    def device_count(cls) -> int:
        # Native multi-node (--nnodes) takes this for "ranks per host"; CpuPlatform's answer, 1,
        # ends in an AssertionError there.
        visible = os.environ.get("ASCEND_RT_VISIBLE_DEVICES")
        if visible:
            return len(visible.split(","))
        return len(glob.glob("/dev/davinci[0-9]*")) or 1

    @classmethod
    def get_device_communicator_cls(cls) -> str:
        return "vllm_lab_npu.communicator.LabCommunicator"

    @classmethod
    def check_and_update_config(cls, vllm_config: VllmConfig) -> None:
        from vllm.config import CompilationMode, CUDAGraphMode

        # The image has no C++ compiler: eager, whatever --compilation-config says.
        compilation = vllm_config.compilation_config
        compilation.mode = CompilationMode.NONE
        compilation.cudagraph_mode = CUDAGraphMode.NONE
        if vllm_config.model_config is not None:
            vllm_config.model_config.enforce_eager = True
        # On the CPU, --gpu-memory-utilization 0.9 would mean 90 % of the machine's memory.
        vllm_config.cache_config.kv_cache_memory_bytes = int(
            os.environ.get("LAB_KV_BYTES", DEFAULT_KV_BYTES)
        )
        vllm_config.cache_config.gpu_memory_utilization = 0.01
        executor = vllm_config.parallel_config.distributed_executor_backend
        super().check_and_update_config(vllm_config)
        if executor == "ray":
            # CpuPlatform replaces it by "mp".
            vllm_config.parallel_config.distributed_executor_backend = executor
        vllm_config.parallel_config.worker_cls = "vllm_lab_npu.worker.LabWorker"
