"""Out-of-tree vLLM platform of the hardware-free lab: arithmetic on the CPU, Ascend's contract.

Simulated: an NPU is a CPU process, collectives are gloo instead of HCCL. Everything else is vLLM's.
"""


def register() -> str:
    return "vllm_lab_npu.platform.LabNpuPlatform"
