"""Stand-in for what the smoke run of a cluster imports of vLLM; the server is `vllm_standin`."""

from vllm_standin import VLLM_VERSION

__version__ = VLLM_VERSION
