"""Stand-in for `vllm serve`: vLLM 0.23's control path in seconds, without torch and without a model.

Real: flags, process tree (API server, EngineCore, one Ray actor per rank that holds its NPU), order
of the start, HTTP interface, signals, how failures show. Not real: the answers.
"""

VLLM_VERSION = "0.23.0"
